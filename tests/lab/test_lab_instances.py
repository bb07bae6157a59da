"""The instances of a lab without a lab: who starts one, who keeps it, and when it is removed."""

from __future__ import annotations

import multiprocessing
import threading
import time
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.lab.instances import use
from swn_torture.lab.variants import INSTANCES, MISSING_VARIANTS, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NAMESPACE = "swn-lab-client"
PATIENCE_S = 20.0


class Machine:
    """A lab that is up, and what its keepers do on this machine.

    Attributes:
        up: the names of the clusters that are up.
        removed: the names of the instances that were removed while they were up.
        problem: why no instance starts.
        keepers: the keepers that were started.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.up = {"lab": lab.LabConfig()}
        self.removed: list[str] = []
        self.problem = ""
        self.keepers: list[threading.Thread] = []
        (directory / "lab").mkdir()

    def find(self, name: str) -> lab.Lab | None:
        return lab.Lab(self.up[name], "4.22.11", self.directory) if name in self.up else None

    def start(self, config: lab.LabConfig) -> None:
        if self.problem:
            raise lab.LabError(self.problem)
        self.up[config.name] = config

    def remove(self, name: str) -> None:
        if self.up.pop(name, None) is not None:
            self.removed.append(name)

    def start_keeper(self, parent: str, instance: str) -> None:
        keeper = threading.Thread(target=use.keep, args=(parent, instance), daemon=True)
        self.keepers.append(keeper)
        keeper.start()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Machine]:
    """A machine with one lab that is up. The keepers are threads."""
    found = Machine(tmp_path)
    monkeypatch.setattr(use, "run_directory", lambda name: tmp_path / name)
    monkeypatch.setattr(use, "find", found.find)
    monkeypatch.setattr(
        use, "find_by_namespace", lambda name: found.find("lab") if name == NAMESPACE else None
    )
    monkeypatch.setattr(use, "up", found.start)
    monkeypatch.setattr(use, "down", found.remove)
    monkeypatch.setattr(use, "_start_keeper", found.start_keeper)
    monkeypatch.setattr(use, "_KEEPER_S", 1.0)
    yield found
    for keeper in found.keepers:
        keeper.join(PATIENCE_S)
        assert not keeper.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_instance_has_the_settings_of_its_lab_except_its_own(machine: Machine) -> None:
    machine.up["lab"] = lab.LabConfig(release="forky", log_level=5)
    used = use.start(NAMESPACE, "second")
    config = used.wait().config
    assert (config.release, config.log_level) == ("forky", 5)
    assert (config.nodes, config.net_name, config.block) == (2, "SWNRENAMED", 1)
    assert (config.name, config.network) == ("lab.second", "lab")
    used.end()


def test_instance_is_removed_when_its_last_user_ends(machine: Machine) -> None:
    first, second = use.start(NAMESPACE, "second"), use.start(NAMESPACE, "second")
    assert first.wait().config == second.wait().config
    first.end()
    use.wait_until_removed(NAMESPACE, timeout=0.5)
    assert (machine.removed, use.keeper_runs("lab.second")) == ([], True)
    second.end()
    use.wait_until_removed(NAMESPACE, timeout=PATIENCE_S)
    assert (machine.removed, use.keeper_runs("lab.second")) == (["lab.second"], False)


def test_instance_starts_again_after_its_removal(machine: Machine) -> None:
    for _ in range(2):
        used = use.start(NAMESPACE, "second")
        used.wait()
        used.end()
        use.wait_until_removed(NAMESPACE, timeout=PATIENCE_S)
    assert machine.removed == ["lab.second"] * 2


def test_instance_is_removed_with_its_lab(machine: Machine) -> None:
    used = use.start(NAMESPACE, "second")
    used.wait()
    (machine.directory / "lab").rmdir()
    wait_for(lambda: machine.removed == ["lab.second"])
    used.end()


def test_remains_of_a_killed_keeper_are_removed_first(machine: Machine) -> None:
    machine.up["lab.second"] = lab.LabConfig(name="lab.second")
    (machine.directory / "lab.second.keeper").write_text("up", encoding="utf-8")
    used = use.start(NAMESPACE, "second")
    assert used.wait().config.nodes == 2
    assert machine.removed == ["lab.second"]
    used.end()


def test_instance_that_does_not_start_is_an_error(machine: Machine) -> None:
    machine.problem = "CTDB did not become healthy"
    used = use.start(NAMESPACE, "second")
    with pytest.raises(lab.LabError, match=r"lab\.second .* cannot be started: CTDB did not become healthy"):
        used.wait()
    used.end()


def test_keeper_that_ends_at_once_is_an_error(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use, "_start_keeper", lambda *_: None)
    monkeypatch.setattr(use, "_KEEPER_S", 0.1)
    used = use.start(NAMESPACE, "second")
    with pytest.raises(lab.LabError, match=r"The process that keeps the instance lab\.second"):
        used.wait()
    used.end()


def test_user_that_is_killed_uses_the_instance_no_more(machine: Machine) -> None:
    def hold(ready: multiprocessing.synchronize.Event) -> None:
        use.Use.__init__(
            use.Use.__new__(use.Use), lab.Lab(machine.up["lab"], "", machine.directory), "second"
        )
        ready.set()
        time.sleep(PATIENCE_S)

    used = use.start(NAMESPACE, "second")
    used.wait()
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    other = context.Process(target=hold, args=(ready,))
    other.start()
    assert ready.wait(PATIENCE_S)
    used.end()
    use.wait_until_removed(NAMESPACE, timeout=0.3)
    assert machine.removed == []
    other.kill()
    use.wait_until_removed(NAMESPACE, timeout=PATIENCE_S)
    other.join()
    wait_for(lambda: machine.removed == ["lab.second"])


@pytest.mark.parametrize(
    ("namespace", "instance", "problem"),
    [
        ("swn-two-client", "second", "belongs to no lab that is up"),
        (NAMESPACE, "third", "known: second, noser"),
    ],
)
def test_unknown_instance_is_an_error(machine: Machine, namespace: str, instance: str, problem: str) -> None:
    with pytest.raises(lab.LabError, match=problem):
        use.start(namespace, instance)


def test_every_variant_has_an_instance_and_every_instance_a_variant() -> None:
    assert {table["lab"] for table in VARIANTS.values()} == set(INSTANCES)
    assert not set(VARIANTS) & set(MISSING_VARIANTS)


def test_clients_call_the_nodes_of_a_variant_at_ipv6_addresses(machine: Machine) -> None:
    used = use.start(NAMESPACE, "second")
    tables = use.profile_of_variant(used.wait(), VARIANTS["ipv6-management"])
    assert [row["address"] for row in tables["node"]] == ["fd53:574e:0:1::10", "fd53:574e:0:1::11"]
    # CTDB still knows them by their IPv4 addresses.
    assert tables["controller"]["nodes"]["node1"] == "203.0.113.17"
    assert "variants" not in tables
    used.end()
