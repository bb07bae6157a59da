"""The site: every page that it has, whether a document or generated, and what their links lead to.

`make site`, a step of `.ci/run`, builds it strictly; here everything but mkdocs itself is tested.
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from swn_torture.server.state.options import Options
from swn_torture.spec import load_catalogue
from tests.docs.documents import ROOT
from tools.website import documents
from tools.website.cases import by_base, case_pages
from tools.website.known import targets
from tools.website.markdown import adapted, links, plain, relinked
from tools.website.reference import option_texts, reference_pages
from tools.website.sections import section_pages

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@pytest.fixture(scope="module")
def pages() -> Mapping[str, str]:
    """Every page of the site by its path, as Markdown."""
    found = {page: documents.page_text(path) for page, path in documents.documents().items()}
    found |= {page: documents.file_page(path) for page, path in documents.shown_files().items()}
    for generated in (section_pages(), case_pages(), reference_pages()):
        for page, text in generated:
            assert page not in found, page
            found[page] = text
    return found


def nav(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from nav(value) if isinstance(value, list) else [value]


def test_every_link_of_every_page_leads_to_a_page_and_a_heading(pages: Mapping[str, str]) -> None:
    ids = {page: set(re.findall(r"\{#([^}]+)\}", text)) for page, text in pages.items()}
    checked = 0
    for page, text in pages.items():
        for link in links(text):
            if re.match(r"\w+:|#", link):
                continue
            path, _, anchor = link.partition("#")
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
            assert target in pages or target in documents.AS_THEY_ARE.values(), f"{page}: {link}"
            if anchor and ids[target]:
                assert anchor in ids[target], f"{page}: {link}"
                checked += 1
    assert checked > 900


def test_navigation_has_every_document_and_every_index(pages: Mapping[str, str]) -> None:
    listed = set(nav(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    generated = {page for page in pages if page.startswith(("cases/", "requirements/", "files/"))}
    indexes = {"cases/index.md", "requirements/index.md"}
    assert listed == (set(pages) - generated) | indexes


def test_every_requirement_case_and_option_has_its_place(pages: Mapping[str, str]) -> None:
    sections = "".join(text for page, text in pages.items() if page.startswith("requirements/"))
    assert all(f"{{#{name}}}" in sections for name in load_catalogue().requirements)
    assert {f"cases/{base}.md" for base in by_base()} <= set(pages)
    assert set(option_texts()) == set(Options.__dataclass_fields__)
    assert all(f"{{#{name}}}" in pages["reference-options.md"] for name in option_texts())


def test_pages_show_what_the_known_targets_do(pages: Mapping[str, str]) -> None:
    names = [target.name for target in targets()]
    assert names[0] == "reference"
    case = pages["cases/cluster.ip-change.address-added.md"]
    assert all(f"| {name} |" in case for name in names)
    assert re.search(r'samba-4\.22 \| 1 <span class="failed">failed', case)
    section = pages["requirements/ms-swn-3.1.4.5.md"]
    row = section.partition("{#SWN-3.1.4.5-ip-flag-true}")[2].partition("\n## ")[0]
    assert '| samba-4.22 | <span class="violated">violated</span> | [`cluster.ip-change' in row
    assert "Faults that violate it" in row


# The dialects of Markdown
# ---------------------------------------------------------------------------------------------------------


def test_lists_and_fences_are_adapted() -> None:
    text = "Text:\n1. one\n\n   ```console\n   $ x\n   ```\n\n2. two\n- a\n  b\n\nend\n\n```floors x\n- no\n```\n"  # noqa: E501 - as a file has it
    assert adapted(text) == (
        "Text:\n\n1. one\n\n    ```console\n    $ x\n    ```\n\n2. two\n- a\n    b\n\n"
        "end\n\n```floors\n- no\n```\n"
    )


def test_plain_text_has_no_marks() -> None:
    assert plain("a*b_c |<3>\n`x` [y](z)") == r"a\*b\_c \|&lt;3&gt; \`x\` \[y\](z)"


def test_links_in_code_blocks_stay() -> None:
    text = "[a](b.md)\n```text\n[a](b.md)\n```\n"
    assert links(text) == ["b.md"]
    assert relinked(text, {"b.md": "c.md"}) == "[a](c.md)\n```text\n[a](b.md)\n```\n"


def test_link_to_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("[gone](../gone.toml)\n", encoding="utf-8")
    with pytest.raises(FileNotFoundError, match=r"docs/a\.md links to \.\./gone\.toml"):
        documents.page_text("docs/a.md", tmp_path)
