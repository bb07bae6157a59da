"""Templates are compiled once, and a template that changes is compiled again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import jinja2
import pytest

from swn_torture.report.html import templates
from swn_torture.report.templates import environment

if TYPE_CHECKING:
    from pathlib import Path


def test_a_template_is_compiled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = templates().get_template("report.html.j2")
    monkeypatch.setattr(jinja2.Environment, "compile", None)

    again = templates().get_template("report.html.j2")

    assert again is not first
    assert again.root_render_func is not first.root_render_func
    assert again.root_render_func.__code__ == first.root_render_func.__code__


def test_a_changed_template_is_compiled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "package_of_a_test"
    (package / "pages").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    seen = []
    for text in ("one {{ name }}", "two {{ name }}"):
        (package / "pages" / "page.j2").write_text(text, encoding="utf-8")
        pages = environment("package_of_a_test", "pages")
        seen.append(pages.get_template("page.j2").render(name="<"))
    monkeypatch.delitem(sys.modules, "package_of_a_test")

    assert seen == ["one &lt;", "two &lt;"]


def test_a_missing_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        templates().from_string("{{ missing }}").render()
