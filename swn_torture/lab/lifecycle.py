"""Start a lab, report its state, and remove everything of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError
from swn_torture.lab import directory as directory_service
from swn_torture.lab import health, namespaces
from swn_torture.lab import node as nodes
from swn_torture.lab.addresses import client_addresses
from swn_torture.lab.base import ensure_base
from swn_torture.lab.config import (
    LabConfig,
    User,
    build_directory,
    check_name,
    namespace,
    run_directory,
)
from swn_torture.lab.domain.names import CONTROLLER
from swn_torture.lab.errors import LabError
from swn_torture.lab.samba import DEBIAN, Build, Identity, Places, find_build, fingerprint, prepare
from swn_torture.lab.scripts import exec_script, machine_script
from swn_torture.lab.settings import shares_of, start_services
from swn_torture.lab.tools import locked, require_host, run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager

    Progress = Callable[[str], None]

_LOCK_TIMEOUT: Final = 600.0
_RUNNING_LAB_TIMEOUT: Final = 20.0
"""Seconds that a running lab may take to become healthy before `up` replaces it."""
_SETTING_PROBLEM: Final = re.compile(r"[Uu]nknown parameter|Ignoring|invalid|[Ee]rror")
START_CTDB: Final = ("ctdbd",)


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up."""

    config: LabConfig
    samba: str
    """The version of its Samba as `smbd --version` prints it: `4.22.11-Debian-...`."""
    directory: Path
    """The directory of its state, its scripts and its logs (`<directory>/<node>/log`)."""
    builds: Mapping[str, str] = field(default_factory=dict)
    """The build ids of its programs: `rpcd_witness` -> hexadecimal digits."""
    places: Places = DEBIAN
    """Where its Samba has its programs and files."""
    fingerprint: str = ""
    """Changes when a file of a Samba of the user changes; empty for Debian's packages."""
    layers: tuple[Path, ...] = ()
    """The directories that its nodes mount over each other, top first."""

    @property
    def name(self) -> str:
        """The name of the lab."""
        return self.config.name

    @property
    def client_prefix(self) -> list[str]:
        """The words before a command of this machine so that it runs where the nodes are reachable."""
        return ["ip", "netns", "exec", namespace(self.config.network_lab, "client")]

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
    """`up`: it runs, and the suite can use it. `unusable`: it runs, but see `problem`. `down`: there is none.
    `broken`: parts of a lab exist, which `down` removes."""
    lab: Lab | None
    nodes: tuple[NodeHealth, ...] = ()
    problem: str = ""
    """Why it is unusable: a node is not OK, or a public address has no host."""


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
        base = ensure_base(config.release, progress, packages=config.packages)
        try:
            return _start(config, _prepared(config, base, progress), progress)
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
        names = [*instances_of(name), name]
        exists = any(namespaces.namespaces_of(each) or run_directory(each).exists() for each in names)
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
    if not namespaces.exists(namespace(lab.config.network_lab, "client")) or not all(
        node.running for node in node_states
    ):
        return LabStatus(name, "broken", lab, node_states)
    if (domain := _controller_of(lab)) is not None and not namespaces.processes_in(domain):
        return LabStatus(name, "broken", lab, node_states)
    views = (health.problem_of_ctdb(lab.config, node.name) for node in node_states)
    problem = next(filter(None, views), "")
    return LabStatus(name, "unusable" if problem else "up", lab, node_states, problem)


def _controller_of(lab: Lab) -> str | None:
    """Return the namespace of the domain controller that a lab uses; None for a lab without a domain."""
    return namespace(lab.config.network_lab, CONTROLLER) if lab.config.in_domain else None


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
    settings["packages"] = tuple(settings.get("packages", ()))
    return Lab(
        LabConfig(**settings),
        stored["samba"],
        directory,
        stored.get("builds", {}),
        Places.from_stored(stored.get("places", {})),
        stored.get("fingerprint", ""),
        tuple(Path(layer) for layer in stored.get("layers", ())),
    )


def find_by_namespace(network_namespace: str) -> Lab | None:
    """Return the lab that the `network_namespace` of a target profile leads to; None for any other target."""
    name = namespaces.lab_of_namespace(network_namespace)
    try:
        return find(name) if name is not None and namespaces.exists(network_namespace) else None
    except LabError:
        return None


def instances_of(name: str) -> list[str]:
    """Return the names of the instances of a lab that exist, in any state."""
    directories = run_directory(name).parent.glob(f"{name}.*/")
    found = {*namespaces.lab_names(), *(directory.name for directory in directories if directory.is_dir())}
    return sorted(each for each in found if each.startswith(f"{name}."))


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
    known += [CONTROLLER] if lab.config.in_domain and not lab.config.network else []
    if node == "client":
        return [*lab.client_prefix, *argv]
    if node not in known:
        raise LabError(f"Unknown node {node!r}; the lab {name!r} has: {', '.join([*known, 'client'])}.")
    return [*lab.node_prefix(node), *argv]


