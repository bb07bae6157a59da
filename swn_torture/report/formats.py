"""The table of report formats. A new format is one module with a render function, and one line in the table.

The table drives the options of ``swn-torture run`` and ``swn-torture report`` (``--json``), those of the
pytest plugin (``--swn-json``), and the files in a report directory. The plugin imports this module in every
pytest run, so the module of a format is imported only when a report is written.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.report.results import Results


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write the results of a run to a file.

    Attributes:
        name: names the options: ``json`` makes ``--json FILE`` and ``--swn-json FILE``.
        file_name: name of its file in a report directory.
        what: what the file is, for help and error texts: ``JSON results``.
        renderer: ``module.function`` in this package. The function takes `Results` and returns the text of
            the file.
        links_captures: whether the text links to packet captures, so that they are written next to the file.
    """

    name: str
    file_name: str
    what: str
    renderer: str
    links_captures: bool = False

    def render(self, results: Results) -> str:
        """The text of the file."""
        module, _, function = self.renderer.partition(".")
        render = getattr(importlib.import_module(f"{__package__}.{module}"), function)
        return cast("Callable[[Results], str]", render)(results)


#: Every format, in the order in which options are listed and files are written.
FORMATS: tuple[Format, ...] = (
    Format("json", "results.json", "JSON results", "json_report.render_json", links_captures=True),
    Format("junit", "junit.xml", "JUnit XML results", "junit.render_junit"),
    Format("markdown", "summary.md", "Markdown summary", "markdown.render_markdown"),
    Format("html", "index.html", "HTML page", "html.render_html", links_captures=True),
)

#: What a report directory holds, for the help of the options that name one.
DIRECTORY = f"{', '.join(each.file_name for each in FORMATS)} and captures/"
