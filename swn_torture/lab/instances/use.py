"""Use an instance of a lab, and keep it while it is used."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from swn_torture.lab.config import run_directory
from swn_torture.lab.errors import LabError
from swn_torture.lab.lifecycle import down, find, find_by_namespace, up
from swn_torture.lab.profile import profile
from swn_torture.lab.tools import environment
from swn_torture.lab.variants import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import IO

    from swn_torture.lab.lifecycle import Lab

_POLL_S: Final = 0.1
#: Seconds that a keeper may take to start an instance; `LabConfig.timeout` is part of it.
_START_S: Final = 240.0
#: Seconds until a keeper has begun, or has seen that there is another one.
_KEEPER_S: Final = 10.0
#: What a keeper writes when its instance is up.
_UP: Final = "up"
#: Seconds that it may take to remove one.
_REMOVE_S: Final = 30.0


def instance_name(lab: str, instance: str) -> str:
    """Return the name of an instance of a lab, as the commands of ``swn-torture lab`` take it."""
    return f"{lab}.{instance}"


def start(network_namespace: str, instance: str) -> Use:
    """Begin to use an instance of the lab of a namespace: start it unless it is up. Does not wait for it.

    Args:
        network_namespace: of the profile of the lab.
        instance: the name of the instance, as in `INSTANCES`.

    Raises:
        LabError: the lab is not up, or it has no such instance.
    """
    lab = find_by_namespace(network_namespace)
    if lab is None:
        raise LabError(f"The network namespace {network_namespace} belongs to no lab that is up.")
    if instance not in INSTANCES:
        raise LabError(f"A lab has no instance {instance!r}; known: {', '.join(INSTANCES)}.")
    return Use(lab, instance)


class Use:
    """The use of an instance by this process, until `end` or the end of the process.

    Args:
        lab: the lab.
        instance: the name of the instance.
    """

    def __init__(self, lab: Lab, instance: str) -> None:
        self.name = instance_name(lab.name, instance)
        self._lock = _file(self.name, "users").open("a")
        deadline = time.monotonic() + _REMOVE_S
        # A keeper that found no user holds it while it removes the instance.
        while not _locked(self._lock, fcntl.LOCK_SH):
            _require_time(deadline, f"The instance {self.name} of the lab is still being removed")
        if not keeper_runs(self.name):
            _file(self.name, "keeper").write_text("", encoding="utf-8")
            _start_keeper(lab.name, instance)

    def wait(self) -> Lab:
        """Return the instance when it is up.

        Raises:
            LabError: it cannot be started.
        """
        began = time.monotonic()
        while not (said := _said(self.name)):
            if time.monotonic() > began + _KEEPER_S and not keeper_runs(self.name):
                raise LabError(f"The process that keeps the instance {self.name} of the lab ended.")
            _require_time(began + _START_S, f"The instance {self.name} of the lab is not up")
        if said != _UP:
            raise LabError(f"The instance {self.name} of the lab cannot be started: {said}")
        lab = find(self.name)
        if lab is None:
            raise LabError(f"The instance {self.name} of the lab was removed.")
        return lab

    def end(self) -> None:
        """End the use. The keeper removes the instance if this was the last one."""
        self._lock.close()


def profile_of_variant(lab: Lab, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the profile of a variant, as the tables of a TOML file.

    Args:
        lab: the instance, which is up.
        table: the table ``[variants.NAME]`` of the profile of its lab.
    """
    tables = profile(lab)
    if table.get("ipv6"):
        for row, node in zip(tables["node"], lab.config.node_configs, strict=True):
            row["address"] = node.fixed_addresses[-1]
    return tables


def keep(lab: str, instance: str) -> None:
    """Start an instance, wait until no process uses it or its lab is gone, and remove it: what a keeper does.

    Args:
        lab: the name of the lab.
        instance: the name of the instance.
    """
    name = instance_name(lab, instance)
    with _file(name, "keeper").open("a") as keeper, _file(name, "users").open("a") as users:
        deadline = time.monotonic() + _KEEPER_S
        # `keeper_runs` holds it for a moment.
        while not _locked(keeper, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                return  # another keeper has it
            time.sleep(_POLL_S)
        if _locked(users, fcntl.LOCK_EX):
            return  # it waited for another keeper, which has removed the instance
        keeper.truncate(0)
        try:
            keeper.write(_started(lab, instance))
            keeper.flush()
            while not _locked(users, fcntl.LOCK_EX) and run_directory(lab).exists():
                time.sleep(_POLL_S)
        finally:
            down(name)
            keeper.truncate(0)


def _started(lab: str, instance: str) -> str:
    """Start an instance; return `_UP`, or why it cannot be started."""
    name = instance_name(lab, instance)
    try:
        down(name)  # what a keeper left that was killed
        parent = find(lab)
        if parent is None:
            return f"the lab {lab!r} is not up"
        settings = INSTANCES[instance].settings_in(domain=parent.config.in_domain)
        up(dataclasses.replace(parent.config, name=name, network=lab, **settings))
    except LabError as problem:
        return str(problem)
    return _UP


def _said(name: str) -> str:
    """What the keeper of an instance has written; empty before it has, or if there is no keeper."""
    return _file(name, "keeper").read_text(encoding="utf-8") if keeper_runs(name) else ""


def keeper_runs(name: str) -> bool:
    """Whether an instance has a keeper."""
    path = _file(name, "keeper")
    if not path.exists():
        return False
    with path.open("a") as lock:
        return not _locked(lock, fcntl.LOCK_EX)


def wait_until_removed(network_namespace: str, timeout: float = _REMOVE_S) -> None:
    """Return when the keepers of the instances of a lab have removed them, or another run uses them.

    Args:
        network_namespace: of the profile of the lab.
        timeout: seconds to wait.
    """
    lab = find_by_namespace(network_namespace)
    deadline = time.monotonic() + timeout
    for instance in INSTANCES if lab is not None else ():
        assert lab is not None
        name = instance_name(lab.name, instance)
        while keeper_runs(name) and not _in_use(name) and time.monotonic() < deadline:
            time.sleep(_POLL_S)


def _in_use(name: str) -> bool:
    """Whether a process other than the keeper uses an instance."""
    with _file(name, "users").open("a") as users:
        # A keeper that removes the instance has the exclusive lock; then neither lock is free.
        return not _locked(users, fcntl.LOCK_EX) and _locked(users, fcntl.LOCK_SH)


def _start_keeper(lab: str, instance: str) -> None:
    # A new session, so that Ctrl-C on this terminal does not reach it.
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "swn_torture.lab.instances.keeper", lab, instance],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env=environment(),
    )
    # It may run longer than this process. With a return code, subprocess does not warn about it.
    process.returncode = 0


def _file(name: str, suffix: str) -> Path:
    directory = run_directory(name)
    return directory.with_name(f"{directory.name}.{suffix}")


def _locked(file: IO[str], kind: int) -> bool:
    """Try to lock a file; whether that succeeded. The lock ends when the file is closed."""
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
        return True
    return False


def _require_time(deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise LabError(f"{problem}.")
    time.sleep(_POLL_S)
