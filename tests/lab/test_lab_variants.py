"""The instances of a running lab: they start, are what their variants need, and nothing of them remains."""

from __future__ import annotations

import subprocess
import sys
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.lab.config import namespace, run_directory
from swn_torture.lab.instances import use
from swn_torture.lab.namespaces import namespaces_of
from swn_torture.lab.variants import INSTANCES

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.lab

_USER = """
import sys, time
from swn_torture.lab.instances import use
used = use.start(sys.argv[1], sys.argv[2])
print(used.wait().name, flush=True)
time.sleep(600)
"""


def remains(name: str) -> list[str]:
    """The namespaces, files and processes of a lab or an instance on this machine."""
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    processes = [line for line in listed.splitlines() if f"swn-{name}-" in line]
    files = [str(run_directory(name))] if run_directory(name).exists() else []
    return [*namespaces_of(name), *files, *processes]


@pytest.fixture(params=INSTANCES)
def instance(request: pytest.FixtureRequest, running_lab: lab.Lab) -> Iterator[lab.Lab]:
    """An instance of the lab that is up; it is gone after the test."""
    client = namespace(running_lab.name, "client")
    used = use.start(client, request.param)
    try:
        yield used.wait()
    finally:
        used.end()
        use.wait_until_removed(client)
    assert remains(used.name) == []


def output_of(instance: lab.Lab, *argv: str) -> str:
    return subprocess.run([*instance.node_prefix("node1"), *argv], capture_output=True, text=True).stdout  # noqa: PLW1510


def test_every_node_hosts_two_addresses_of_each_family(running_lab: lab.Lab) -> None:
    for node in lab.status(running_lab.name).nodes:
        assert sorted(ip_address(address).version for address in node.addresses) == [4, 4, 6, 6]


def test_instance_is_what_its_variants_need(instance: lab.Lab, running_lab: lab.Lab) -> None:
    assert lab.status(instance.name).state == "up"
    assert lab.instances_of(running_lab.name) == [instance.name]
    assert lab.status(running_lab.name).state == "up"
    account = "--user=witness%Passw0rd!"
    shares = output_of(instance, "rpcclient", account, "ncacn_np:127.0.0.1", "-c", "netshareenumall")
    assert ("netname: data" in shares) is instance.config.share_service
    name = output_of(instance, "testparm", "-s", "--parameter-name=netbios name").strip()
    assert name == instance.config.net_name
    for address in (a for node in instance.config.node_configs for a in node.fixed_addresses):
        reached = [*running_lab.client_prefix, "timeout", "5", "bash", "-c", f"</dev/tcp/{address}/135"]
        subprocess.run(reached, check=True)


def test_instance_of_a_killed_user_is_removed(running_lab: lab.Lab) -> None:
    client = namespace(running_lab.name, "client")
    argv = [sys.executable, "-c", _USER, client, "noservice"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        name = user.stdout.readline().strip()
        assert lab.status(name).state == "up"
        user.kill()
    use.wait_until_removed(client)
    assert (name, remains(name)) == (f"{running_lab.name}.noservice", [])


def test_down_removes_the_instances_of_a_lab(lab_host: None, lab_name: str) -> None:
    name = f"{lab_name}z"
    try:
        lab.up(lab.LabConfig(nodes=1, name=name))
        used = use.start(namespace(name, "client"), "noservice")
        assert used.wait().name == f"{name}.noservice"
    finally:
        lab.down(name)
    assert remains(name) == remains(f"{name}.noservice") == []
    used.end()
