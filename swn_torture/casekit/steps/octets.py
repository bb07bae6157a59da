"""Exchanges below the level of calls: octets written as they are, and what comes back, whatever it is.

For cases about the transport itself::

    answer = await answer_to(rpc, malformed, timeout=deadline)
    law("RPC-FRAG-short-header").allows(answer, CLOSED)
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, ending_of
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.pdu.bind import BindAck, BindNak, ContextResult, PresentationContext
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.header import PduType, type_name
from swn_torture.dcerpc.pdu.pdus import FaultPdu, Pdu, Response, unpack
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from swn_torture.dcerpc.client.binding import BindResult
    from swn_torture.dcerpc.client.call import Call
    from swn_torture.dcerpc.client.client import RpcClient
    from swn_torture.dcerpc.pdu.header import Header
    from swn_torture.dcerpc.transcript import Transcript
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import AnyRequest


async def answer_to(rpc: RpcClient, *octets: bytes, timeout: float) -> Outcome:
    """Write octets and tell what comes first within ``timeout`` seconds: a PDU, or the end of the connection.

    Meant for octets that belong to no call and no bind the client knows of.
    """
    try:
        for part in octets:
            rpc.write(part)
        return outcome_of_pdu(await rpc.next_pdu(timeout))
    except RpcError as error:
        return ending_of(error, timeout)


def request_octets(client: WitnessClient, message: AnyRequest, **options: Any) -> tuple[bytes, ...]:
    """The fragments of a request, protected but not sent: to be changed, repeated, reordered or forgotten.

    Each has taken a sequence number. What the server makes of them is told by ``answer_to``.

    Args:
        client: whose presentation and security context the request uses.
        message: what to ask.
        options: anything that ``ClientConnection.request`` takes.
    """
    stub = encode(message, client.syntax)
    options.setdefault("context_id", client.context_id)
    return client.rpc.core.request(message.opnum, stub, **options)[1]


async def unsolicited_pdus(rpc: RpcClient, timeout: float = 0.01) -> tuple[Outcome, ...]:
    """PDUs that came though nothing was asked, or for a call that nobody waits for.

    To be called behind a call that has been answered: what the server had to say before that is there by now.
    """
    found: list[Outcome] = []
    while True:
        try:
            found.append(outcome_of_pdu(await rpc.next_pdu(timeout)))
        except RpcError:
            return tuple(found)


def outcome_of_pdu(pdu: Pdu) -> Outcome:
    """A PDU as an outcome."""
    match pdu:
        case FaultPdu():
            return Outcome("fault", pdu.status)
        case BindNak():
            return Outcome("bind-nak", pdu.reason)
        case BindAck():
            results = "; ".join(map(str, pdu.results)) or "no result"
            return Outcome("pdu", detail=f"{pdu.ptype.name.lower()} ({results})")
        case Response():
            return Outcome("pdu", detail=f"response, {len(pdu.stub)} octets of stub data")
        case _:
            return Outcome("pdu", detail=type_name(pdu.ptype))


async def ending(call: Call, timeout: float) -> Outcome:
    """How a call ended that was made with octets instead of a message; its response is not decoded."""
    try:
        stub = await call.reply(timeout)
    except RpcError as error:
        return ending_of(error, timeout)
    return Outcome("pdu", detail=f"response, {len(stub)} octets of stub data")


@dataclass(frozen=True, slots=True)
class BindOutcome:
    """How a bind or alter_context ended.

    Attributes:
        result: what was agreed; None when there is no bind_ack.
        refusal: how it was refused as a whole, or what came in place of an answer; None with a result.
    """

    result: BindResult | None = None
    refusal: Outcome | None = None

    @property
    def results(self) -> tuple[ContextResult, ...]:
        """One result per proposed context in that order; none when it was refused as a whole."""
        return self.result.results if self.result else ()

    @property
    def codes(self) -> tuple[tuple[int, int], ...]:
        """(result, reason) of each."""
        return tuple((each.result, each.reason) for each in self.results)

    @property
    def accepted(self) -> tuple[int, ...]:
        """Ids of the contexts that were accepted."""
        return tuple(self.result.accepted) if self.result else ()

    def __str__(self) -> str:
        if self.result is None:
            return str(self.refusal)
        return f"{self.result.bind_ack.ptype.name.lower()}: {'; '.join(map(str, self.results))}"


async def outcome_of_bind(binding: Awaitable[BindResult]) -> BindOutcome:
    """Wait for a bind of chosen presentation contexts and tell how it ended, whatever a peer can cause."""
    try:
        return BindOutcome(await binding)
    except RpcError as error:
        return BindOutcome(refusal=ending_of(error))


def contexts(
    *transfers: SyntaxId, abstract: SyntaxId = WITNESS, first: int = 0
) -> tuple[PresentationContext, ...]:
    """One presentation context for each transfer syntax, with ids counted from ``first``."""
    return tuple(
        PresentationContext(number, abstract, (each,)) for number, each in enumerate(transfers, first)
    )


def syntax_name(syntax: SyntaxId) -> str:
    """NDR, NDR64, or the identifier of any other transfer syntax."""
    return {NDR32: "NDR", NDR64: "NDR64"}.get(syntax, str(syntax))


def received_pdus(transcript: Transcript, connection: int) -> list[tuple[Header, bytes]]:
    """Every PDU that came in on a connection, protected as it came, up to octets that are none."""
    framer = Framer(lambda _: 0xFFFF)
    framer.receive_data(transcript.stream(connection, "received"))
    found: list[tuple[Header, bytes]] = []
    with contextlib.suppress(RpcError):  # judged where it was received
        while (received := framer.next_pdu()) is not None:
            found.append(received)
    return found


def faults_in(transcript: Transcript) -> list[FaultPdu]:
    """Every fault PDU that came in on any connection of a case."""
    connections = sorted({entry.connection for entry in transcript})
    return [
        pdu
        for connection in connections
        for header, raw in received_pdus(transcript, connection)
        if header.ptype == PduType.FAULT and isinstance(pdu := unpack(raw), FaultPdu)
    ]
