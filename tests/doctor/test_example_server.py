"""`init` and `doctor` on the example server: from the first day on they say what is there, what is next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture.commands.client import command as client
from swn_torture.commands.doctor import command as doctor
from swn_torture.commands.init import command as init
from swn_torture.target import load_profile
from tests.docs.test_server_from_scratch import free_port, serving

if TYPE_CHECKING:
    from pathlib import Path

NO_METHOD = "fault nca_s_op_rng_error (0x1C010002)"
NO_SERVICE = (
    "First broken link: NODE1: authentication. To mend it: the server knows no authentication service"
)

PROFILE = """\
schema = "swn-torture-target/1"
name = "example"
net_name = "EXAMPLE"
[account]
username = "witness"
password = "Passw0rd!"
[[node]]
name = "NODE1"
address = "127.0.0.1"
port = {port}
[controller]
kind = "none"
"""


@pytest.mark.parametrize(
    ("step", "notes", "net_name", "anonymous"),
    [
        ("bind", (f"GetInterfaceList ended so: {NO_METHOD}", "Register was not tried"), "127.0.0.1", True),
        ("list", (f"Register ended so: {NO_METHOD}", 'auth = "none"'), "127.0.0.1", True),
        ("security", (f"Register ended so: {NO_METHOD}",), "WIN10", False),
        ("notify", ("NODE1: ERROR_INVALID_PARAMETER (0x57). Give it with --net-name",), "WIN10", False),
    ],
)
def test_init_goes_on_with_what_is_there(
    step: str, notes: tuple[str, ...], net_name: str, *, anonymous: bool, tmp_path: Path
) -> None:
    port, path = free_port(), tmp_path / "mine.toml"
    asked = ["127.0.0.1", "--port", str(port), "-U", "witness%Passw0rd!", "--store-password", "-o", str(path)]
    with serving(step, port):
        made = CliRunner().invoke(init, asked)
    assert made.exit_code == 0, made.output
    for note in notes:
        assert note in made.output
    assert f"1 node, NetName {net_name}" in made.output
    profile = load_profile(str(path))
    assert (profile.net_name, profile.account.anonymous) == (net_name, anonymous)
    assert [(node.address, node.port) for node in profile.nodes] == [("127.0.0.1", port)]


@pytest.mark.parametrize(
    ("step", "code", "last"),
    [
        ("bind", 3, NO_SERVICE),
        ("list", 3, NO_SERVICE),
        (
            "security",
            0,
            "Nothing is broken. To mend the first note (NODE1: WitnessrRegister (opnum 1)): implement",
        ),
        ("notify", 0, "Nothing is broken."),
    ],
)
def test_doctor_names_what_is_next(step: str, code: int, last: str, tmp_path: Path) -> None:
    port, path = free_port(), tmp_path / "example.toml"
    path.write_text(PROFILE.format(port=port), encoding="utf-8")
    with serving(step, port):
        checked = CliRunner().invoke(doctor, ["--target", str(path)])
    assert checked.exit_code == code, checked.output
    assert checked.output.splitlines()[-1].startswith(last)


@pytest.mark.parametrize("level", ["integrity", "privacy"])
def test_client_registers_after_a_request_without_stub_data(level: str, tmp_path: Path) -> None:
    """GetInterfaceList and RegisterEx on one connection: both requests have a sequence number."""
    port, path = free_port(), tmp_path / "example.toml"
    path.write_text(PROFILE.format(port=port), encoding="utf-8")
    with serving("register", port):
        made = CliRunner().invoke(client, ["register", "--target", str(path), "--level", level])
    assert made.exit_code == 0, made.output
    assert "unregistered: ERROR_SUCCESS (0x0)" in made.output


def test_init_without_an_account_asks_for_one(tmp_path: Path) -> None:
    """The server closes the connection after a bind without authentication, as the text allows."""
    port, path = free_port(), tmp_path / "mine.toml"
    with serving("security", port):
        made = CliRunner().invoke(init, ["127.0.0.1", "--port", str(port), "-o", str(path)])
    assert made.exit_code == 3
    assert "add -U 'DOMAIN\\user%secret'" in " ".join(made.output.split())
