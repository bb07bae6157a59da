"""The log of `serve`: what it says about foreign clients, and why their PDUs are rejected."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.activity.capture import Capture
from swn_torture.server.activity.log import ActivityLog
from swn_torture.server.activity.output import JsonFormatter, TextFormatter
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import INTERFACE_UUID
from swn_torture.witness.messages import AsyncNotifyRequest, ContextHandle, RegisterExRequest
from tests.instruments.tshark import missing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.server.nodes.embedded import EmbeddedNode

CONFIG = ClusterConfig.from_mapping({"nodes": 2})


class Lines(logging.Handler):
    """Keeps the records of the log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self, kind: str) -> list[str]:
        """The texts of one kind of event."""
        return [each.getMessage() for each in self.records if fields(each)["event"] == kind]

    def the_one(self, kind: str, part: str) -> logging.LogRecord:
        """The record of this kind whose text has this part."""
        (found,) = [r for r in self.records if fields(r)["event"] == kind and part in r.getMessage()]
        return found


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The members of a record beside its text."""
    found: dict[str, Any] = record.__dict__["swn"]
    return found


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def logger(lines: Lines) -> Iterator[logging.Logger]:
    """A logger with these lines."""
    logger = logging.getLogger("tests.activity")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(lines)
    yield logger
    logger.removeHandler(lines)


@pytest.fixture
def node(logger: logging.Logger, tmp_path: Path) -> Iterator[EmbeddedNode]:
    """NODE1 of a cluster with a log and with the capture `tmp_path / "all.pcapng"`."""
    with (
        Capture(tmp_path / "all.pcapng") as capture,
        EmbeddedCluster(CONFIG, activity=ActivityLog(logger, capture)) as cluster,
    ):
        yield cluster.nodes[0]


@contextmanager
def impacket_client(node: EmbeddedNode, *, level: int = 5, password: str = "Passw0rd!") -> Iterator[Any]:
    """impacket's client, bound to the witness interface."""
    from impacket.dcerpc.v5 import transport
    from impacket.uuid import uuidtup_to_bin

    connection = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{node.address}[{node.port}]")
    connection.set_credentials("witness", password, "SWNTEST")
    rpc = connection.get_dce_rpc()
    rpc.set_auth_level(level)
    rpc.connect()
    try:
        rpc.bind(uuidtup_to_bin((str(INTERFACE_UUID), "1.1")))
        yield rpc
    finally:
        rpc.disconnect()


def ask(rpc: Any, opnum: int, stub: bytes) -> None:
    """Make a call with impacket."""
    rpc.call(opnum, stub)
    rpc.recv()


def register(
    net_name: str | None = "SWNCLUSTER", version: int = 0x00020000, share: str | None = None
) -> bytes:
    """Stub data of a RegisterEx."""
    return encode(RegisterExRequest(version, net_name, share, "127.0.0.1", "IMPACKET", 0, 0), NDR32)


