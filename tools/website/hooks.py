"""Hooks of mkdocs: add the pages that are generated, and the documents outside of docs/."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tools.website import documents  # noqa: E402 - the repository is on the path only now
from tools.website.cases import case_pages  # noqa: E402
from tools.website.reference import reference_pages  # noqa: E402
from tools.website.sections import section_pages  # noqa: E402

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is not in docs/."""
    for page, document in documents.documents().items():
        if page in documents.OUTSIDE.values():
            files.append(File.generated(config, page, content=documents.page_text(document)))
    for page, path in documents.shown_files().items():
        files.append(File.generated(config, page, content=documents.file_page(path)))
    for path, page in documents.AS_THEY_ARE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    for name in ("site.css", "site.js"):
        files.append(File.generated(config, name, abs_src_path=str(Path(__file__).with_name(name))))
    for pages in (section_pages(), case_pages(), reference_pages()):
        for page, text in pages:
            files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Give a document of docs/ the links and the dialect of the site."""
    document = f"docs/{page.file.src_uri}"
    return documents.page_text(document) if page.file.generated_by is None else markdown
