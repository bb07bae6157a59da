"""The octets from which fuzzing begins: valid inputs of each kind, for each target."""

from __future__ import annotations

import itertools
import json
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.epm.messages import LookupRequest, MapRequest
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.dcerpc.pdu.bind import Bind
from swn_torture.dcerpc.pdu.header import WHOLE
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Request, Response
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.transcript import Octets
from swn_torture.report.json_report import render_json
from swn_torture.report.model import CaseResult, Check, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.shipped import fixtures_directory
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness import codec
from swn_torture.witness.constants import MessageType
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
)
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange
from tests.dcerpc.rpc_pair import ECHO

_HANDLE = ContextHandle(0, UUID(int=7))
_CHANGE = RespAsyncNotify.of(ResourceChange(0xFF, "NODE2"), ResourceChange(1, "NODE2"))
_MOVE = RespAsyncNotify.of(
    IpAddrInfoList((IpAddrInfo(9, IPv4Address("192.0.2.7")),)), message_type=MessageType.CLIENT_MOVE
)
_INTERFACES = (
    InterfaceInfo("NODE1", 0x20000, 1, IPv4Address("192.0.2.1"), IPv6Address("::"), 1),
    InterfaceInfo("NODE2", 0xFFFFFFFF, 2, IPv4Address("192.0.2.2"), IPv6Address("2001:db8::2"), 6),
)
_REQUESTS = (
    RegisterRequest(0x10001, "CLUSTER", "192.0.2.1", "CLIENT"),
    RegisterRequest(0x10001, None, "192.0.2.1", None),
    AsyncNotifyRequest(_HANDLE),
    RegisterExRequest(0x20000, "CLUSTER", "data", "192.0.2.1", "CLIENT", 1, 120),
)
_RESPONSES = (
    GetInterfaceListResponse(InterfaceList(_INTERFACES), 0),
    GetInterfaceListResponse(None, 0x139F),
    RegisterResponse(_HANDLE, 0),
    AsyncNotifyResponse(_CHANGE, 0),
    AsyncNotifyResponse(_MOVE, 0),
)


def _stubs(messages: tuple[object, ...]) -> list[bytes]:
    """Each message in both transfer syntaxes, after the octet by which a target chooses its method."""
    return [
        bytes([message.opnum | (64 if syntax == NDR64 else 0)]) + codec.encode(message, syntax)  # type: ignore[attr-defined, arg-type]
        for message, syntax in itertools.product(messages, (NDR32, NDR64))
    ]


def _pdus() -> list[bytes]:
    pdus = (
        Bind(contexts=tuple(propose(ECHO)), flags=WHOLE, call_id=1),
        Request(flags=WHOLE, call_id=2, opnum=0, stub=b"stub data"),
        Response(flags=WHOLE, call_id=2, stub=b"stub data"),
        FaultPdu(flags=WHOLE, call_id=2, status=5),
    )
    return [pdu.pack() for pdu in pdus]


def _tokens() -> list[bytes]:
    found = []
    for number, kind in enumerate((AuthType.NTLM, AuthType.SPNEGO)):
        context = initiator(
            kind, Credentials("witness", "Passw0rd!"), host="cluster", level=AuthLevel.INTEGRITY
        )
        token = context.step(b"")
        found.append(bytes([number | 2, min(len(token), 255)]) + token)
        # The second token answers another challenge: it is read to its end, and then rejected.
        last = context.step(Acceptor({"witness": "Passw0rd!"}).new(kind, AuthLevel.INTEGRITY).step(token))
        found.append(found[-1] + last)
    return found


_BASELINE = b"""
schema = "swn-torture-baseline/2"
title = "A server"

[[cause]]
id = "no-ip-change"
title = "IP_CHANGE is never sent"
class = "known"
reason = "not written yet"
seen-with = ["1.0"]

[[cause.finding]]
requirement = "SWN-3.1.6.4-match"
cases = ["cluster.ip-change.*"]
observed = ["no answer"]
"""


def _results() -> bytes:
    """Results with a finding whose exchange was kept."""
    rule = "SWN-3.1.4.2-null-netname"
    check = Check(rule, passed=False, expected=("an error",), observed="ERROR_SUCCESS (0x0)")
    record = Octets(0.5, 1, "sent", ("192.0.2.9", 40000), ("192.0.2.1", 49152), _pdus()[0])
    case = CaseResult(
        id="rpc.register.null-name",
        title="Register without a NetName returns an error.",
        suite="rpc",
        requirements=(rule,),
        level="MUST",
        outcome="failed",
        reason="not rejected",
        checks=(check,),
        transcript=(record.to_dict(),),
    )
    run = Run(started="2026-01-01T00:00:00+00:00", command="pytest", host="a machine")
    target = TargetInfo(
        name="server", controller="none", capabilities=(), address="192.0.2.1", net_name="CLUSTER"
    )
    return render_json(Results.of_run(run, target, [case], load_catalogue())).encode()


_ORDERS = (
    {"do": "nodes"},
    {"do": "move-client", "client": "CLIENT", "destination": "node2"},
    {"do": "registrations"},
)


def seeds() -> dict[str, list[bytes]]:
    """Return the inputs by the name of their target."""
    tower = Tower.of_tcp(ECHO, 49152, IPv4Address("192.0.2.1")).pack()
    stream = _pdus()
    return {
        "pdu": [*stream, b"".join(stream)],
        "witness_request": _stubs(_REQUESTS),
        "witness_response": _stubs(_RESPONSES),
        "notifications": [
            bytes([each.message_type]) + (each.message_buffer or b"") for each in (_CHANGE, _MOVE)
        ],
        "endpoint_mapper": [
            b"\x00" + MapRequest(tower).pack(),
            b"\x02" + LookupRequest(interface=ECHO).pack(),
            b"\x04" + tower,
        ],
        "companions": [bytes([number]) + bytes(40) for number in range(32)],
        "server_connection": [bytes([first]) + b"".join(stream[:2]) for first in (0, 1, 0x80, 0x81)],
        "client_connection": [stream[2], stream[3]],
        "tokens": _tokens(),
        "exchange": [stream[0] + stream[1], stream[1] + stream[2]],
        "profile": [each.read_bytes() for each in sorted((fixtures_directory() / "profiles").glob("*.toml"))],
        "baseline": [_BASELINE],
        "results": [_results()],
        "orders": [json.dumps(order).encode() for order in _ORDERS],
    }