class TestImpacket:
    """What impacket does, right and wrong, has one line each."""

    def test_each_step_of_a_client_has_a_line(self, node: EmbeddedNode, lines: Lines) -> None:
        with impacket_client(node) as rpc:
            ask(rpc, 4, register())
        assert "to " + f"{node.address}:{node.port}" in lines.texts("connected")[0]
        (bind,) = lines.texts("bind")
        assert "context 0 witness 1.1 accepted with NDR32" in bind
        assert "NTLM PKT_INTEGRITY" in bind
        (logon,) = lines.texts("logon")
        assert logon.startswith(r"logon of SWNTEST\witness")
        (call,) = lines.texts("call")
        assert 'WitnessrRegisterEx: Version 0x00020000, NetName "SWNCLUSTER", ShareName NULL' in call
        (answer,) = lines.texts("answered")
        assert "WitnessrRegisterEx returns ERROR_SUCCESS (0x0), registration " in answer

    @pytest.mark.parametrize(
        ("stub", "reason"),
        [
            (register("OTHER"), 'NetName "OTHER" is not ServerGlobalName (SWNCLUSTER, '),
            (register(None), "NetName is NULL; MS-SWN 3.1.4.5"),
            (register(version=0x00010001), "Version is 0x00010001, this method needs 0x00020000"),
            (register(share="NONE"), 'ShareName "NONE" is not a share (shares: SHARE, PLAIN)'),
            (register(share="SHARE"), 'IpAddress "127.0.0.1" is not in InterfaceList; MS-SWN 3.1.4.5'),
        ],
        ids=["net-name", "null", "version", "share", "address"],
    )
    def test_an_error_code_has_a_reason(
        self, node: EmbeddedNode, lines: Lines, stub: bytes, reason: str
    ) -> None:
        with impacket_client(node) as rpc:
            ask(rpc, 4, stub)
        record = lines.the_one("answered", "ERROR_")
        assert record.levelno == logging.WARNING
        assert reason in record.getMessage()

    def test_an_unknown_handle_has_a_reason(self, node: EmbeddedNode, lines: Lines) -> None:
        with impacket_client(node) as rpc:
            ask(rpc, 3, encode(AsyncNotifyRequest(ContextHandle(0, INTERFACE_UUID)), NDR32))
        text = lines.the_one("answered", "ERROR_NOT_FOUND (0x490)").getMessage()
        assert f"no registration {INTERFACE_UUID} in WitnessRegistrationList" in text

    def test_a_level_that_is_too_low_has_a_reason(self, node: EmbeddedNode, lines: Lines) -> None:
        with impacket_client(node, level=2) as rpc:
            ask(rpc, 4, register())
        text = lines.the_one("answered", "ERROR_ACCESS_DENIED (0x5)").getMessage()
        assert "the caller uses CONNECT, the server needs PKT_INTEGRITY; MS-SWN 3.1.4, note 4" in text

    def test_a_wrong_password_has_a_reason(self, node: EmbeddedNode, lines: Lines) -> None:
        from impacket.dcerpc.v5.rpcrt import DCERPCException

        with (
            impacket_client(node, password="wrong") as rpc,
            pytest.raises(DCERPCException, match="access_denied"),
        ):
            ask(rpc, 4, register())
        assert "logon failed, security context" in lines.the_one("logon", "").getMessage()
        refused = lines.the_one("refused", "request (0), call ")
        assert fields(refused)["field"] == "sec_trailer.auth_context_id"
        assert "fault ERROR_ACCESS_DENIED (0x00000005), and the server ends the connection" in (
            refused.getMessage()
        )

    def test_stub_data_that_do_not_decode_have_a_place(self, node: EmbeddedNode, lines: Lines) -> None:
        from impacket.dcerpc.v5.rpcrt import DCERPCException

        with impacket_client(node) as rpc, pytest.raises(DCERPCException, match="rpc_x_bad_stub_data"):
            ask(rpc, 4, register()[:20])
        record = lines.the_one("answered", "RPC_X_BAD_STUB_DATA")
        assert (fields(record)["field"], fields(record)["rule"]) == ("NetName", "MS-RPCE 3.1.3.5.2")
        assert "at offset 20 of the stub data: no octets" in record.getMessage()

    def test_an_unknown_opnum_and_interface_have_reasons(self, node: EmbeddedNode, lines: Lines) -> None:
        from impacket.dcerpc.v5.rpcrt import DCERPCException
        from impacket.uuid import uuidtup_to_bin

        with impacket_client(node) as rpc:
            with pytest.raises(DCERPCException):
                ask(rpc, 77, b"")
            with pytest.raises(DCERPCException):
                rpc.alter_ctx(uuidtup_to_bin(("12345678-1234-1234-1234-123456789abc", "1.0")))
        text = lines.the_one("answered", "witness 1.1 opnum 77").getMessage()
        assert "ends in fault nca_s_op_rng_error (0x1C010002)" in text
        assert "the interface has no such opnum" in text
        record = lines.the_one("bind", "12345678-1234-1234-1234-123456789abc v1.0 rejected, abstract_syntax")
        assert record.levelno == logging.WARNING


def scapy_bind() -> bytes:
    """A bind to the witness interface, made by scapy."""
    from scapy.layers import dcerpc

    ndr = dcerpc.DceRpc5TransferSyntax(if_uuid="NDR 2.0", if_version=2)
    context = dcerpc.DceRpc5Context(
        abstract_syntax=dcerpc.DceRpc5AbstractSyntax(if_uuid=INTERFACE_UUID, if_version=0x00010001),
        transfer_syntaxes=[ndr],
    )
    return bytes(dcerpc.DceRpc5(call_id=1) / dcerpc.DceRpc5Bind(context_elem=[context]))


def scapy_request(**fields: Any) -> Any:
    """A request of scapy."""
    from scapy.layers import dcerpc

    return dcerpc.DceRpc5(call_id=7, **fields) / dcerpc.DceRpc5Request(opnum=0)


def misaligned() -> bytes:
    """A request of scapy with its sec_trailer at octet 26."""
    from scapy.layers.dcerpc import CommonAuthVerifier

    verifier = CommonAuthVerifier(auth_type=10, auth_level=5, auth_context_id=1, auth_value=bytes(16))
    return bytes(scapy_request(auth_verifier=verifier, auth_padding=b"") / b"xy")


