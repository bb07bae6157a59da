"""What the doctor says of the programs of this machine."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from swn_torture.doctor.cluster import check_this_machine
from swn_torture.doctor.links import Link, Links

if TYPE_CHECKING:
    from pathlib import Path


def link() -> Link:
    links = Links()
    check_this_machine(links)
    (found,) = links
    return found


def test_first_line_of_the_version_is_told() -> None:
    assert (link().state, link().text) == ("ok", "TShark (Wireshark) 4.4.13.")


def test_real_tshark_tells_its_version(quick_tshark: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    real = shutil.which("tshark")
    if real is None:
        pytest.skip("tshark is not installed")
    expected = subprocess.run([real, "--version"], capture_output=True, text=True, check=True).stdout
    assert (link().state, link().text) == ("ok", expected.splitlines()[0])
    assert link().text.startswith("TShark")


@pytest.mark.parametrize("text", ["", "no program"])
def test_a_tshark_that_says_nothing_stops_nothing(quick_tshark: Path, text: str) -> None:
    quick_tshark.write_text(text, encoding="utf-8")
    assert link().state == "note"


def test_no_tshark_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert (link().state, link().text) == ("note", "not installed; captures are written without it")
