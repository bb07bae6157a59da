"""The pages for each kind of reader: their commands run, in the order of the page, on a reference cluster."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from tests.command_lines import check
from tests.docs.documents import DOCS, ROOT, block_with, blocks, clean_environment, code_spans, prose
from tests.examples import in_gate
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE_S = 300.0


def command(words: list[str]) -> list[str]:
    return [*program(), *words]


def run(directory: Path, line: str) -> subprocess.CompletedProcess[str]:
    """Run a command line of `swn-torture` in a directory."""
    done = subprocess.run(
        command(shlex.split(line, comments=True)[1:]),
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=_DEADLINE_S,
    )
    assert "Traceback" not in done.stdout + done.stderr, line
    return done


@contextlib.contextmanager
def started(directory: Path, line: str, until: str) -> Iterator[None]:
    """Run a command line in the background, from the line of its output that has a text on."""
    with subprocess.Popen(
        command(shlex.split(line, comments=True)[1:]),
        cwd=directory,
        env={**clean_environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        output = process.stdout
        assert output is not None
        # It may run as long as it is used, but must begin and end in time.
        with _within_deadline(process):
            assert any(until in said for said in output), f"{line}: ended without {until!r}"
        threading.Thread(target=output.read, daemon=True).start()
        try:
            yield
        finally:
            process.send_signal(signal.SIGINT)
            with _within_deadline(process):
                process.wait()


@contextlib.contextmanager
def _within_deadline(process: subprocess.Popen[str]) -> Iterator[None]:
    """Kill the process if the block takes too long, or if it is left by an error."""
    end = threading.Timer(_DEADLINE_S, process.kill)
    end.start()
    try:
        yield
    except BaseException:
        process.kill()
        raise
    finally:
        end.cancel()


def lines_of(name: str) -> list[str]:
    """The commands of a page: those of its code blocks, then those of its tables."""
    blocked = [line for block in blocks(DOCS / name, "console") for line in block.text.splitlines()]
    own = [line.removeprefix("$ ").removesuffix(" &") for line in blocked]
    own = [line for line in own if line.startswith("swn-torture ")]
    spans = code_spans(prose(DOCS / name))
    return own + [span for span in spans if re.match(r"swn-torture cluster .* --target ref", span)]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with `ref.toml`, and the cluster and the client that the page for clients starts."""
    directory = tmp_path_factory.mktemp("world")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]  # of shares, for `client shares`
    with (
        started(directory, f"swn-torture serve --write-profile ref.toml --smb-port {port}", "Ctrl-C"),
        started(
            directory,
            "swn-torture client watch --target ref.toml --client-name ME --share SHARE",
            "registered",
        ),
    ):
        yield directory


def test_page_for_clients_moves_the_cluster(world: Path) -> None:
    said = {}
    key = json.loads(run(world, "swn-torture cluster list --target ref.toml --json").stdout)[0]["Key"]
    for line in lines_of("for-client-authors.md"):
        words = shlex.split(line)
        if words[1] in {"cluster", "client"} and words[2] != "watch":
            done = run(world, line.replace("KEY", key))
            assert done.returncode == 0, f"{line}\n{done.stderr}"
            said[line] = done.stdout
    assert len(said) >= 9
    assert "ME" in said["swn-torture cluster list --target ref.toml"]


@pytest.mark.parametrize(
    "line",
    [
        line
        for line in lines_of("for-client-authors.md")
        # tests/instruments/test_samba_companion.py starts it with Samba's smbd.
        if line.startswith("swn-torture serve -") and "--smbd" not in line
    ][1:],
)
def test_every_way_to_serve_starts(line: str, tmp_path: Path) -> None:
    with started(tmp_path, line, "unused_timeout" if "--list" in line else "Ctrl-C"):
        pass


@pytest.fixture(scope="module")
def findings(world: Path) -> Path:
    """A directory with `my-cluster.toml`, a server with a violation, and `out`, the report of a run on it."""
    (world / "my-cluster.toml").write_text(
        'schema = "swn-torture-target/1"\nname = "mine"\nnet_name = "SWNCLUSTER"\n'
        'account = { username = "witness", password = "Passw0rd!", domain = "SWNTEST" }\n'
        'embedded = { fault = "only-major-version-checked" }\n',
        encoding="utf-8",
    )
    (world / "reports").symlink_to(ROOT / "reports")
    done = run(
        world,
        "swn-torture run --target my-cluster.toml -n 0 --report out --case rpc.register.wrong-version",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return world


@in_gate
def test_pages_about_findings(findings: Path) -> None:
    lines = [line for name in ("triage.md", "citing-a-finding.md") for line in lines_of(name)]
    assert len(lines) > 6
    for line in lines:
        done = run(findings, f"{line} -n 0" if " run " in line else line)
        # `repro` compares; `run` finds the violation; `doctor` has nothing to mend here.
        expected = {1} if " run " in line else {0}
        assert done.returncode in expected, f"{line}: {done.returncode}\n{done.stdout}{done.stderr}"
    assert (findings / "matrix.html").stat().st_size > 100_000


def test_program_of_the_json_page_reads_the_results(findings: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block_with(DOCS / "json-formats.md", "results.json")],
        cwd=findings,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
        timeout=_DEADLINE_S,
    )
    assert re.search(r"SWN-3\.1\.4\.2-version-mismatch rpc\.register", done.stdout)
    assert done.stdout.splitlines()[-1] == "violations True"


@in_gate
def test_first_page_breaks_the_reference(tmp_path: Path) -> None:
    lines = [line for line in lines_of("index.md") if "--fault" in line or "explain" in line]
    broken, explained = (run(tmp_path, f"{line} -n 0" if " run " in line else line) for line in lines)
    assert broken.returncode == 1, broken.stderr
    assert (tmp_path / "broken" / "index.html").exists()
    assert "3.1.4.2" in explained.stdout


def test_page_for_samba(tmp_path: Path) -> None:
    """What needs no lab runs; tests/lab runs the lab and the gate."""
    (tmp_path / "reports").symlink_to(ROOT / "reports")
    lines = lines_of("for-samba-developers.md")
    for line in lines:
        check(line)
        if line.startswith(("swn-torture baseline", "swn-torture report")):
            assert run(tmp_path, line).returncode == 0, line
    assert len(lines) > 6
