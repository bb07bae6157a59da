"""docs/from-address-to-gate.md: its commands, one after the other, on the example server."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.docs.documents import DOCS, blocks, clean_environment
from tests.docs.test_server_from_scratch import free_port, serving
from tests.examples import in_gate
from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS / "from-address-to-gate.md"

#: The exit code of each command: the example has no violation in these cases, and needs no endpoint mapper.
CODES = {"init": 0, "doctor": 0, "run": 0, "explain": 0, "baseline": 0}


def commands() -> list[list[str]]:
    """The commands of the page in their order, without the one that starts the server."""
    lines = [line.removeprefix("$ ") for block in blocks(PAGE, "console") for line in block.text.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("swn-torture ")]


@in_gate
def test_every_command_works_in_this_order(tmp_path: Path) -> None:
    port = str(free_port())
    with serving("notify", int(port)):
        for _, *words in commands():
            done = subprocess.run(
                [*program(), *(word.replace("49777", port) for word in words)],
                cwd=tmp_path,
                env=clean_environment(),
                capture_output=True,
                text=True,
                check=False,
                timeout=400,
            )
            said = done.stdout + done.stderr
            assert done.returncode == CODES[words[0]], f"{words}: {done.returncode}\n{said}"
            assert "Traceback" not in said
    assert {path.name for path in tmp_path.iterdir()} >= {
        *("mine.toml", "out", "results.json", "mine-baseline.toml", "witness.xml")
    }


def test_page_goes_through_all_stations() -> None:
    assert [words[1] for words in commands()] == [
        *("init", "doctor", "run", "explain", "run", "baseline", "run")
    ]
    assert len(re.findall(r"^## \d\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == 6
