"""The documents of the repository as pages of the site: where each stands, and what their links lead to."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from tools.website.markdown import adapted, links, relinked

ROOT = Path(__file__).parents[2]

#: Documents outside of docs/, and their pages.
OUTSIDE = {
    "README.md": "overview.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "reports/README.md": "published-results.md",
}

#: Files that the site has as they are.
AS_THEY_ARE = {"reports/matrix.html": "matrix.html"}


def page_of(document: str) -> str:
    """The page of a file of the repository; a file that is no document has a page that shows its text."""
    if document in AS_THEY_ARE:
        return AS_THEY_ARE[document]
    if document in OUTSIDE:
        return OUTSIDE[document]
    if document.startswith("docs/") and document.endswith(".md"):
        return document.removeprefix("docs/")
    return f"files/{document}.md"


def documents(root: Path = ROOT) -> dict[str, str]:
    """The documents that people read, each by its page: paths below the repository."""
    inside = sorted(path.relative_to(root).as_posix() for path in (root / "docs").glob("*.md"))
    return {page_of(each): each for each in (*OUTSIDE, *inside)}


def page_text(document: str, root: Path = ROOT) -> str:
    """The Markdown of the page of a document.

    Raises:
        FileNotFoundError: a link leads to a file that does not exist.
    """
    text = (root / document).read_text(encoding="utf-8")
    change = {link: _relinked(link, document, root) for link in links(text) if not _is_elsewhere(link)}
    return adapted(relinked(_titled(text, document, root), change))


def _titled(text: str, document: str, root: Path) -> str:
    """The text with the title of a document where a link has the name of its file: the site has no files."""

    def title(match: re.Match[str]) -> str:
        target = root / _resolved(match[2], document)
        heading = re.match(r"# (.+)", target.read_text(encoding="utf-8")) if target.is_file() else None
        return f"[{heading[1]}]({match[2]})" if heading else match[0]

    return re.sub(r"\[(?:docs/)?([\w-]+)(?:\.md)?\]\(((?:[\w./-]*/)?\1\.md)\)", title, text)


def shown_files(root: Path = ROOT) -> dict[str, str]:
    """The files, no documents, to which documents link: each by its page."""
    found = {}
    for document in documents(root).values():
        for link in links((root / document).read_text(encoding="utf-8")):
            if not _is_elsewhere(link):
                path = _resolved(link, document)
                if page_of(path).startswith("files/"):
                    found[page_of(path)] = path
    return found


def file_page(path: str, root: Path = ROOT) -> str:
    """The page that shows the text of a file."""
    language = {".toml": "toml", ".yml": "yaml", ".py": "python"}.get(Path(path).suffix, "text")
    text = (root / path).read_text(encoding="utf-8")
    return f"# {path}\n\n`````{language}\n{text}`````\n"


def _is_elsewhere(link: str) -> bool:
    return bool(re.match(r"\w+:|#", link))


def _resolved(link: str, document: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(document), link.partition("#")[0]))


def _relinked(link: str, document: str, root: Path) -> str:
    path, hash_, anchor = link.partition("#")
    target = _resolved(path, document)
    if not (root / target).is_file():
        raise FileNotFoundError(f"{document} links to {link}, which is not a file")
    here = posixpath.dirname(page_of(document)) or "."
    return posixpath.relpath(page_of(target), here) + hash_ + anchor
