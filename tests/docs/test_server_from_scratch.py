"""docs/a-server-from-scratch.md: every step of the example server gets the verdict that the page shows."""

from __future__ import annotations

import ast
import contextlib
import shlex
import socket
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.docs.documents import DOCS, ROOT, blocks, clean_environment
from tests.examples import one_in
from tests.preloaded import program, python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = DOCS / "a-server-from-scratch.md"
SERVER = ROOT / "examples" / "witness_server.py"
PROFILE = ROOT / "examples" / "witness_server.toml"


@dataclass(frozen=True)
class Step:
    """A step as the page shows it: its name, the arguments of the run, and lines of its output."""

    name: str
    arguments: list[str]
    lines: list[str]


def steps() -> list[Step]:
    """The steps, from the code blocks that start the server and then run the suite."""
    found = []
    for block in blocks(PAGE, "console"):
        first, *rest = block.text.splitlines()
        if not first.startswith("$ python examples/witness_server.py"):
            continue
        command, *lines = rest
        words = shlex.split(command.removeprefix("$ "))
        assert words[:4] == ["swn-torture", "run", "--target", "examples/witness_server.toml"], command
        found.append(Step(shlex.split(first)[3], words[4:], [line for line in lines if line.strip()]))
    return found


@contextlib.contextmanager
def serving(step: str, port: int) -> Iterator[None]:
    """The example server in a process of its own."""
    command = [python("scapy"), str(SERVER), step, "--port", str(port)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **quiet) as process:  # type: ignore[call-overload]
        try:
            deadline = time.monotonic() + 60
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("step", one_in(2, steps()), ids=lambda step: step.name)
def test_step_gets_the_verdict_of_the_page(step: Step, tmp_path: Path) -> None:
    port, profile = free_port(), tmp_path / "witness_server.toml"
    profile.write_text(PROFILE.read_text(encoding="utf-8").replace("49777", str(port)), encoding="utf-8")
    command = [*program(), "run", "--target", str(profile), *step.arguments]
    with serving(step.name, port):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=400, env=clean_environment()
        )
    seen = (" ".join(line.split()) for line in done.stdout.splitlines())
    for line in (" ".join(shown.split()) for shown in step.lines):
        start = line.removesuffix("…").rstrip()
        found = any(shown == line or (line.endswith("…") and shown.startswith(start)) for shown in seen)
        assert found, f"{line!r} is not in\n{done.stdout}\n{done.stderr}"


def test_page_shows_every_step() -> None:
    text = SERVER.read_text(encoding="utf-8")
    table = next(
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "STEPS"
    )
    assert isinstance(table, ast.Dict)
    names = [key.value for key in table.keys if isinstance(key, ast.Constant)]
    assert [step.name for step in steps()] == names


def test_server_shares_no_code_with_this_project() -> None:
    tree = ast.parse(SERVER.read_text(encoding="utf-8"))
    modules = {
        name
        for node in ast.walk(tree)
        for name in (
            [each.name for each in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not [name for name in modules if name.split(".")[0] in {"swn_torture", "tests", "impacket"}]
    assert any(name.startswith("scapy") for name in modules)
