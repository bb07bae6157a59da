"""The documents name only commands, files, targets of make, ids and links that exist."""

from __future__ import annotations

import contextlib
import itertools
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest

from swn_torture.commands.explain import explanation_of
from swn_torture.harness.case_map import collect_cases
from tests.command_lines import check
from tests.docs.documents import ROOT, WRITTEN, blocks, code_spans, links, prose, title

if TYPE_CHECKING:
    from pathlib import Path

#: The documents about the present. The change log also names what is gone.
PRESENT = [path for path in WRITTEN if path.name != "CHANGELOG.md"]

each_document = pytest.mark.parametrize("path", PRESENT, ids=title)

_PATH = re.compile(r"(?:swn_torture|tests|tools|fixtures|docs|reports)/[\w./-]*|pyproject\.toml|Makefile")
_ID = re.compile(r"(?:SWN|RPC)-[\w.-]+|AMB-\d+|(?:ndr|rpc|cluster)\.[\w-]+\.[\w.-]+(?:\[[^\]]+\])?")

#: Directories that a run makes.
_MADE = ("reports/reference", "reports/fault-matrix", "reports/innocence-matrix", "reports/samba")


def command_lines(path: Path) -> list[str]:
    """The lines of the code blocks of a document, continued lines joined, without prompt and comment."""
    text = "\n".join(block.text for block in blocks(path) if block.info in {"console", "sh", ""})
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [re.sub(r"\s+#.*$", "", line.removeprefix("$ ")).removesuffix(" &").strip() for line in lines]


def own(lines: list[str]) -> list[str]:
    """The command lines of ``swn-torture`` among these lines."""
    return [line for line in lines if line.startswith("swn-torture ")]


@each_document
def test_every_command_line_is_valid(path: Path) -> None:
    for line in own(command_lines(path)):
        check(line)


@pytest.mark.parametrize("path", WRITTEN, ids=title)
def test_every_command_in_the_text_exists(path: Path) -> None:
    for line in own(code_spans(prose(path))):
        with contextlib.suppress(click.MissingParameter):  # the text may leave arguments out
            check(line)


@pytest.mark.parametrize(
    "words", ["run --no-such-option", "faults --kind", "cluster fail", "lab erect", "run --captures some"]
)
def test_wrong_command_line_is_noticed(words: str) -> None:
    with pytest.raises(click.UsageError):
        check(f"swn-torture {words}")


@pytest.mark.parametrize(
    "path", [path for path in PRESENT if path.name not in {"ci.md", "for-samba-developers.md"}], ids=title
)
def test_every_make_target_exists(path: Path) -> None:
    """Of our own Makefile; two pages are about that of Samba, and tests/docs/test_ci_page.py runs it."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for line in [*command_lines(path), *code_spans(prose(path))]:
        if line.startswith("make "):
            assert re.search(rf"^{re.escape(line.split()[1])}:", makefile, re.MULTILINE), line


@each_document
def test_every_path_exists(path: Path) -> None:
    words = [span for span in code_spans(prose(path)) if _PATH.fullmatch(span)]
    words += [word for line in command_lines(path) for word in line.split() if word.startswith("tools/")]
    missing = [word for word in words if not (ROOT / word).exists() and not word.startswith(_MADE)]
    assert not missing


@pytest.mark.parametrize("path", WRITTEN, ids=title)
def test_every_relative_link_leads_to_a_file(path: Path) -> None:
    inside = [link.partition("#")[0] for link in links(path) if not re.match(r"\w+:", link)]
    assert not [link for link in inside if link and not (path.parent / link).exists()]


def test_every_document_is_linked_from_readme_or_contributing() -> None:
    start = {(path.parent / link).resolve() for path in WRITTEN[:2] for link in links(path)}
    documents = set((ROOT / "docs").glob("*.md"))
    assert documents <= start


def test_every_id_in_the_documents_exists() -> None:
    """Requirements, ambiguities, cases, and the faults of command lines."""
    ids = {span for path in WRITTEN for span in code_spans(prose(path)) if _ID.fullmatch(span)}
    for line in (line for path in PRESENT for line in own(command_lines(path))):
        words = shlex.split(line)
        ids |= {word for word in words if _ID.fullmatch(word)}
        ids |= {name for option, name in itertools.pairwise(words) if option == "--fault"}
    ids -= {"NAME"}
    collect_cases()  # at once, and not those of each id
    assert [name for name in sorted(ids) if explanation_of(name) is None] == []
