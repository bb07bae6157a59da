"""A lab comes up, and goes without a trace, whatever happened to those who made it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.lab.config import run_directory
from swn_torture.lab.namespaces import namespaces_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab


def host_network() -> tuple[str, str]:
    """The devices and routes of this machine."""
    argv = (["ip", "-o", what, "show"] for what in ("link", "route"))
    links, routes = (subprocess.run(a, capture_output=True, text=True, check=True).stdout for a in argv)
    return links, routes


def traces(name: str) -> dict[str, list[str]]:
    """Whatever there is of a lab on this machine."""
    mounts = Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()
    processes = subprocess.run(["ps", "-ewwo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {
        "namespaces": namespaces_of(name),
        "mounts": [line for line in mounts if f"swn-{name}-" in line or f"swn-torture/{name}/" in line],
        "processes": [line for line in processes.splitlines() if f"swn-{name}-" in line],
        "files": [str(run_directory(name))] if run_directory(name).exists() else [],
    }


NOTHING: dict[str, list[str]] = {"namespaces": [], "mounts": [], "processes": [], "files": []}

_UP = """
import sys
from swn_torture import lab
lab.up(lab.LabConfig(nodes=1, name=sys.argv[1]), lambda text: print(text, flush=True))
"""


@pytest.fixture
def name(lab_host: None, lab_name: str) -> Iterator[str]:
    """A lab of one node that the test may treat badly."""
    name = f"{lab_name}x"
    yield name
    lab.down(name)
    assert traces(name) == NOTHING


def start_up(name: str) -> subprocess.Popen[str]:
    """Another process that brings the lab up."""
    # A shell without job control has what it starts in the background ignore interruptions.
    argv = ["env", "--default-signal=INT", sys.executable, "-c", textwrap.dedent(_UP), name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(output: IO[str] | None, text: str) -> None:
    """Read lines until one has the text."""
    assert output is not None
    for line in output:
        if text in line:
            return
    pytest.fail(f"it ended without saying {text!r}")


def test_a_running_lab_is_taken_as_it_is(running_lab: lab.Lab) -> None:
    said: list[str] = []
    assert lab.up(running_lab.config, said.append) == running_lab
    assert said == ["the lab is up already"]


def test_a_running_lab_does_not_change_its_shape(running_lab: lab.Lab) -> None:
    with pytest.raises(lab.LabError, match=r"up with other settings \(nodes 3\)"):
        lab.up(lab.LabConfig(nodes=2, name=running_lab.name))


def test_status_of_a_lab_that_is_well(running_lab: lab.Lab) -> None:
    now = lab.status(running_lab.name)
    assert now.state == "up"
    assert [(n.name, n.ctdb, n.addresses) for n in now.nodes] == [
        (node.name, "ok", (node.public_address,)) for node in running_lab.config.node_configs
    ]


def test_the_host_sees_nothing_of_the_network_of_a_lab(running_lab: lab.Lab) -> None:
    links, routes = host_network()
    assert "198.51.100" not in routes
    assert not re.search(r"node\d|bridge", links)
    # Of all mounts only the names of the network namespaces are the host's.
    assert all(line.startswith("nsfs ") for line in traces(running_lab.name)["mounts"])


def test_commands_run_on_nodes_and_in_the_place_of_clients(running_lab: lab.Lab) -> None:
    on_node = lab.command("node2", ["sh", "-c", 'hostname; echo "$1"', "-", "a  'b'"], running_lab.name)
    assert subprocess.run(on_node, capture_output=True, text=True, check=True).stdout == "node2\na  'b'\n"
    ping = lab.command("client", ["ip", "-br", "-4", "address", "show", "eth0"], running_lab.name)
    assert "198.51.100.1/24" in subprocess.run(ping, capture_output=True, text=True, check=True).stdout
    assert lab.execute("node1", ["sh", "-c", "exit 7"], running_lab.name) == 7


def test_a_node_that_is_not_there(running_lab: lab.Lab) -> None:
    with pytest.raises(lab.LabError, match="no node 'node9'; it has node1, node2, node3, client"):
        lab.command("node9", ["true"], running_lab.name)


def test_a_lab_that_is_not_there(lab_host: None, lab_name: str) -> None:
    nowhere = f"{lab_name}y"
    assert lab.status(nowhere).state == "down"
    assert lab.down(nowhere) is False
    with pytest.raises(lab.LabError, match="not up"):
        lab.command("node1", ["true"], nowhere)
    with pytest.raises(lab.LabError, match="not up"):
        lab.enter_client_namespace(nowhere)


def test_after_kill_the_remains_are_found_by_name(name: str) -> None:
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.kill()
    assert traces(name)["namespaces"] != []
    assert lab.status(name).state == "broken"
    assert lab.down(name) is True
    assert traces(name) == NOTHING
    assert lab.status(name).state == "down"


def test_after_interruption_nothing_remains(name: str) -> None:
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert traces(name) == NOTHING


def test_after_failure_nothing_remains(name: str) -> None:
    with pytest.raises(lab.LabError, match=r"did not become healthy within 0\.1 s"):
        lab.up(lab.LabConfig(nodes=1, name=name, timeout=0.1))
    assert traces(name) == NOTHING


def test_down_spares_the_one_who_calls_it(name: str) -> None:
    """As `swn-torture run` does that went into the client namespace of the lab it takes down."""
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.kill()
    script = f"from swn_torture import lab; lab.enter_client_namespace('{name}'); print(lab.down('{name}'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
