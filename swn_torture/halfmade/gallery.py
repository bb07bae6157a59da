"""Runs `swn-torture run` on half-made servers, as their author would, and measures what he gets.

The server runs in this process, and the command in another. Its profile has what an author knows on the first
day: addresses, a name, an account, and no controller, unless the server is about events.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.options import Options

# Loaded here and not at the first bind: two servers in threads of this process would load it at once.
importlib.import_module("swn_torture.dcerpc.security.ntlm")

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from swn_torture.halfmade.registry import HalfMade

_HEAD = """\
schema = "swn-torture-target/1"
name = "{name}"
title = "a half-made server: {title}"
net_name = "{config.net_name}"

[account]
username = "witness"
password = "Passw0rd!"
domain = "{config.domain}"

[expect]
unused_timeout = 3.0
scan_interval = 0.5
event_deadline = 3.0
reply_deadline = 2.0
quiet_time = 0.5
long_call = 5.0
shares = [{{ name = "SHARE", scale_out = true }}, {{ name = "PLAIN" }}]
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What an author gets.

    Attributes:
        name: name of the half-made server.
        exit_code: of the command.
        first_line_s: seconds to the first line on the terminal.
        duration_s: seconds to the end.
        page_octets: size of the HTML page; 0 without one.
        violated: ids of the violated requirements.
        findings: ids of the cases with a finding (a violation or a deviation).
        errors: number of cases that ended in an error of the harness.
        passed: number of cases that passed.
        blocked: number of cases that were not tested because of a finding.
        not_tested: number of all cases that were not tested.
        ladder: the rungs with their states, as the JSON results have them; empty without results.
        terminal: the lines of the terminal after the list of cases.
        complete: whether the run came to its end; else it was ended because it took too long.
    """

    name: str
    exit_code: int
    first_line_s: float
    duration_s: float
    page_octets: int = 0
    violated: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    errors: int = 0
    passed: int = 0
    blocked: int = 0
    not_tested: int = 0
    ladder: Any = None
    terminal: tuple[str, ...] = ()
    complete: bool = True

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Seen:
        """The same, from plain values."""
        lists = {name: tuple(data[name]) for name in ("violated", "findings", "terminal")}
        return cls(**{**data, **lists})


@contextlib.contextmanager
def serving(server: HalfMade, profile: Path) -> Iterator[EmbeddedCluster]:
    """Run a half-made server, and write its profile.

    Args:
        server: the half-made server.
        profile: the file to write.
    """
    options = Options(unused_timeout=3.0, scan_interval=0.1)
    config, parts = server.apply(ClusterConfig(options=options), Parts())
    with EmbeddedCluster(config, parts) as cluster:
        profile.write_text(profile_text(server, cluster), encoding="utf-8")
        yield cluster


def profile_text(server: HalfMade, cluster: EmbeddedCluster) -> str:
    """The profile of a half-made server that runs."""
    lines = [_HEAD.format(name=server.name, title=server.if_, config=cluster.config)]
    for node in cluster.nodes:
        lines += ["[[node]]", f'name = "{node.name}"', f'address = "{node.address}"']
        # Without an endpoint mapper nothing listens on its port. Port 1 of a loopback address is closed.
        lines += (
            [f"endpoint_mapper_port = {node.epm_port}"]
            if server.mapper
            else ["endpoint_mapper_port = 1", f"port = {node.port}"]
        )
        lines.append("")
    lines.append("[controller]")
    if server.events:
        lines += [
            'kind = "reference"',
            f'address = "{cluster.admin_address}"',
            f"port = {cluster.admin_port}",
        ]
    else:
        lines.append('kind = "none"')
    return "\n".join([*lines, ""])


def see(server: HalfMade, directory: Path, arguments: Sequence[str] = (), *, timeout: float = 900.0) -> Seen:
    """Run the command on a half-made server.

    Args:
        server: the half-made server.
        directory: where the profile and the reports are written.
        arguments: more arguments of `swn-torture run`.
        timeout: seconds after which the command is ended.
    """
    directory.mkdir(parents=True, exist_ok=True)
    profile = directory / "profile.toml"
    page, results = directory / "index.html", directory / "results.json"
    for file in (page, results):
        file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "swn_torture", "run", "--target", str(profile)]
    command += ["--html", str(page), "--json", str(results), *arguments]
    with serving(server, profile):
        code, first, duration, lines = _timed(command, timeout)
    found: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.is_file() else {}
    cases = found.get("cases", [])
    outcomes = [case["outcome"] for case in cases]
    return Seen(
        server.name,
        code,
        round(first, 1),
        round(duration, 1),
        page.stat().st_size if page.is_file() else 0,
        tuple(row["id"] for row in found.get("requirements", []) if row["verdict"] == "violated"),
        tuple(case["id"] for case in cases if case["outcome"] in {"failed", "deviation"}),
        outcomes.count("error"),
        outcomes.count("passed"),
        sum(bool(case["because"]) for case in cases),
        outcomes.count("not-tested"),
        found.get("ladder"),
        tuple(line for line in lines if not line.startswith("["))[-60:],
        complete=duration <= timeout,
    )


def _timed(command: list[str], timeout: float) -> tuple[int, float, float, list[str]]:
    """Exit code, seconds to the first line, seconds to the end, and the lines of a command."""
    began = time.monotonic()
    first = 0.0
    lines: list[str] = []
    with subprocess.Popen(  # noqa: S603 - our own command
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            first = first or time.monotonic() - began
            lines.append(line.rstrip())
            if time.monotonic() - began > timeout:
                process.terminate()
        code = process.wait()
    return code, first, time.monotonic() - began, lines
