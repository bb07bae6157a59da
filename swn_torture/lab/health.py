"""Wait until the cluster is healthy: CTDB, SMB and the witness service, each with a deadline."""

from __future__ import annotations

import json
import time
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError
from swn_torture.control.ctdb.output import CtdbNode, parse_addresses, parse_status
from swn_torture.lab import node as nodes
from swn_torture.lab.config import run_directory
from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from swn_torture.lab.config import LabConfig

_POLL_SECONDS: Final = 0.1
_END_WORKERS: Final = "pkill -KILL --ns $$ --nslist net -x rpcd_witness"
_PROBE_SECONDS: Final = 30.0
"""Seconds that the nodes have at least to serve, even if CTDB was healthy only at the deadline."""


def ctdb_view(lab: str, seen_from: str) -> tuple[CtdbNode, ...]:
    """Return all nodes as one of them sees them.

    Raises:
        LabError: the CTDB of that node does not answer.
    """
    done = nodes.run_on(lab, seen_from, ["ctdb", "-X", "status"], timeout=10, check=False)
    if done.returncode != 0:
        raise LabError(f"ctdb on {seen_from} does not answer: {(done.stderr or done.stdout).strip()}")
    return parse_status(done.stdout)


def hosted_addresses(lab: str, seen_from: str) -> dict[str, int | None]:
    """Return each public address with the PNN of its host, or None, as one node sees it."""
    done = nodes.run_on(lab, seen_from, ["ctdb", "-X", "ip", "all"], timeout=10)
    return parse_addresses(done.stdout)


def in_recovery(lab: str, seen_from: str) -> bool:
    """Whether CTDB recovers its databases. Takes up to a second: `ctdb status` waits for the leader."""
    done = nodes.run_on(lab, seen_from, ["ctdb", "status"], timeout=10, check=False)
    return "Recovery mode:NORMAL" not in done.stdout


def wait_for_ctdb(config: LabConfig, deadline: float) -> None:
    """Return when every node sees every node as OK, every address is hosted, and no recovery runs.

    Args:
        config: the configuration of the lab.
        deadline: the latest time, by `time.monotonic()`.

    Raises:
        LabError: CTDB is not healthy at the deadline.
    """
    waiting = [node.name for node in config.node_configs]
    while waiting:
        problem = problem_of_ctdb(config, waiting[0])
        if not problem:
            waiting.pop(0)
            continue
        _pause(deadline, f"CTDB did not become healthy within {config.timeout:g} s: {problem}", config)
    wait_until(
        lambda: not in_recovery(config.name, config.node_configs[0].name),
        deadline,
        f"CTDB was still recovering its databases after {config.timeout:g} s",
        config,
    )


def problem_of_ctdb(config: LabConfig, seen_from: str) -> str:
    """Return why CTDB is not healthy as one node sees it, or an empty string.

    It is healthy when every node is OK and every public address has a host.
    """
    try:
        view = ctdb_view(config.name, seen_from)
        if len(view) != config.nodes or any(node.flags for node in view):
            return f"{seen_from} sees " + ", ".join(
                f"{n.address} {'+'.join(sorted(n.flags)) or 'ok'}" for n in view
            )
        hosts = hosted_addresses(config.name, seen_from)
    except (ControllerError, LabError) as error:
        return str(error)
    expected = [address for node in config.node_configs for address in node.public_addresses]
    unhosted = [address for address in dict.fromkeys((*expected, *hosts)) if hosts.get(address) is None]
    return f"no node hosts {', '.join(unhosted)}" if unhosted else ""


def wait_for_service(
    config: LabConfig, deadline: float, services: Sequence[Sequence[str]] = ()
) -> list[dict[str, object]]:
    """Return when every node serves SMB and witness; the result has one row of the probe for each node.

    On a loaded machine a daemon may end right after its start: what does not run after a while is started
    once more. A process of the witness service may hang from the start (`swn_torture.control.ctdb.hangs`),
    and get every probe. So the processes of a node that does not serve are ended, and it is probed again.

    Args:
        config: the configuration of the lab.
        deadline: the latest time, by `time.monotonic()`.
        services: the command lines that start the daemons of a node.

    Raises:
        LabError: a node does not serve at the deadline.
    """
    rows, errors = _probe(config, _PROBE_SECONDS)
    if not errors and rows:
        return rows
    for node in config.node_configs:
        for argv in services if node.address in errors else ():
            if not _runs(config, node.name, PurePath(argv[0]).name):
                nodes.run_on(config.name, node.name, argv, check=False)
    rows, errors = _probe(config, max(_PROBE_SECONDS, deadline - time.monotonic()))
    if not errors and rows:
        return rows
    for node in config.node_configs:
        if node.address in errors:
            nodes.run_on(config.name, node.name, ["sh", "-c", _END_WORKERS], check=False)
    rows, errors = _probe(config, _PROBE_SECONDS)
    if not errors and rows:
        return rows
    why = "; ".join(f"{address}: {error}" for address, error in errors.items())
    raise LabError(
        f"CTDB is healthy, but a node does not serve: {why}.{_not_running(config)}{log_tail(config)}"
    )


def _probe(config: LabConfig, seconds: float) -> tuple[list[dict[str, object]], dict[str, str]]:
    """The rows of the probe, and what is wrong with each address that does not serve within some seconds."""
    first, *_ = config.node_configs
    addresses = [node.address for node in config.node_configs]
    argv = ["swn-probe", f"{seconds:.0f}", *addresses]
    done = nodes.run_on(config.name, first.name, argv, timeout=seconds + 30, check=False)
    rows: list[dict[str, object]] = [json.loads(line) for line in done.stdout.splitlines()]
    errors = {str(row["address"]): str(row["error"]) for row in rows if "error" in row}
    if done.returncode != 0 and not errors:
        errors = {addresses[0]: done.stderr.strip()[-400:]}
    return rows, errors


def _not_running(config: LabConfig) -> str:
    """Return which daemons do not run, and on which nodes, as a sentence for an error."""
    missing = [
        f"{daemon} on {node.name}"
        for node in config.node_configs
        for daemon in ("ctdbd", "smbd", "samba-dcerpcd")
        if not _runs(config, node.name, daemon)
    ]
    return f" Not running: {', '.join(missing)}." if missing else ""


def _runs(config: LabConfig, node: str, daemon: str) -> bool:
    return nodes.run_on(config.name, node, ["pgrep", "-x", daemon], check=False).returncode == 0


def wait_until(condition: Callable[[], bool], deadline: float, why: str, config: LabConfig) -> None:
    """Return when the condition is true.

    Args:
        condition: the check.
        deadline: the latest time, by `time.monotonic()`.
        why: the text of the error.
        config: the configuration of the lab.

    Raises:
        LabError: the condition is false at the deadline.
    """
    while not condition():
        _pause(deadline, why, config)


def _pause(deadline: float, why: str, config: LabConfig) -> None:
    if time.monotonic() > deadline:
        raise LabError(f"{why}.{log_tail(config)}")
    time.sleep(_POLL_SECONDS)


def log_tail(config: LabConfig) -> str:
    """Return the last lines of CTDB's log on the first node, as a sentence for an error."""
    log = run_directory(config.name) / config.node_configs[0].name / "log" / "ctdb.log"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    except OSError:
        return ""
    return f" The end of {log}: {' / '.join(lines)}" if lines else ""
