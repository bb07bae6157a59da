"""Waiting for the cluster to be well: CTDB, SMB and the witness service, each with a deadline."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from swn_torture.control.ctdb_output import CtdbNode, parse_addresses, parse_status
from swn_torture.lab import node as nodes
from swn_torture.lab.config import run_directory
from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.lab.config import LabConfig

_POLL_SECONDS: Final = 0.1


def ctdb_view(lab: str, seen_from: str) -> tuple[CtdbNode, ...]:
    """All nodes as one of them sees them; `LabError` if its CTDB does not answer."""
    done = nodes.run_on(lab, seen_from, ["ctdb", "-X", "status"], timeout=10, check=False)
    if done.returncode != 0:
        raise LabError(f"ctdb on {seen_from} does not answer: {(done.stderr or done.stdout).strip()}")
    return parse_status(done.stdout)


def hosted_addresses(lab: str, seen_from: str) -> dict[str, int | None]:
    """Every public address and the PNN of the node that hosts it, if any, as one node sees it."""
    done = nodes.run_on(lab, seen_from, ["ctdb", "-X", "ip", "all"], timeout=10)
    return parse_addresses(done.stdout)


def in_recovery(lab: str, seen_from: str) -> bool:
    """Whether CTDB is recovering its databases. Takes up to a second: it listens for the cluster's leader."""
    done = nodes.run_on(lab, seen_from, ["ctdb", "status"], timeout=10, check=False)
    return "Recovery mode:NORMAL" not in done.stdout


def wait_for_ctdb(config: LabConfig, deadline: float) -> None:
    """Return once every node is OK to every node and every address is hosted; `LabError` at the deadline."""
    waiting = [node.name for node in config.node_configs]
    while waiting:
        wrong = _what_is_wrong(config, waiting[0])
        if not wrong:
            waiting.pop(0)
            continue
        _pause(deadline, f"CTDB did not become healthy within {config.timeout:g} s: {wrong}", config)
    wait_until(
        lambda: not in_recovery(config.name, config.node_configs[0].name),
        deadline,
        f"CTDB was still recovering its databases after {config.timeout:g} s",
        config,
    )


def _what_is_wrong(config: LabConfig, seen_from: str) -> str:
    try:
        view = ctdb_view(config.name, seen_from)
        if len(view) != config.nodes or any(node.flags for node in view):
            return f"{seen_from} sees " + ", ".join(
                f"{n.address} {'+'.join(sorted(n.flags)) or 'ok'}" for n in view
            )
        homeless = [
            address for address, pnn in hosted_addresses(config.name, seen_from).items() if pnn is None
        ]
    except LabError as error:
        return str(error)
    return f"no node hosts {', '.join(homeless)}" if homeless else ""


def wait_for_service(config: LabConfig, deadline: float) -> list[dict[str, object]]:
    """Return what the probe found once every node serves SMB and witness; `LabError` at the deadline."""
    left = max(5.0, deadline - time.monotonic())
    first, *_ = config.node_configs
    argv = ["swn-probe", f"{left:.0f}", *(node.address for node in config.node_configs)]
    done = nodes.run_on(config.name, first.name, argv, timeout=left + 30, check=False)
    answers: list[dict[str, object]] = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode == 0:
        return answers
    bad = [f"{answer['address']}: {answer['error']}" for answer in answers if "error" in answer]
    why = "; ".join(bad) or done.stderr.strip()[-400:]
    raise LabError(f"The cluster is up but does not serve: {why}.{_not_running(config)}{log_tail(config)}")


def _not_running(config: LabConfig) -> str:
    """Which daemon runs on which node no longer, as a sentence for an error."""
    missing = [
        f"{daemon} on {node.name}"
        for node in config.node_configs
        for daemon in ("ctdbd", "smbd", "samba-dcerpcd")
        if nodes.run_on(config.name, node.name, ["pgrep", "-x", daemon], check=False).returncode != 0
    ]
    return f" Not running: {', '.join(missing)}." if missing else ""


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
