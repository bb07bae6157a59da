"""Waiting for the cluster to be well: CTDB, SMB and the witness service, each with a deadline."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab import node as nodes
from swn_torture.lab.config import run_directory
from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.lab.config import LabConfig

_POLL_SECONDS: Final = 0.1
_BAD_FLAGS: Final = (
    "disconnected",
    "unknown",
    "banned",
    "disabled",
    "unhealthy",
    "stopped",
    "inactive",
    "partial",
)


@dataclass(frozen=True, slots=True)
class CtdbNode:
    """One line of `ctdb status`: a node as CTDB on one node sees it."""

    pnn: int
    address: str
    flags: tuple[str, ...]
    """Of disconnected, unknown, banned, disabled, unhealthy, stopped, inactive, partial; empty when OK."""


def ctdb_view(lab: str, seen_from: str) -> tuple[tuple[CtdbNode, ...], bool]:
    """All nodes as one of them sees them, and whether no recovery is going on; `LabError` if it is silent."""
    lines = nodes.run_on(lab, seen_from, ["ctdb", "-X", "status"], timeout=10, check=False)
    if not lines.stdout.startswith("|Node|"):
        raise LabError(f"ctdb on {seen_from} does not answer: {(lines.stderr or lines.stdout).strip()}")
    mode = nodes.run_on(lab, seen_from, ["ctdb", "status"], timeout=10, check=False).stdout
    return parse_status(lines.stdout), "Recovery mode:NORMAL" in mode


def parse_status(text: str) -> tuple[CtdbNode, ...]:
    r"""The nodes in the output of `ctdb -X status`.

    >>> parse_status("|Node|IP|Disconnected|Banned|\n|0|198.51.100.10|0|1|\n")
    (CtdbNode(pnn=0, address='198.51.100.10', flags=('banned',)),)
    """
    header, *rows = (line.strip("|").split("|") for line in text.splitlines() if line.startswith("|"))
    names = [name.lower() for name in header]
    found = []
    for row in rows:
        fields = dict(zip(names, row, strict=False))
        flags = tuple(flag for flag in _BAD_FLAGS if fields.get(flag) == "1")
        found.append(CtdbNode(int(fields["node"]), fields["ip"], flags))
    return tuple(found)


def wait_for_ctdb(config: LabConfig, deadline: float) -> None:
    """Return once every node sees every node OK and no recovery is going on; `LabError` at the deadline."""
    waiting = [node.name for node in config.node_configs]
    last = ""
    while waiting:
        name = waiting[0]
        try:
            view, normal = ctdb_view(config.name, name)
        except LabError as error:
            last = str(error)
        else:
            if normal and len(view) == config.nodes and not any(node.flags for node in view):
                waiting.pop(0)
                continue
            states = ", ".join(f"{n.address} {'+'.join(n.flags) or 'ok'}" for n in view)
            last = f"{name} sees {states}{'' if normal else ', in recovery'}"
        _pause(deadline, f"CTDB did not become healthy within {config.timeout:g} s: {last}", config)


def wait_for_service(config: LabConfig, deadline: float) -> list[dict[str, object]]:
    """Return what the probe found once every node serves SMB and witness; `LabError` at the deadline."""
    user = config.users[0]
    left = max(5.0, deadline - time.monotonic())
    addresses = [address for node in config.node_configs for address in (node.address,)]
    script = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    argv = ["python3", "-c", script, config.net_name, config.domain, user.name, f"{left:.0f}", *addresses]
    first = config.node_configs[0].name
    done = nodes.run_on(config.name, first, argv, stdin=f"{user.password}\n", timeout=left + 30, check=False)
    answers: list[dict[str, object]] = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 0:
        return answers
    bad = [f"{answer['address']}: {answer['error']}" for answer in answers if "error" in answer]
    why = "; ".join(bad) or done.stderr.strip()[-400:]
    raise LabError(f"The cluster is up but does not serve: {why}.{log_tail(config)}")


def wait_until(done: Callable[[], bool], deadline: float, why: str, config: LabConfig) -> None:
    """Return once `done()`; `LabError` with `why` at the deadline."""
    while not done():
        _pause(deadline, why, config)


def _pause(deadline: float, why: str, config: LabConfig) -> None:
    if time.monotonic() > deadline:
        raise LabError(f"{why}.{log_tail(config)}")
    time.sleep(_POLL_SECONDS)


def log_tail(config: LabConfig) -> str:
    """The last lines of CTDB's log on the first node, as a sentence for an error."""
    log = run_directory(config.name) / config.node_configs[0].name / "log" / "ctdb.log"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    except OSError:
        return ""
    return f" The end of {log}: {' / '.join(lines)}" if lines else ""