def _lock(name: str, progress: Progress) -> AbstractContextManager[None]:
    path = run_directory(name).with_name(f"{name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    return locked(path, f"uses the lab {name!r}", progress, timeout=_LOCK_TIMEOUT)


def _running_lab(config: LabConfig, progress: Progress) -> Lab | None:
    """Return the lab if it is up and healthy, or None after removing what is left of it."""
    now = status(config.name)
    if now.state == "down":
        return None
    if now.lab is not None and now.state in {"up", "unusable"}:
        if replace(now.lab.config, timeout=config.timeout) != config:
            raise LabError(
                f"A lab {config.name!r} is up with other settings ({_differences(now.lab.config, config)}). "
                f"Stop it with `swn-torture lab down --name {config.name}`, or choose another --name."
            )
        if config.samba and fingerprint(find_build(config.samba)) != now.lab.fingerprint:
            raise LabError(
                f"The lab {config.name!r} runs {config.samba} as it was before its last change. Stop it with "
                f"`swn-torture lab down --name {config.name}`, and start it again."
            )
        if now.problem:
            progress(f"the lab is up but not healthy: {now.problem}; waiting")
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


def _prepared(config: LabConfig, base: Path, progress: Progress) -> Build:
    """Make the directories of a lab, and prepare its Samba."""
    directory = run_directory(config.name)
    directory.mkdir()
    if config.network and (lab := find(config.network)) is not None:
        # An instance runs the same files as its lab, also when the user has built again.
        return Build(lab.layers, lab.places, Identity(lab.samba, lab.builds), lab.fingerprint)
    files = build_directory(config.name)
    # `_remove` finds the directory by this link, whatever the environment says then.
    (directory / "build").symlink_to(files)
    if files.exists():
        shutil.rmtree(files)
    if config.samba:
        files.mkdir(parents=True)
    build = prepare(config, base, files, progress)
    for note in build.notes:
        progress(note)
    return build


def _start(config: LabConfig, build: Build, progress: Progress) -> Lab:
    deadline = time.monotonic() + config.timeout
    directory = run_directory(config.name)
    (directory / "mnt").mkdir()
    (directory / "shared").mkdir()
    for share in shares_of(config):
        path = directory / "shared" / share
        path.mkdir()
        path.chmod(0o777)
    for name, text in (("exec", exec_script(build.places)), ("machine", machine_script(config))):
        (directory / name).write_text(text, encoding="ascii")
        (directory / name).chmod(0o755)

    progress(f"making {config.nodes} node{'s' if config.nodes > 1 else ''}")
    if not config.network:
        nodes.add_switch(config.name)
        nodes.connect(config, "client", *client_addresses(ipv6=config.ipv6))
    with ThreadPoolExecutor(max_workers=1) as beside:
        domain = None
        if config.in_domain and not config.network:
            progress("making the domain")
            domain = beside.submit(directory_service.start_controller, config, build.layers[-1])
        for node in config.node_configs:
            nodes.boot(config, node, build)
        if config.smb_conf:
            _check_settings(config, build)

        progress("starting CTDB")
        _on_all(config, START_CTDB)
        health.wait_for_ctdb(config, deadline)
        if domain is not None:
            domain.result()

    progress("starting Samba")
    first = config.node_configs[0].name
    if config.in_domain:
        progress("joining the domain")
        directory_service.join(config)
    else:
        _add_users(config)
    services = start_services(config, build.places)
    for argv in services:
        _on_all(config, argv)
    progress("waiting for SMB and witness on every node")
    health.wait_for_service(config, deadline, services)

    version = nodes.run_on(config.name, first, ["smbd", "--version"]).stdout.strip().removeprefix("Version ")
    stored = {
        "config": asdict(config),
        "samba": version,
        "layers": [str(layer) for layer in build.layers],
        "builds": dict(build.identity.builds),
        "places": asdict(build.places),
        "fingerprint": build.fingerprint,
    }
    unfinished = directory / "lab.json.partial"
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(stored, indent=2) + "\n", encoding="utf-8")
    unfinished.rename(directory / "lab.json")
    progress(f"the lab is up: Samba {version}")
    identity = build.identity
    return Lab(config, version, directory, identity.builds, build.places, build.fingerprint, build.layers)


def _add_users(config: LabConfig) -> None:
    for user in config.users:
        secret = f"{user.password}\n{user.password}\n"
        argv = ["smbpasswd", "-s", "-a", user.name]
        nodes.run_on(config.name, config.node_configs[0].name, argv, stdin=secret)


def _check_settings(config: LabConfig, build: Build) -> None:
    """Raise `LabError` if Samba does not know a setting of the user; it would only ignore it."""
    first = config.node_configs[0].name
    done = nodes.run_on(
        config.name, first, ["testparm", "--suppress-prompt", build.places.smb_conf], check=False
    )
    problems = [line.strip() for line in done.stderr.splitlines() if _SETTING_PROBLEM.search(line)]
    if done.returncode not in {0, 127} or problems:
        text = " ".join(problems) or done.stderr.strip()
        raise LabError(f"Samba does not accept the settings of --smb-conf: {text}")


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
        except (ControllerError, LabError) as error:
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
    """Remove everything of a lab and of its instances, in any state: the parts are found by their names."""
    spared = namespaces.ancestors()
    labs = [*instances_of(name), name]
    names = [each for lab in labs for each in namespaces.namespaces_of(lab)]
    inside = [pid for each in names for pid in namespaces.processes_in(each) if pid not in spared]
    if remaining := namespaces.kill_all(inside):
        raise LabError(f"Processes of the lab {name!r} do not end: {', '.join(map(str, remaining))}.")
    for each in names:
        namespaces.delete(each)
    for each in labs:
        _remove_directory(run_directory(each))


def _remove_directory(directory: Path) -> None:
    if (link := directory / "build").is_symlink() and link.readlink().is_dir():
        shutil.rmtree(link.readlink())
    if directory.exists():
        # Normally the only mounts below it are those in the mount namespaces of the nodes, which have ended.
        mounted = [
            line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
        ]
        for target in sorted((t for t in mounted if Path(t).is_relative_to(directory)), reverse=True):
            run(["umount", "-l", target])
        shutil.rmtree(directory)
