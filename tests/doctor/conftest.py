"""A quick tshark for the tests of the doctor: the real one takes longer to say its version than they do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def quick_tshark(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that says a version as tshark does, first in PATH."""
    program = tmp_path_factory.mktemp("programs") / "tshark"
    program.write_text("#!/bin/sh\necho 'TShark (Wireshark) 4.4.13.'\necho Copyright\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program