def exchange(node: EmbeddedNode, *pdus: bytes) -> bytes:
    """Send PDUs, and return all that comes until the server closes the connection."""
    with socket.create_connection((node.address, node.port), timeout=10) as connection:
        connection.sendall(b"".join(pdus))
        connection.shutdown(socket.SHUT_WR)
        received = b""
        while octets := connection.recv(65536):
            received += octets
    return received


class TestScapy:
    """A wrong PDU of scapy is explained: the field, its octets, the rule."""

    @pytest.mark.parametrize(
        ("wrong", "place"),
        [
            (misaligned(), "sec_trailer at offset 26: 0a 05 00 00 01 00 00 00; MS-RPCE 2.2.2.11"),
            (bytes(scapy_request(rpc_vers=4)), "rpc_vers at offset 0: 04 00 00 03 10 00 00 00; MS-RPCE 3."),
            (bytes(scapy_request(ptype=1)), "ptype at offset 2: 01 03 10 00 00 00 "),
            (bytes(scapy_request(pfc_flags=2)), "pfc_flags at offset 3: 02 10 00 00 00 "),
            (bytes(scapy_request(frag_len=8)), "frag_length at offset 8: 08 00 00 00 07 00 00 00; C706"),
            (scapy_bind(), "ptype at offset 2: 0b 03 10 00 00 00 "),
        ],
        ids=["sec-trailer", "version", "ptype", "flags", "frag-length", "second-bind"],
    )  # fmt: skip
    def test_a_wrong_pdu_has_field_octets_and_rule(
        self, node: EmbeddedNode, lines: Lines, wrong: bytes, place: str
    ) -> None:
        exchange(node, scapy_bind(), wrong)
        record = lines.the_one("refused", " rejected: ")
        assert place in record.getMessage()
        assert fields(record)["rule"]
        assert bytes.fromhex(fields(record)["octets"]) == wrong

    def test_octets_that_are_no_pdu_are_explained(self, node: EmbeddedNode, lines: Lines) -> None:
        exchange(node, b"GET / HTTP/1.1\r\n\r\n")
        assert "rejected" in lines.the_one("refused", "").getMessage()

    @pytest.mark.skipif(missing() is not None, reason=str(missing()))
    def test_the_reason_of_a_fault_is_a_comment_of_the_capture(
        self, node: EmbeddedNode, lines: Lines, tmp_path: Path
    ) -> None:
        from tests.instruments.tshark import dissect

        assert exchange(node, scapy_bind(), misaligned())
        lines.the_one("refused", "sec_trailer at offset 26")
        rows = dissect(tmp_path / "all.pcapng", ["dcerpc.pkt_type", "frame.comment"])
        comments = {
            row["dcerpc.pkt_type"][0]: row.get("frame.comment", [""])[0]
            for row in rows
            if "dcerpc.pkt_type" in row
        }
        assert "context 0 witness 1.1 accepted with NDR32" in comments["12"]
        assert "sec_trailer at offset 26: 0a 05 00 00 01 00 00 00; MS-RPCE 2.2.2.11" in comments["3"]


def test_lines_cannot_be_forged_by_names(node: EmbeddedNode, lines: Lines) -> None:
    name = "A\n20:00:00.000 logon of root\x1b]0;x\x07\u202e"
    with impacket_client(node) as rpc:
        ask(rpc, 4, register(name))
    record = lines.the_one("call", "NetName")
    text = TextFormatter().format(record)
    assert text.isprintable()
    assert r"A\n20:00:00.000 logon of root\x1b]0;x\x07\u202e" in text
    decoded = json.loads(JsonFormatter().format(record))
    assert name in decoded["text"]
    assert (decoded["event"], decoded["opnum"], decoded["node"]) == ("call", 4, "NODE1")


def test_events_and_commands_have_lines(logger: logging.Logger, lines: Lines) -> None:
    with (
        EmbeddedCluster(CONFIG, activity=ActivityLog(logger)) as cluster,
        socket.create_connection((cluster.admin_address, cluster.admin_port), timeout=10) as connection,
        connection.makefile() as answers,
    ):
        request = {"token": cluster.admin_token, "do": "disable", "node": "NODE2"}
        connection.sendall(json.dumps(request).encode() + b"\n")
        assert json.loads(answers.readline())["ok"]
    assert "event: interface NODE2" in lines.texts("interface")[0]
    assert lines.texts("admin") == ["administration: disable node NODE2"]
