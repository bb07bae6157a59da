"""Start a lab, report its state, and remove everything of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.lab import health, namespaces
from swn_torture.lab import node as nodes
from swn_torture.lab.base import ensure_base
from swn_torture.lab.config import CLIENT_ADDRESSES, LabConfig, User, check_name, namespace, run_directory
from swn_torture.lab.errors import LabError
from swn_torture.lab.scripts import exec_script, machine_script
from swn_torture.lab.settings import SHARES
from swn_torture.lab.tools import locked, require_host, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    Progress = Callable[[str], None]

_LOCK_TIMEOUT: Final = 600.0
_RUNNING_LAB_TIMEOUT: Final = 20.0
"""Seconds that a running lab may take to become healthy before `up` replaces it."""
START_CTDB: Final = ("ctdbd",)
START_SERVICES: Final = (
    ("smbd", "-D"),
    ("/usr/libexec/samba/samba-dcerpcd", "-D", "--libexec-rpcds"),
)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up."""

    config: LabConfig
    samba: str
    """The version of its Samba as `smbd --version` prints it: `4.22.11-Debian-...`."""
    directory: Path
    """The directory of its state, its scripts and its logs (`<directory>/<node>/log`)."""

    @property
    def name(self) -> str:
        """The name of the lab."""
        return self.config.name

    @property
    def client_prefix(self) -> list[str]:
        """The words before a command of this machine so that it runs where the nodes are reachable."""
        return ["ip", "netns", "exec", namespace(self.config.name, "client")]

    def node_prefix(self, node: str) -> list[str]:
        """Return the words before a command to run it as root on a node."""
        return nodes.prefix(self.config.name, node)


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """The current state of a node."""

    name: str
    address: str
    running: bool
    ctdb: str
    """`ok`, CTDB's flags of the node, or why its state is not known."""
    addresses: tuple[str, ...] = ()
    """The public addresses that it hosts."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """The current state of a lab."""

    name: str
    state: str
    """`up`, `down`, or `broken`: parts of a lab exist, which `down` removes."""
    lab: Lab | None
    nodes: tuple[NodeHealth, ...] = ()


def up(config: LabConfig | None = None, progress: Progress = lambda _: None) -> Lab:
    """Start a lab, and return when all its nodes serve. A healthy lab that is up already stays unchanged.

    Args:
        config: the configuration; default: three nodes of Debian 13.
        progress: called with one line for each step.

    Raises:
        LabError: the lab cannot be started. Everything that was made is removed, as it is after Ctrl-C. After
            `kill -9` the next `up` or `down` removes it.
    """
    config = config or LabConfig()
    require_host()
    with _lock(config.name, progress):
        if (running := _running_lab(config, progress)) is not None:
            return running
        base = ensure_base(config.release, progress)
        try:
            return _build(config, base, progress)
        except BaseException:
            progress("removing the incomplete lab")
            _remove(config.name)
            raise


def down(name: str = "lab", progress: Progress = lambda _: None) -> bool:
    """Stop a lab and remove everything of it; the base tree stays in the cache.

    Args:
        name: the name of the lab.
        progress: called with one line for each step.

    Returns:
        Whether there was a lab, or a part of one.

    Raises:
        LabError: something cannot be removed, or this machine cannot run a lab.
    """
    require_host()
    with _lock(check_name(name), progress):
        exists = bool(namespaces.namespaces_of(name)) or run_directory(name).exists()
        if exists:
            progress(f"removing the lab {name!r}")
            _remove(name)
        return exists


def status(name: str = "lab") -> LabStatus:
    """Return the current state of a lab. Changes nothing.

    Raises:
        LabError: this machine cannot run a lab (not root, or a command is missing).
    """
    require_host()
    names = namespaces.namespaces_of(check_name(name))
    lab = find(name)
    if lab is None:
        return LabStatus(name, "broken" if names or run_directory(name).exists() else "down", None)
    node_states = _node_health(lab)
    complete = all(node.running for node in node_states) and namespace(name, "client") in names
    return LabStatus(name, "up" if complete else "broken", lab, node_states)


def find(name: str = "lab") -> Lab | None:
    """Return a lab as it was started, or None if there is no complete lab with this name.

    Raises:
        LabError: the stored state is not readable.
    """
    directory = run_directory(name)
    try:
        stored = json.loads((directory / "lab.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise LabError(f"Cannot read the state of the lab in {directory}: {error}") from error
    settings = stored["config"]
    settings["users"] = tuple(User(**user) for user in settings["users"])
    return Lab(LabConfig(**settings), stored["samba"], directory)


def execute(node: str, argv: Sequence[str], name: str = "lab") -> int:
    """Run a command on a node or in the `client` namespace, on this terminal, and return its exit code.

    Raises:
        LabError: the lab is not up, or has no such node.
    """
    return subprocess.call(command(node, argv, name))  # noqa: S603 - the purpose of this function


def command(node: str, argv: Sequence[str], name: str = "lab") -> list[str]:
    """Return the command line of this machine that runs `argv` on a node or in the `client` namespace.

    Raises:
        LabError: the lab is not up, or has no such node.
    """
    lab = find(name)
    if lab is None:
        raise LabError(
            f"The lab {name!r} is not up on this machine. Start it with: swn-torture lab up --name {name}"
        )
    known = [each.name for each in lab.config.node_configs]
    if node == "client":
        return [*lab.client_prefix, *argv]
    if node not in known:
        raise LabError(f"Unknown node {node!r}; the lab {name!r} has: {', '.join([*known, 'client'])}.")
    return [*lab.node_prefix(node), *argv]


def _lock(name: str, progress: Progress) -> AbstractContextManager[None]:
    path = run_directory(name).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path, f"uses the lab {name!r}", progress, timeout=_LOCK_TIMEOUT)


def _running_lab(config: LabConfig, progress: Progress) -> Lab | None:
    """Return the lab if it is up and healthy, or None after removing what is left of it."""
    now = status(config.name)
    if now.state == "down":
        return None
    if now.lab is not None and now.state == "up":
        if replace(now.lab.config, timeout=config.timeout) != config:
            raise LabError(
                f"A lab {config.name!r} is up with other settings ({_differences(now.lab.config, config)}). "
                f"Stop it with `swn-torture lab down --name {config.name}`, or choose another --name."
            )
        if not all(node.ctdb == "ok" for node in now.nodes):
            progress("the lab is up but not healthy; waiting")
        try:
            health.wait_for_ctdb(config, time.monotonic() + _RUNNING_LAB_TIMEOUT)
        except LabError as error:
            progress(f"it is still not healthy: {error}")
        else:
            progress("the lab is up already")
            return now.lab
    progress("removing a lab that is not healthy")
    _remove(config.name)
    return None


def _differences(running: LabConfig, requested: LabConfig) -> str:
    old, new = asdict(running), asdict(requested)
    return ", ".join(
        f"{key} {old[key]}" for key in old if old[key] != new[key] and key not in {"users", "timeout"}
    )


def _build(config: LabConfig, base: Path, progress: Progress) -> Lab:
    deadline = time.monotonic() + config.timeout
    directory = run_directory(config.name)
    directory.mkdir()
    (directory / "mnt").mkdir()
    for share in SHARES:
        path = directory / "shared" / share
        path.mkdir(parents=True)
        path.chmod(0o777)
    for name, text in (("exec", exec_script()), ("machine", machine_script(config))):
        (directory / name).write_text(text, encoding="ascii")
        (directory / name).chmod(0o755)

    progress(f"making {config.nodes} node{'s' if config.nodes > 1 else ''}")
    nodes.add_switch(config.name)
    nodes.connect(config, "client", *CLIENT_ADDRESSES)
    for node in config.node_configs:
        nodes.boot(config, node, base)

    progress("starting CTDB")
    _on_all(config, START_CTDB)
    health.wait_for_ctdb(config, deadline)

    progress("starting Samba")
    first = config.node_configs[0].name
    for user in config.users:
        secret = f"{user.password}\n{user.password}\n"
        nodes.run_on(config.name, first, ["smbpasswd", "-s", "-a", user.name], stdin=secret)
    for argv in START_SERVICES:
        _on_all(config, argv)
    progress("waiting for SMB and witness on every node")
    health.wait_for_service(config, deadline)

    version = nodes.run_on(config.name, first, ["smbd", "--version"]).stdout.strip().removeprefix("Version ")
    stored = {"config": asdict(config), "samba": version, "base": str(base)}
    unfinished = directory / "lab.json.partial"
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    unfinished.rename(directory / "lab.json")
    progress(f"the lab is up: Samba {version}")
    return Lab(config, version, directory)


def _on_all(config: LabConfig, argv: Sequence[str]) -> None:
    """Run a command on all nodes at the same time; raise the first error when all have ended."""
    with ThreadPoolExecutor(max_workers=config.nodes) as pool:
        tasks = [pool.submit(nodes.run_on, config.name, node.name, argv) for node in config.node_configs]
    for task in tasks:
        task.result()


def _node_health(lab: Lab) -> tuple[NodeHealth, ...]:
    config = lab.config
    running = {
        node.name: namespaces.init_process(namespace(config.name, node.name)) is not None
        for node in config.node_configs
    }
    view: dict[str, str] = {}
    hosted: dict[str, int | None] = {}
    reason = "unknown"
    for node in config.node_configs:
        if not running[node.name]:
            continue
        try:
            view = {
                n.address: "+".join(sorted(n.flags)) or "ok" for n in health.ctdb_view(config.name, node.name)
            }
            hosted = health.hosted_addresses(config.name, node.name)
            break
        except LabError as error:
            reason = str(error)
    return tuple(
        NodeHealth(
            node.name,
            node.address,
            running[node.name],
            view.get(node.address, reason) if running[node.name] else "not running",
            tuple(address for address, pnn in hosted.items() if pnn == node.index),
        )
        for node in config.node_configs
    )


def _remove(name: str) -> None:
    """Remove everything of a lab, in any state: its parts are found by their names."""
    spared = namespaces.ancestors()
    names = namespaces.namespaces_of(name)
    inside = [pid for each in names for pid in namespaces.processes_in(each) if pid not in spared]
    if remaining := namespaces.kill_all(inside):
        raise LabError(f"Processes of the lab {name!r} do not end: {', '.join(map(str, remaining))}.")
    for each in names:
        namespaces.delete(each)
    directory = run_directory(name)
    if directory.exists():
        # Normally the only mounts below it are those in the mount namespaces of the nodes, which have ended.
        mounted = [
            line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        ]
        for target in sorted((t for t in mounted if Path(t).is_relative_to(directory)), reverse=True):
            run(["umount", "-l", target])
        shutil.rmtree(directory)
