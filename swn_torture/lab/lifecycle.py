"""Bringing a lab up, looking at it, and taking it down without a trace."""

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
_SETTLE_TIMEOUT: Final = 20.0
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
    """The version of its Samba, as `4.22.11-Debian-...`."""
    directory: Path
    """Its state and its logs: `<directory>/<node>/log`."""

    @property
    def name(self) -> str:
        """The lab's name."""
        return self.config.name

    @property
    def client_prefix(self) -> list[str]:
        """What to put before a command on this machine so that it reaches the nodes."""
        return ["ip", "netns", "exec", namespace(self.config.name, "client")]

    def node_prefix(self, node: str) -> list[str]:
        """What to put before a command to run it as root on a node."""
        return nodes.prefix(self.config.name, node)


@dataclass(frozen=True, slots=True)
class NodeHealth:
    """One node as it is now."""

    name: str
    address: str
    running: bool
    ctdb: str
    """`ok`, or CTDB's flags for it, or why nothing is known."""
    addresses: tuple[str, ...] = ()
    """The public addresses that CTDB has put there."""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """What is there of a lab."""

    name: str
    state: str
    """`up`, `down`, or `broken`: there are remains of one, which `down` removes."""
    lab: Lab | None
    nodes: tuple[NodeHealth, ...] = ()


def up(config: LabConfig | None = None, progress: Progress = lambda _: None) -> Lab:
    """Bring a lab up and return once all its nodes serve; one that is up already is returned as it is.

    Args:
        config: what it should be like; default three nodes of Debian 13.
        progress: is told what happens, a few words at a time.

    Raises:
        LabError: when it could not be brought up. Whatever had been made is taken down again, as it is after
            Ctrl-C; after a `kill -9` the next `up` or `down` does so.
    """
    config = config or LabConfig()
    require_host()
    with _lock(config.name, progress):
        if (running := _running(config, progress)) is not None:
            return running
        base = ensure_base(config.release, progress)
        try:
            return _build(config, base, progress)
        except BaseException:
            progress("taking the unfinished lab down")
            _remove(config.name)
            raise


def down(name: str = "lab", progress: Progress = lambda _: None) -> bool:
    """Take a lab down, or what is left of one; returns whether there was anything.

    The base tree stays in the cache. Raises `LabError` when something resists.
    """
    require_host()
    with _lock(check_name(name), progress):
        there = bool(namespaces.namespaces_of(name)) or run_directory(name).exists()
        if there:
            progress(f"taking the lab {name!r} down")
            _remove(name)
        return there


def status(name: str = "lab") -> LabStatus:
    """Look at a lab without changing it. Raises `LabError` unless root."""
    require_host()
    names = namespaces.namespaces_of(check_name(name))
    lab = find(name)
    if lab is None:
        return LabStatus(name, "broken" if names or run_directory(name).exists() else "down", None)
    health_of = _node_health(lab)
    complete = all(node.running for node in health_of) and namespace(name, "client") in names
    return LabStatus(name, "up" if complete else "broken", lab, health_of)


def find(name: str = "lab") -> Lab | None:
    """The lab as it was made, or None when none of this name has been finished."""
    directory = run_directory(name)
    try:
        stored = json.loads((directory / "lab.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise LabError(f"The state of the lab in {directory} cannot be read: {error}") from error
    settings = stored["config"]
    settings["users"] = tuple(User(**user) for user in settings["users"])
    return Lab(LabConfig(**settings), stored["samba"], directory)


def execute(node: str, argv: Sequence[str], name: str = "lab") -> int:
    """Run a command on a node, or in the `client` namespace, on our own terminal; returns its exit code."""
    return subprocess.call(command(node, argv, name))  # noqa: S603 - what it is for


def command(node: str, argv: Sequence[str], name: str = "lab") -> list[str]:
    """The command of the host that runs `argv` on a node or in the `client` namespace.

    Raises `LabError` when the lab is not up or has no such node.
    """
    lab = find(name)
    if lab is None:
        raise LabError(f"The lab {name!r} is not up on this machine: swn-torture lab up.")
    known = [each.name for each in lab.config.node_configs]
    if node == "client":
        return [*lab.client_prefix, *argv]
    if node not in known:
        raise LabError(f"The lab {name!r} has no node {node!r}; it has {', '.join([*known, 'client'])}.")
    return [*lab.node_prefix(node), *argv]


# ---------------------------------------------------------------------------------------------------------


def _lock(name: str, progress: Progress) -> AbstractContextManager[None]:
    path = run_directory(name).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path, f"is busy with the lab {name!r}", progress, timeout=_LOCK_TIMEOUT)


def _running(config: LabConfig, progress: Progress) -> Lab | None:
    """The lab if it is up and well; clears away what is broken."""
    now = status(config.name)
    if now.state == "down":
        return None
    if now.lab is not None and now.state == "up":
        if replace(now.lab.config, timeout=config.timeout) != config:
            raise LabError(
                f"A lab {config.name!r} is up with other settings ({_differences(now.lab.config, config)}). "
                f"Take it down first, or give this one another name."
            )
        if not all(node.ctdb == "ok" for node in now.nodes):
            progress("the lab is up but not well; waiting for it to settle")
        try:
            health.wait_for_ctdb(config, time.monotonic() + _SETTLE_TIMEOUT)
        except LabError as error:
            progress(f"it does not: {error}")
        else:
            progress("the lab is up already")
            return now.lab
    progress("clearing away a lab that is not well")
    _remove(config.name)
    return None


def _differences(there: LabConfig, wanted: LabConfig) -> str:
    old, new = asdict(there), asdict(wanted)
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
    """Run a command on all nodes at once; the first failure is raised when all have ended."""
    with ThreadPoolExecutor(max_workers=config.nodes) as pool:
        tasks = [pool.submit(nodes.run_on, config.name, node.name, argv) for node in config.node_configs]
    for task in tasks:
        task.result()


def _node_health(lab: Lab) -> tuple[NodeHealth, ...]:
    config = lab.config
    check_still_serving = {
        node.name: namespaces.init_process(namespace(config.name, node.name)) is not None
        for node in config.node_configs
    }
    view: dict[str, str] = {}
    hosted: dict[str, int | None] = {}
    why = "unknown"
    for node in config.node_configs:
        if not check_still_serving[node.name]:
            continue
        try:
            view = {
                n.address: "+".join(sorted(n.flags)) or "ok" for n in health.ctdb_view(config.name, node.name)
            }
            hosted = health.hosted_addresses(config.name, node.name)
            break
        except LabError as error:
            why = str(error)
    return tuple(
        NodeHealth(
            node.name,
            node.address,
            check_still_serving[node.name],
            view.get(node.address, why) if check_still_serving[node.name] else "not running",
            tuple(address for address, pnn in hosted.items() if pnn == node.index),
        )
        for node in config.node_configs
    )


def _remove(name: str) -> None:
    """Remove a lab by what its names tell, however it came to be as it is."""
    spared = namespaces.ancestors()
    names = namespaces.namespaces_of(name)
    inside = [pid for each in names for pid in namespaces.processes_in(each) if pid not in spared]
    if resisting := namespaces.kill_all(inside):
        raise LabError(f"Processes of the lab {name!r} do not end: {', '.join(map(str, resisting))}.")
    for each in names:
        namespaces.delete(each)
    directory = run_directory(name)
    if directory.exists():
        # Nothing is mounted below it but in the nodes' own mount namespaces, which have ended.
        mounted = [
            line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        ]
        for target in sorted((t for t in mounted if Path(t).is_relative_to(directory)), reverse=True):
            run(["umount", "-l", target])
        shutil.rmtree(directory)
