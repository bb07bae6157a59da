"""A lab starts, and nothing of it remains after `down`, a failure, an interruption or a kill."""

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
    """The network devices and routes of this machine."""
    argv = (["ip", "-o", what, "show"] for what in ("link", "route"))
    links, routes = (subprocess.run(a, capture_output=True, text=True, check=True).stdout for a in argv)
    return links, routes


def remains(name: str) -> dict[str, list[str]]:
    """Everything of a lab that exists on this machine."""
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
    """The name of a lab of one node that the test may kill."""
    name = f"{lab_name}x"
    yield name
    lab.down(name)
    assert remains(name) == NOTHING


def start_up(name: str) -> subprocess.Popen[str]:
    """Start another process that starts the lab."""
    # A shell without job control makes its background processes ignore SIGINT.
    argv = ["env", "--default-signal=INT", sys.executable, "-c", textwrap.dedent(_UP), name]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def read_until(output: IO[str] | None, text: str) -> None:
    """Read lines until one contains the text."""
    assert output is not None
    for line in output:
        if text in line:
            return
    pytest.fail(f"the process ended without printing {text!r}")


def test_running_lab_stays_unchanged(running_lab: lab.Lab) -> None:
    progress: list[str] = []
    assert lab.up(running_lab.config, progress.append) == running_lab
    assert progress == ["the lab is up already"]


def test_running_lab_rejects_another_configuration(running_lab: lab.Lab) -> None:
    with pytest.raises(lab.LabError, match=r"up with other settings \(nodes 3\)"):
        lab.up(lab.LabConfig(nodes=2, name=running_lab.name))


def test_status_of_a_healthy_lab(running_lab: lab.Lab) -> None:
    now = lab.status(running_lab.name)
    assert now.state == "up"
    assert [(n.name, n.ctdb, tuple(sorted(n.addresses))) for n in now.nodes] == [
        (node.name, "ok", tuple(sorted(node.public_addresses))) for node in running_lab.config.node_configs
    ]


def test_host_has_no_device_or_route_of_a_lab(running_lab: lab.Lab) -> None:
    links, routes = host_network()
    assert "198.51.100" not in routes
    assert not re.search(r"node\d|bridge", links)
    # The only mounts of the host are the names of the network namespaces.
    assert all(line.startswith("nsfs ") for line in remains(running_lab.name)["mounts"])


def test_commands_run_on_nodes_and_in_the_client_namespace(running_lab: lab.Lab) -> None:
    on_node = lab.command("node2", ["sh", "-c", 'hostname; echo "$1"', "-", "a  'b'"], running_lab.name)
    assert subprocess.run(on_node, capture_output=True, text=True, check=True).stdout == "node2\na  'b'\n"
    in_client = lab.command("client", ["ip", "-br", "-4", "address", "show", "eth0"], running_lab.name)
    assert "198.51.100.1/24" in subprocess.run(in_client, capture_output=True, text=True, check=True).stdout
    assert lab.execute("node1", ["sh", "-c", "exit 7"], running_lab.name) == 7


def test_unknown_node_lists_the_known_nodes(running_lab: lab.Lab) -> None:
    with pytest.raises(
        lab.LabError, match=f"'node9'; the lab '{running_lab.name}' has: node1, node2, node3, client"
    ):
        lab.command("node9", ["true"], running_lab.name)


def test_missing_lab_is_down(lab_host: None, lab_name: str) -> None:
    missing = f"{lab_name}y"
    assert lab.status(missing).state == "down"
    assert lab.down(missing) is False
    with pytest.raises(lab.LabError, match="not up"):
        lab.command("node1", ["true"], missing)
    with pytest.raises(lab.LabError, match="not up"):
        lab.enter_client_namespace(missing)


def test_down_removes_the_remains_of_a_killed_process(name: str) -> None:
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.kill()
    assert remains(name)["namespaces"] != []
    assert lab.status(name).state == "broken"
    assert lab.down(name) is True
    assert remains(name) == NOTHING
    assert lab.status(name).state == "down"


def test_nothing_remains_after_an_interruption(name: str) -> None:
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert remains(name) == NOTHING


def test_nothing_remains_after_a_failure(name: str) -> None:
    with pytest.raises(lab.LabError, match=r"did not become healthy within 0\.1 s"):
        lab.up(lab.LabConfig(nodes=1, name=name, timeout=0.1))
    assert remains(name) == NOTHING


def test_down_does_not_kill_its_own_process(name: str) -> None:
    """The process is in the client namespace of the lab, as `swn-torture run` is."""
    process = start_up(name)
    with process:
        read_until(process.stdout, "starting CTDB")
        process.kill()
    script = f"from swn_torture import lab; lab.enter_client_namespace('{name}'); print(lab.down('{name}'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
