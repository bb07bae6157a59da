"""tshark reads our captures: of all six methods and every kind of notification, plain, signed and sealed.

A capture is what a real run of our client against the reference left in its transcript, written as the
reports write it. Every field that Wireshark's dissector of this interface knows is held against what was sent
or came. What it gets wrong (4.0 as well as 4.4), as the octets tell:

* it knows methods 0 to 4, and shows WitnessrUnRegisterEx as stub data;
* of several notifications in one answer it shows the first and takes the next one's Length for the return
  value;
* a sealed request without stub data, which a sealed WitnessrGetInterfaceList is, ends its NTLM dissector in
  an exception, though nothing is missing: where there is nothing to send there is nothing to decrypt;
* sealed in SPNEGO, it decrypts only the first message of each direction: it forgets that the checksum of a
  verifier takes 8 octets of the key stream, too (MS-NLMP 3.4.4.2), so that it begins the next one with the
  key stream of the verifier before. In NTLM without SPNEGO it does not forget.
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
from tests.instruments import tshark
from tests.instruments.tshark_witness import VALUES, shown, values
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


# -- a run, and its capture ----------------------------------------------------------------------------


@dataclass
class Run:
    """What was said on one connection, and what it looked like."""

    syntax: SyntaxId
    messages: list[AnyRequest | AnyResponse] = field(default_factory=list)
    transcript: Transcript = field(default_factory=Transcript)

    async def call(self, client: WitnessClient, request: AnyRequest) -> Any:
        return await self.wait(client, request, None)

    async def wait(self, client: WitnessClient, request: AnyRequest, order: Awaitable[None] | None) -> Any:
        """Ask, have something happen, and take the answer."""
        pending: PendingCall[Any] = client.start(request)
        if order is not None:
            await order
        answer = await pending.reply()
        self.messages += [request, answer]
        return answer


def run(
    story: Callable[[Run, WitnessClient, ReferenceController, EmbeddedCluster], Awaitable[None]],
    protection: str,
    syntax: SyntaxId,
    *,
    nodes: int = 3,
    **bind: Any,
) -> Run:
    done = Run(syntax)
    how = dict(PROTECTIONS[protection], **bind)
    if protection != "plain":
        how["credentials"] = Credentials("witness", PASSWORD, "SWNTEST")
    config = ClusterConfig(
        nodes=default_nodes(nodes),
        options=Options(enforce_security=False),
        shares=(Share("SHARE", ShareType.CLUSTER_FS, "NODE1"),),
    )

    async def talk(cluster: EmbeddedCluster) -> None:
        node = cluster.nodes[0]
        async with (
            ReferenceController(port=cluster.admin_port) as controller,
            await connect(
                node.address, node.port, syntax=syntax, transcript=done.transcript, **how
            ) as client,
        ):
            await story(done, client, controller, cluster)

    with EmbeddedCluster(config) as cluster:
        asyncio.run(talk(cluster))
    return done


def capture(done: Run, directory: Path) -> Path:
    write_capture(directory / "capture.pcapng", done.transcript.to_dicts())
    return directory / "capture.pcapng"


async def everything(
    this: Run, client: WitnessClient, controller: ReferenceController, cluster: EmbeddedCluster
) -> None:
    """All six methods, and each kind of notification."""
    address = cluster.nodes[0].address
    await this.call(client, GetInterfaceListRequest())
    register = RegisterRequest(ProtocolVersion.V1, "SWNCLUSTER", address, "CLIENT1")
    first = (await this.call(client, register)).context
    await this.wait(client, AsyncNotifyRequest(first), controller.set_interface("NODE1", up=False))
    await this.wait(client, AsyncNotifyRequest(first), controller.set_interface("NODE1", up=True))
    await this.wait(client, AsyncNotifyRequest(first), controller.move_client("CLIENT1", "NODE2"))
    register_ex = RegisterExRequest(
        ProtocolVersion.V2, "SWNCLUSTER", "SHARE", address, "CLIENT2", RegisterFlags.IP_NOTIFICATION, 120
    )
    second = (await this.call(client, register_ex)).context
    await this.wait(client, AsyncNotifyRequest(second), controller.move_share("SHARE", "NODE3"))
    spare = str(cluster.config.spare_addresses()[0])
    await this.wait(client, AsyncNotifyRequest(second), controller.add_address("NODE1", spare))
    timeout = controller.force_response(str(second.uuid), result=0x5B4)
    await this.wait(client, AsyncNotifyRequest(second), timeout)
    await this.call(client, UnRegisterRequest(first))
    await this.call(client, UnRegisterRequest(first))
    await this.call(client, UnRegisterExRequest(second))

    kinds = {
        m.response.message_type for m in this.messages if isinstance(m, AsyncNotifyResponse) and m.response
    }
    assert kinds == set(MessageType)
    assert {m.opnum for m in this.messages} == set(Opnum)


# -- the tests -----------------------------------------------------------------------------------------

COLUMNS = (
    *("frame.number", "dcerpc.pkt_type", "dcerpc.opnum", "dcerpc.cn_frag_len", "dcerpc.cn_flags.last_frag"),
    *("dcerpc.stub_data", "dcerpc.decrypted_stub_data"),
    *("dcerpc.auth_type", "dcerpc.auth_level", "ntlmssp.verf.body"),
    *VALUES,
)

every_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)


def calls(rows: list[Row]) -> list[Row]:
    """The requests and responses among the frames."""
    return [row for row in rows if row.get("dcerpc.pkt_type") in ([REQUEST], [RESPONSE])]


@dataclass
class Said:
    """A run, and what tshark says of its capture."""

    protection: str
    run: Run
    rows: list[Row]


@pytest.fixture(
    scope="module", params=[(name, syntax) for name in PROTECTIONS for syntax in SYNTAXES], ids="-".join
)
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Said:
    """All six methods, and each kind of notification."""
    protection, syntax = request.param
    done = run(everything, protection, SYNTAXES[syntax])
    file = capture(done, tmp_path_factory.mktemp("capture"))
    return Said(protection, done, tshark.dissect(file, COLUMNS, password=PASSWORD))


def test_every_field_is_what_was_said(said: Said) -> None:
    rows, messages = calls(said.rows), said.run.messages
    assert [(row["dcerpc.pkt_type"], row["dcerpc.opnum"]) for row in rows] == [
        ([REQUEST if isinstance(message, Request) else RESPONSE], [str(int(message.opnum))])
        for message in messages
    ]
    explained = []
    if said.protection == "spnego-sealed":
        rows, messages, explained = rows[:2], messages[:2], rows[2:]
    elif said.protection == "ntlm-sealed":
        explained = rows[:1]
    for row, message in zip(rows, messages, strict=True):
        assert values(row) == shown(message), message
        if message.opnum == Opnum.UNREGISTER_EX:
            stub = "dcerpc.decrypted_stub_data" if "sealed" in said.protection else "dcerpc.stub_data"
            assert row[stub] == [encode(message, said.run.syntax).hex()]
    assert [row for row in tshark.complaints(said.rows) if row not in explained] == []


@pytest.mark.parametrize(
    ("kind", "whose"), [(REQUEST, Request), (RESPONSE, Response)], ids=["sent", "received"]
)
def test_every_pdu_has_its_verifier(said: Said, kind: str, whose: type) -> None:
    """In each direction they are numbered from 0; in SPNEGO the end of its negotiation has that number."""
    rows = [row for row in calls(said.rows) if row["dcerpc.pkt_type"] == [kind]]
    assert len(rows) == sum(isinstance(message, whose) for message in said.run.messages)
    how = PROTECTIONS[said.protection]
    if not how:
        assert not any("dcerpc.auth_type" in row for row in rows)
        return
    for sequence, row in enumerate(rows, 1 if how["auth_type"] == AuthType.SPNEGO else 0):
        assert row["dcerpc.auth_type"] == [str(int(how["auth_type"]))]
        assert row["dcerpc.auth_level"] == [str(int(how["level"]))]
        (body,) = row["ntlmssp.verf.body"]
        # Eight octets of checksum, and the sequence number.
        assert bytes.fromhex(body)[8:] == sequence.to_bytes(4, "little")
    assert len({row["ntlmssp.verf.body"][0] for row in rows}) == len(rows)


@every_syntax
def test_two_notifications_in_one_answer(syntax: SyntaxId, tmp_path: Path) -> None:
    """It shows the first of them only, and takes the Length of the other for the return value."""

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
    notified = done.messages[-1]
    assert isinstance(notified, AsyncNotifyResponse)
    assert notified.response is not None
    first, second = notified.response.decode().items

    rows = tshark.dissect(capture(done, tmp_path), COLUMNS)

    row = calls(rows)[-1]
    right = shown(notified)
    wrong = shown(AsyncNotifyResponse(RespAsyncNotify.of(first), len(encode_buffer([second]))))
    for name in ("length", "num"):
        wrong[f"witness.witness_notifyResponse.{name}"] = right[f"witness.witness_notifyResponse.{name}"]
    assert values(row) in (wrong, right)
    assert [complaint for complaint in tshark.complaints(rows) if complaint != row] == []


@every_syntax
@pytest.mark.parametrize("protection", ["plain", "ntlm-signed", "spnego-signed", "ntlm-sealed"])
def test_fragments_are_put_together(protection: str, syntax: SyntaxId, tmp_path: Path) -> None:
    """A request of several fragments and an answer of many, each with a verifier of its own."""

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
        # Older tsharks write booleans as numbers.
        ends = [row["dcerpc.cn_flags.last_frag"][0] in {"1", "True"} for row in fragments]
        assert ends == [False] * (len(ends) - 1) + [True]
        assert values(fragments[-1]) == shown(message)
        assert not any(values(row) for row in fragments[:-1])
    assert all(("ntlmssp.verf.body" in row) == (protection != "plain") for row in pdus)
    sealed_nothing = [
        row
        for row in pdus
        if protection == "ntlm-sealed" and (row["dcerpc.pkt_type"], row["dcerpc.opnum"]) == ([REQUEST], ["0"])
    ]
    assert [row for row in tshark.complaints(rows) if row not in sealed_nothing] == []
