"""A profile made by asking a server: it works, and says what it could not find out."""

from __future__ import annotations

import stat
import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture.commands.init import command
from swn_torture.doctor.examine import examine_target
from swn_torture.target import load_profile
from tests.doctor.test_broken_set_ups import NoAuthentication, closed_port
from tests.harness.targets import reference, serving

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from swn_torture.target import Profile

USER = "SWNTEST\\witness%Passw0rd!"


def init(profile: Profile, path: Path, *options: str) -> Result:
    """Run the command for the first node of a cluster."""
    node = profile.nodes[0]
    port = ["--endpoint-mapper-port", str(node.endpoint_mapper_port)]
    return CliRunner().invoke(command, [node.address, *port, "-o", str(path), *options])


def test_profile_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new.toml"
    with serving(reference()) as profile:
        made = init(profile, path, "-U", USER, "--net-name", profile.net_name)
        assert made.exit_code == 0, made.output
        assert 'password_env = "SWN_PASSWORD"' in path.read_text(encoding="utf-8")
        assert "Passw0rd!" not in path.read_text(encoding="utf-8")
        monkeypatch.setenv("SWN_PASSWORD", "Passw0rd!")
        read = load_profile(str(path))
        links = examine_target(read)
    assert links.first_broken is None
    assert (read.net_name, read.expect.version) == (profile.net_name, 2)
    assert read.nodes[0].address == profile.nodes[0].address
    if all(node.endpoint_mapper_port == profile.nodes[0].endpoint_mapper_port for node in profile.nodes):
        assert [node.name for node in read.nodes] == [node.name for node in profile.nodes]


@pytest.mark.parametrize(
    ("groups", "names"),
    [("node", ["NODE1", "NODE2", "NODE3"]), ("cluster", ["node1", "node2", "node3"])],
)
def test_interfaces_of_one_node_are_one_node(groups: str, names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    with serving(reference(interfaces=2, single_family=True, group_names=groups)) as profile:
        made = init(profile, path, "-U", USER, "--net-name", profile.net_name, "--store-password")
        assert made.exit_code == 0, made.output
        read = load_profile(str(path))
        links = examine_target(read)
    assert links.first_broken is None
    assert [node.name for node in read.nodes] == names
    assert [node.address for node in read.nodes] == [node.address for node in profile.nodes]
    assert ("have the same group name" in made.output) == (groups == "cluster")


def test_wrong_net_name_is_a_note(tmp_path: Path) -> None:
    with serving(reference()) as profile:
        made = init(profile, tmp_path / "new.toml", "-U", USER)
    assert made.exit_code == 0
    assert "NetName NODE1 (not confirmed)." in made.output
    assert "is not confirmed. Register ended so: NODE1: ERROR_INVALID_PARAMETER (0x57)" in made.output
    assert "# Not confirmed: " in (tmp_path / "new.toml").read_text(encoding="utf-8")


def test_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    path.write_text("mine", encoding="utf-8")
    with serving(reference()) as profile:
        made = init(profile, path, "-U", USER)
    assert made.exit_code == 2
    assert "exists, and is not overwritten" in " ".join(made.output.split())
    assert path.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("options", [(), ("-U", USER)], ids=["no-account", "account"])
def test_server_without_security_is_called_without_authentication(
    tmp_path: Path, options: tuple[str, ...]
) -> None:
    path = tmp_path / "plain.toml"
    with serving(reference(enforce_security=False), NoAuthentication) as profile:
        made = init(profile, path, *options, "--net-name", profile.net_name)
        assert made.exit_code == 0, made.output
        links = examine_target(load_profile(str(path)))
    assert tomllib.loads(path.read_text(encoding="utf-8"))["account"] == {"auth": "none"}
    assert links.first_broken is None


def test_fixed_port_needs_no_endpoint_mapper(tmp_path: Path) -> None:
    path = tmp_path / "new.toml"
    with serving(reference()) as profile:
        address = profile.nodes[0].address
        port = examine_target(profile).found[2].text.rpartition(" ")[2]
        asked = [address, "--port", port, "--endpoint-mapper-port", "9", "-U", USER, "-o", str(path)]
        made = CliRunner().invoke(command, [*asked, "--net-name", profile.net_name, "--store-password"])
        assert made.exit_code == 0, made.output
        read = load_profile(str(path))
    assert read.nodes[0].port == int(port)
    assert read.account.password == "Passw0rd!"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_password_file(tmp_path: Path) -> None:
    secret, path = tmp_path / "secret", tmp_path / "new.toml"
    secret.write_text("Passw0rd!\n", encoding="utf-8")
    with serving(reference()) as profile:
        made = init(profile, path, "-U", "SWNTEST\\witness", "--password-file", str(secret))
    assert made.exit_code == 0, made.output
    assert load_profile(str(path)).account.password == "Passw0rd!"


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (("-U", "SWNTEST\\witness%wrong"), 3, "To mend it: correct domain, user and password of -U"),
        ((), 3, "To mend it: the server was called without authentication: add -U"),
        (("-U", "SWNTEST\\witness"), 2, "There is no password for SWNTEST\\witness"),
        (("-U", "witness", "--password-file", "/no/such/file"), 2, "The password file /no/such/file"),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], code: int, text: str
) -> None:
    monkeypatch.delenv("SWN_PASSWORD", raising=False)
    with serving(reference()) as profile:
        made = init(profile, tmp_path / "new.toml", *options)
    assert made.exit_code == code
    assert text in " ".join(made.output.split())
    assert not (tmp_path / "new.toml").exists()


@pytest.mark.parametrize(
    ("asked", "mend"),
    [
        (("node1.invalid",), "give an IP address"),
        (("255.255.255.255",), "check the address"),
        (("127.0.0.1", "--endpoint-mapper-port", "{closed}"), "give it with --port"),
        (("127.0.0.1", "--port", "{closed}"), "correct or leave out --port"),
    ],
)
def test_mending_needs_no_profile(asked: tuple[str, ...], mend: str, tmp_path: Path) -> None:
    words = [word.format(closed=closed_port()) for word in asked]
    made = CliRunner().invoke(command, [*words, "-o", str(tmp_path / "new.toml")])
    assert made.exit_code == 3
    assert mend in " ".join(made.output.split())
    assert "[[node]]" not in made.output
    assert "[account]" not in made.output
