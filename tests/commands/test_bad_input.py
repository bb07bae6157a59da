"""Wrong input to the commands: one message that says what to change, the right exit code, no traceback."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from swn_torture.cli import main
from swn_torture.commands.errors import TARGET_UNUSABLE, USAGE
from swn_torture.control.reference import ReferenceController
from swn_torture.target import load_profile
from swn_torture.witness.client import WitnessClient
from swn_torture.witness.messages import GetInterfaceListResponse

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from swn_torture.server.nodes.embedded import EmbeddedCluster


def ends_with(code: int, *arguments: str) -> str:
    """Call the command, and return its output in one line without repeated spaces."""
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


# client


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], USAGE, "Name a server: --server ADDRESS, or --target with a profile that has nodes."),
        (["--target", "reference"], USAGE, "or --target with a profile that has nodes."),
        (["--target", "unknown"], USAGE, "Unknown target profile 'unknown'."),
        (["--server", "127.0.0.1"], USAGE, "Name an account"),
        (
            ["--server", "127.0.0.1", "--smb-port", "1", "-U", "D\\u%p", "--share", "S"],
            TARGET_UNUSABLE,
            "127.0.0.1: Connection refused",
        ),
    ],
)
def test_shares(arguments: list[str], code: int, text: str) -> None:
    assert text in ends_with(code, "client", "shares", *arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--node", "7"], USAGE, "Unknown node 7; known: 0 (NODE1)."),
        (["--node", "-1"], USAGE, "-1 is not in the range x>=0"),
        (["--port", "0"], USAGE, "0 is not in the range 1<=x<=65535"),
        (["--port", "65536"], USAGE, "65536 is not in the range"),
        (["-U", "SWNTEST\\witness%wrong"], TARGET_UNUSABLE, "the user name or the password may be wrong"),
        (["--server", "no-such-host.invalid"], TARGET_UNUSABLE, "no-such-host.invalid port 135: "),
    ],
)
def test_client_explains_a_wrong_server(profile: Path, arguments: list[str], code: int, text: str) -> None:
    assert text in ends_with(code, "client", "interfaces", "--target", str(profile), *arguments)


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--net-name", "NOPE"], TARGET_UNUSABLE, "returned ERROR_INVALID_PARAMETER (0x57)."),
        (["--share", "NOPE"], TARGET_UNUSABLE, "returned ERROR_INVALID_STATE (0x139F)."),
        (["--keep-alive", "-1"], USAGE, "-1 is not in the range"),
        (["--keep-alive", "4294967296"], USAGE, "4294967296 is not in the range"),
    ],
)
def test_client_explains_a_rejected_registration(
    profile: Path, arguments: list[str], code: int, text: str
) -> None:
    assert text in ends_with(code, "client", "register", "--target", str(profile), *arguments)


def test_client_explains_a_count_of_zero(profile: Path) -> None:
    output = ends_with(USAGE, "client", "watch", "--target", str(profile), "--count", "0")
    assert "0 is not in the range x>=1" in output


def test_client_names_the_closed_port(profile: Path) -> None:
    with socket.socket() as held:  # bound but not listening, so connections are refused
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        output = ends_with(
            TARGET_UNUSABLE,
            *("client", "interfaces", "--target", str(profile)),
            *("--server", "127.0.0.1", "--port", str(port)),
        )
    assert f"The call failed: 127.0.0.1 port {port}: Connection refused." in output


@pytest.mark.parametrize("command", ["client", "cluster", "run"])
def test_profile_that_is_missing_is_named(command: str, tmp_path: Path) -> None:
    words = {"client": ["client", "interfaces"], "cluster": ["cluster", "status"], "run": ["run"]}[command]
    path = tmp_path / "missing.toml"
    output = ends_with(USAGE, *words, "--target", str(path))
    assert f"The target profile {path} cannot be read: No such file or directory." in output
    assert "This package has: reference" in ends_with(USAGE, *words, "--target", "nope")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["interfaces"], "Name a server: --server ADDRESS, or --target"),
        (["interfaces", "--server", "127.0.0.1"], "Name an account: -U"),
        (["interfaces", "--target", "reference"], "Name a server"),
    ],
)
def test_client_asks_for_what_is_missing(arguments: list[str], text: str) -> None:
    assert text in ends_with(USAGE, "client", *arguments)


@pytest.mark.parametrize("words", [["client", "interfaces"], ["run"]], ids=["client", "run"])
def test_missing_lab_is_named(profile: Path, words: list[str]) -> None:
    text = profile.read_text(encoding="utf-8")
    namespace = 'network_namespace = "swn-nope-client"'
    profile.write_text(text.replace("[account]", f"{namespace}\n[account]", 1), encoding="utf-8")
    output = ends_with(TARGET_UNUSABLE, *words, "--target", str(profile))
    assert "network namespace swn-nope-client" in output


def test_client_explains_a_response_that_does_not_decode(
    profile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from swn_torture.witness import client as witness_client
    from swn_torture.witness.codec import DecodeError

    def fail(*_: Any, **__: Any) -> None:
        raise DecodeError("NumberOfInterfaces", 4, "the octets end here")

    monkeypatch.setattr(witness_client, "decode_response", fail)
    output = ends_with(TARGET_UNUSABLE, "client", "interfaces", "--target", str(profile))
    assert "The response does not decode: " in output
    assert "NumberOfInterfaces" in output


def test_client_needs_an_address_if_none_is_available(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **__: Any) -> GetInterfaceListResponse:
        return GetInterfaceListResponse(None, 0)

    monkeypatch.setattr(WitnessClient, "get_interface_list", nothing)
    output = ends_with(TARGET_UNUSABLE, "client", "register", "--target", str(profile))
    assert "Give the IpAddress with --ip." in output


# cluster


@pytest.mark.parametrize("verb", ["disable", "enable", "fail", "recover"])
def test_cluster_lists_the_nodes_for_an_unknown_one(profile: Path, verb: str) -> None:
    output = ends_with(USAGE, "cluster", verb, "NODE9", "--target", str(profile))
    assert "Unknown node 'NODE9'; known: NODE1, NODE2, NODE3." in output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["move-client", "NOBODY", "NODE2"], "There is no registration of client 'NOBODY'; known: none."),
        (["move-client", "NOBODY", "NODE9"], "Unknown destination 'NODE9'. It must be an IP address or the"),
        (["move-share", "NOTHING", "NODE2"], "There is no registration on share 'NOTHING'; known: none."),
        (
            ["move-share", "NOTHING", "127.0.0.1", "--client", "NOBODY"],
            "There is no registration of client 'NOBODY' on share 'NOTHING'",
        ),
    ],
)
def test_cluster_explains_a_move_without_effect(profile: Path, arguments: list[str], text: str) -> None:
    assert text in ends_with(USAGE, "cluster", *arguments, "--target", str(profile))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["add-address", "NODE2", "{address}"], "NODE1 has the address {address} already."),
        (["remove-address", "NODE1", "127.0.0.99"], "No node has the address 127.0.0.99."),
        (["force-unregister", "a-key"], "There is no registration with the key 'a-key'; known: none."),
        (["drain", "NODE1", "--timeout", "-5"], "-5.0 is not in the range x>=0"),
    ],
)
def test_cluster_does_nothing_that_has_no_effect(profile: Path, arguments: list[str], text: str) -> None:
    address = load_profile(str(profile)).nodes[0].address
    words = [each.format(address=address) for each in arguments]
    assert text.format(address=address) in ends_with(USAGE, "cluster", *words, "--target", str(profile))
    left = ends_with(0, "cluster", "restore", "--target", str(profile))
    assert "Undoing" not in left


def test_cluster_names_an_administration_that_is_gone(
    served: EmbeddedCluster, tmp_path: Path, profile_text: Callable[..., str]
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        text = profile_text(served).replace(f"port = {served.admin_port}", f"port = {port}")
        path = tmp_path / "gone.toml"
        path.write_text(text, encoding="utf-8")
        output = ends_with(TARGET_UNUSABLE, "cluster", "status", "--target", str(path))
    assert f"127.0.0.1 port {port} is not reachable" in output


def test_cluster_explains_a_time_out(profile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> None:
        raise TimeoutError

    monkeypatch.setattr(ReferenceController, "restore", never)
    output = ends_with(TARGET_UNUSABLE, "cluster", "recover", "--target", str(profile))
    assert "it did not answer in time" in output


# serve


def test_serve_names_the_port_that_it_must_not_bind(monkeypatch: pytest.MonkeyPatch) -> None:
    bind = socket.socket.bind

    class Unprivileged(socket.socket):
        def bind(self, address: Any) -> None:
            if address[1] == 135:
                raise PermissionError(errno.EACCES, "Permission denied")
            bind(self, address)

    monkeypatch.setattr(socket, "socket", Unprivileged)
    output = ends_with(TARGET_UNUSABLE, "serve", "--network", "127.93.8.0", "--epm-port", "135")
    assert "127.93.8.1 port 135: Permission denied. Ports below 1024 need root" in output


def test_serve_names_the_endpoint_mapper_port_in_use() -> None:
    with socket.create_server(("127.93.9.1", 0)) as server:
        port = server.getsockname()[1]
        output = ends_with(TARGET_UNUSABLE, "serve", "--network", "127.93.9.0", "--epm-port", str(port))
    assert f"The cluster cannot start: 127.93.9.1 port {port}: Address already in use." in output


def test_serve_explains_an_address_that_this_machine_does_not_have() -> None:
    output = ends_with(TARGET_UNUSABLE, "serve", "--network", "203.0.113.0")
    assert "203.0.113.1 port 135: Cannot assign requested address." in output
    assert "Choose a network of the loopback range (--network 127.50.1.0)" in output


def test_run_says_before_it_calls_anybody_that_no_report_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    output = ends_with(USAGE, "run", "--report", str(tmp_path / "file/out"))
    assert f"Cannot write the reports to {tmp_path}/file/out: not a directory" in output
    assert "First look" not in output


def test_serve_names_a_profile_that_it_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "reference.toml"
    output = ends_with(USAGE, "serve", "--write-profile", str(path))
    assert f"Cannot write the profile {path}: No such file or directory." in output


@pytest.mark.parametrize("account", ["witness", "%password"])
def test_serve_explains_an_incomplete_account(account: str) -> None:
    assert f"'{account}' must be NAME%PASSWORD" in ends_with(USAGE, "serve", "--user", account)


def test_serve_names_close_matches_of_a_fault() -> None:
    output = ends_with(USAGE, "serve", "--fault", "any-net-name-take")
    assert "Unknown fault 'any-net-name-take'. Close matches: any-net-name-taken" in output


# Looking things up, the lab


@pytest.mark.parametrize(
    ("content", "text"),
    [("", "is not JSON"), ("[]", "the schema is missing"), ("{}", "the schema is missing")],
)
def test_requirements_explains_wrong_results(tmp_path: Path, content: str, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(content, encoding="utf-8")
    output = ends_with(USAGE, "requirements", "--map", "--results", str(path))
    assert "Cannot read results: " in output
    assert text in output


def test_requirements_lists_the_levels_for_an_unknown_one() -> None:
    assert "Unknown level 'must'; known: MAY, MUST," in ends_with(USAGE, "requirements", "--level", "must")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--nodes", "0"], "A lab has 1 to 16 nodes, not 0."),
        (["--release", "nope"], "Unknown release 'nope'; known: trixie"),
        (["--name", "a b"], "'a b' is not a possible name of a lab."),
    ],
)
def test_lab_up_rejects_a_wrong_configuration(arguments: list[str], text: str) -> None:
    assert text in ends_with(USAGE, "lab", "up", *arguments)


# run and gate


@pytest.mark.parametrize("words", [["run"], ["gate", "samba", "--report", "out"]], ids=["run", "gate"])
@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("register and", "'register and': expected not OR left parenthesis OR identifier; got end of input"),
        ("register(node=1)", "'register(node=1)': a name has no parameters"),
    ],
)
def test_wrong_expression_is_found_before_anything_starts(
    words: list[str], expression: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("it must not be started")

    monkeypatch.setattr("swn_torture.commands.run.preflight", started)
    monkeypatch.setattr("swn_torture.commands.gate.lab_config", started)
    assert text in ends_with(USAGE, *words, "-k", expression)


def test_exception_that_no_command_expects_is_no_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("of a test")

    monkeypatch.setattr("swn_torture.faults.library.load_faults", fail)
    output = ends_with(TARGET_UNUSABLE, "faults")
    assert "ZeroDivisionError: of a test swn-torture: This is a defect of swn-torture" in output
