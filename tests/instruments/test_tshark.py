"""tshark reads our captures: all six methods and every kind of notification, plain, signed and sealed.

Our client calls the reference, and the transcript of its connection is written as a capture, as for a report.
The tests compare every field of Wireshark's dissector of this interface with what was sent and received. The
dissector has these errors (versions 4.0 and 4.4):

* It has methods 0 to 4 only, and shows WitnessrUnRegisterEx as stub data.
* Of several notifications in one response it shows the first. It shows the Length of the second one as the
  return value.
* A sealed request without stub data (WitnessrGetInterfaceList) causes an exception in its NTLM dissector,
  although the capture is complete.
* With SPNEGO it decrypts only the first sealed message of each direction. The checksum of a verifier takes 8
  octets of the key stream, too (MS-NLMP 3.4.4.2). The dissector does not skip them, so that it uses the wrong
  part of the key stream for the next message. With NTLM alone it skips them.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.control.reference import ReferenceController
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.report.exchange.captures import write_capture
from swn_torture.server.config import ClusterConfig, default_nodes
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.state.options import Options
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.witness.client import PendingCall, WitnessClient, connect
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import MessageType, Opnum, ProtocolVersion, RegisterFlags
from swn_torture.witness.messages import (
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    GetInterfaceListRequest,
    GetInterfaceListResponse,
    RegisterExRequest,
    RegisterRequest,
    Request,
    RespAsyncNotify,
    Response,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from swn_torture.witness.notifications import encode_buffer
from tests.examples import one_in
from tests.instruments import tshark
from tests.instruments.tshark_witness import VALUES, expected_fields, values
from tests.witness.witness_samples import SYNTAXES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from swn_torture.stubdata.syntax import SyntaxId
    from tests.instruments.tshark import Row

PASSWORD = "Passw0rd!"

PROTECTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ntlm-signed": {"auth_type": AuthType.NTLM, "level": AuthLevel.INTEGRITY},
    "spnego-signed": {"auth_type": AuthType.SPNEGO, "level": AuthLevel.INTEGRITY},
    "ntlm-sealed": {"auth_type": AuthType.NTLM, "level": AuthLevel.PRIVACY},
    "spnego-sealed": {"auth_type": AuthType.SPNEGO, "level": AuthLevel.PRIVACY},
}

REQUEST, RESPONSE = "0", "2"
"""PDU types."""


@pytest.fixture(autouse=True, scope="module")
def _tshark() -> None:
    if reason := tshark.missing():
        if os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


# A run and its capture


@dataclass
class Run:
    """The messages of one connection, and its transcript."""

    syntax: SyntaxId
    messages: list[AnyRequest | AnyResponse] = field(default_factory=list)
    transcript: Transcript = field(default_factory=Transcript)

    async def call(
        self, client: WitnessClient, request: AnyRequest, change: Awaitable[object] | None = None
    ) -> Any:
        """Send a request, await a change of the cluster, and return the response."""
        pending: PendingCall[Any] = client.start(request)
        if change is not None:
            await change
        response = await pending.reply()
        self.messages += [request, response]
        return response


def run(
    steps: Callable[[Run, WitnessClient, ReferenceController, EmbeddedCluster], Awaitable[None]],
    protection: str,
    syntax: SyntaxId,
    *,
    nodes: int = 3,
    **bind: Any,
) -> Run:
    """Make the calls of ``steps`` on a new cluster, and return the run."""
    done = Run(syntax)
    options = dict(PROTECTIONS[protection], **bind)
    if protection != "plain":
        options["credentials"] = Credentials("witness", PASSWORD, "SWNTEST")
    config = ClusterConfig(
        nodes=default_nodes(nodes),
        options=Options(enforce_security=False),
        shares=(Share("SHARE", ShareType.CLUSTER_FS, "NODE1"),),
    )

    async def on_cluster(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        async with (
            ReferenceController(port=cluster.admin_port) as controller,
            await connect(
                node.address, node.port, syntax=syntax, transcript=done.transcript, **options
            ) as client,
        ):
            await steps(done, client, controller, cluster)

    with EmbeddedCluster(config) as cluster:
        asyncio.run(on_cluster(cluster))
    return done


def capture(done: Run, directory: Path) -> Path:
    write_capture(directory / "capture.pcapng", done.transcript.to_dicts())
    return directory / "capture.pcapng"


async def every_method(
    this: Run, client: WitnessClient, controller: ReferenceController, cluster: EmbeddedCluster
) -> None:
    """Call all six methods, and receive each kind of notification."""
    address = cluster.nodes[0].address
    await this.call(client, GetInterfaceListRequest())
    register = RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER", address, "CLIENT1")
    first = (await this.call(client, register)).context
    await this.call(client, AsyncNotifyRequest(first), controller.set_interface("NODE1", up=False))
    await this.call(client, AsyncNotifyRequest(first), controller.set_interface("NODE1", up=True))
    await this.call(client, AsyncNotifyRequest(first), controller.move_client("CLIENT1", "NODE2"))
    register_ex = RegisterExRequest(
        ProtocolVersion.V2, "SWNCLUSTER", "SHARE", address, "CLIENT2", RegisterFlags.IP_NOTIFICATION, 120
    )
    second = (await this.call(client, register_ex)).context
    await this.call(client, AsyncNotifyRequest(second), controller.move_share("SHARE", "NODE3"))
    spare = str(cluster.config.spare_addresses()[0])
    await this.call(client, AsyncNotifyRequest(second), controller.add_address("NODE1", spare))
    timeout = controller.force_response(str(second.uuid), result=0x5B4)
    await this.call(client, AsyncNotifyRequest(second), timeout)
    await this.call(client, UnRegisterRequest(first))
    await this.call(client, UnRegisterRequest(first))
    await this.call(client, UnRegisterExRequest(second))

    kinds = {
        m.response.message_type for m in this.messages if isinstance(m, AsyncNotifyResponse) and m.response
    }
    assert kinds == set(MessageType)
    assert {m.opnum for m in this.messages} == set(Opnum)


# The tests

COLUMNS = (
    *("frame.number", "dcerpc.pkt_type", "dcerpc.opnum", "dcerpc.cn_frag_len", "dcerpc.cn_flags.last_frag"),
    *("dcerpc.stub_data", "dcerpc.decrypted_stub_data"),
    *("dcerpc.auth_type", "dcerpc.auth_level", "ntlmssp.verf.body"),
    *VALUES,
)

every_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)


def calls(rows: list[Row]) -> list[Row]:
    """Return the rows of the requests and responses."""
    return [row for row in rows if row.get("dcerpc.pkt_type") in ([REQUEST], [RESPONSE])]


@dataclass
class Dissected:
    """A run, and the rows of tshark for its capture."""

    protection: str
    run: Run
    rows: list[Row]


@pytest.fixture(
    scope="module",
    params=one_in(3, [[name, syntax] for name in PROTECTIONS for syntax in SYNTAXES]),
    ids="-".join,
)
def dissected(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Dissected:
    """A run with all six methods and each kind of notification, for each protection and syntax."""
    protection, syntax = request.param
    done = run(every_method, protection, SYNTAXES[syntax])
    file = capture(done, tmp_path_factory.mktemp("capture"))
    return Dissected(protection, done, tshark.dissect(file, COLUMNS, password=PASSWORD))


def test_every_field_has_the_value_of_the_message(dissected: Dissected) -> None:
    rows, messages = calls(dissected.rows), dissected.run.messages
    assert [(row["dcerpc.pkt_type"], row["dcerpc.opnum"]) for row in rows] == [
        ([REQUEST if isinstance(message, Request) else RESPONSE], [str(int(message.opnum))])
        for message in messages
    ]
    known_errors: list[Row] = []
    if dissected.protection == "spnego-sealed":
        rows, messages, known_errors = rows[:2], messages[:2], rows[2:]
    elif dissected.protection == "ntlm-sealed":
        known_errors = rows[:1]
    for row, message in zip(rows, messages, strict=True):
        assert values(row) == expected_fields(message), message
        if message.opnum == Opnum.UNREGISTER_EX:
            stub = "dcerpc.decrypted_stub_data" if "sealed" in dissected.protection else "dcerpc.stub_data"
            assert row[stub] == [encode(message, dissected.run.syntax).hex()]
    assert [row for row in tshark.with_problems(dissected.rows) if row not in known_errors] == []


@pytest.mark.parametrize(
    ("kind", "message_class"), [(REQUEST, Request), (RESPONSE, Response)], ids=["sent", "received"]
)
def test_every_pdu_has_the_next_verifier(dissected: Dissected, kind: str, message_class: type) -> None:
    """Each direction counts from 0. With SPNEGO the end of the negotiation uses number 0."""
    rows = [row for row in calls(dissected.rows) if row["dcerpc.pkt_type"] == [kind]]
    assert len(rows) == sum(isinstance(message, message_class) for message in dissected.run.messages)
    options = PROTECTIONS[dissected.protection]
    if not options:
        assert not any("dcerpc.auth_type" in row for row in rows)
        return
    for sequence, row in enumerate(rows, 1 if options["auth_type"] == AuthType.SPNEGO else 0):
        assert row["dcerpc.auth_type"] == [str(int(options["auth_type"]))]
        assert row["dcerpc.auth_level"] == [str(int(options["level"]))]
        (body,) = row["ntlmssp.verf.body"]
        # Eight octets of checksum, and the sequence number.
        assert bytes.fromhex(body)[8:] == sequence.to_bytes(4, "little")
    assert len({row["ntlmssp.verf.body"][0] for row in rows}) == len(rows)


@every_syntax
def test_two_notifications_in_one_response(syntax: SyntaxId, tmp_path: Path) -> None:
    """It shows only the first, and the Length of the second as the return value."""

    async def two_changes(
        this: Run, client: WitnessClient, controller: ReferenceController, cluster: EmbeddedCluster
    ) -> None:
        address = cluster.nodes[0].address
        register = RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER", address, "CLIENT1")
        handle = (await this.call(client, register)).context
        await controller.set_interface("NODE1", up=False)
        await controller.set_interface("NODE1", up=True)
        await this.call(client, AsyncNotifyRequest(handle))

    done = run(two_changes, "ntlm-signed", syntax)
    notify_response = done.messages[-1]
    assert isinstance(notify_response, AsyncNotifyResponse)
    assert notify_response.response is not None
    first, second = notify_response.response.decode().items

    rows = tshark.dissect(capture(done, tmp_path), COLUMNS)

    row = calls(rows)[-1]
    right = expected_fields(notify_response)
    wrong = expected_fields(AsyncNotifyResponse(RespAsyncNotify.of(first), len(encode_buffer([second]))))
    for name in ("length", "num"):
        wrong[f"witness.witness_notifyResponse.{name}"] = right[f"witness.witness_notifyResponse.{name}"]
    assert values(row) in (wrong, right)
    assert [problem for problem in tshark.with_problems(rows) if problem != row] == []


@every_syntax
@pytest.mark.parametrize("protection", ["plain", "ntlm-signed", "spnego-signed", "ntlm-sealed"])
def test_fragments_are_reassembled(protection: str, syntax: SyntaxId, tmp_path: Path) -> None:
    """A request and a response with several fragments, each with its own verifier."""

    async def long_messages(
        this: Run, client: WitnessClient, _controller: ReferenceController, cluster: EmbeddedCluster
    ) -> None:
        address = cluster.nodes[0].address
        await this.call(client, RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER" * 500, address, "CLIENT1"))
        await this.call(client, GetInterfaceListRequest())

    done = run(long_messages, protection, syntax, nodes=40, max_xmit=2048, max_recv=2048)
    long_request, listed = done.messages[0], done.messages[-1]
    assert isinstance(listed, GetInterfaceListResponse)
    assert len(listed.interfaces) == 40

    rows = tshark.dissect(capture(done, tmp_path), COLUMNS, password=PASSWORD)

    pdus = calls(rows)
    for kind, message in ((REQUEST, long_request), (RESPONSE, listed)):
        fragments = [
            row
            for row in pdus
            if (row["dcerpc.pkt_type"], row["dcerpc.opnum"]) == ([kind], [str(int(message.opnum))])
        ]
        assert len(fragments) > len(encode(message, syntax)) // 2048
        assert all(int(row["dcerpc.cn_frag_len"][0]) <= 2048 for row in fragments)
        # Older versions of tshark write truth values as numbers.
        is_last = [row["dcerpc.cn_flags.last_frag"][0] in {"1", "True"} for row in fragments]
        assert is_last == [False] * (len(is_last) - 1) + [True]
        assert values(fragments[-1]) == expected_fields(message)
        assert not any(values(row) for row in fragments[:-1])
    assert all(("ntlmssp.verf.body" in row) == (protection != "plain") for row in pdus)
    without_stub_data = [
        row
        for row in pdus
        if protection == "ntlm-sealed" and (row["dcerpc.pkt_type"], row["dcerpc.opnum"]) == ([REQUEST], ["0"])
    ]
    assert [row for row in tshark.with_problems(rows) if row not in without_stub_data] == []
