"""Send octets on a connection, and read whatever PDU comes back; bind with chosen presentation contexts.

For cases about the transport itself::

    outcome = await send_octets(rpc, malformed, timeout=deadline)
    spec("RPC-FRAG-short-header").allows(outcome, CLOSED)
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, outcome_of_error
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.pdu.bind import (
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
    PresentationContext,
    ProviderReason,
    ResultCode,
)
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


async def send_octets(rpc: RpcClient, *octets: bytes, timeout: float) -> Outcome:
    """Send octets; returns the first PDU within ``timeout`` seconds, or the end of the connection.

    It is for octets that are not part of a call or a bind of the client.
    """
    try:
        for part in octets:
            rpc.write(part)
        return outcome_of_pdu(await rpc.next_pdu(timeout))
    except RpcError as error:
        return outcome_of_error(error, timeout)


def request_octets(client: WitnessClient, message: AnyRequest, **options: Any) -> tuple[bytes, ...]:
    """The fragments of a request, with verifiers, but not sent. A case can change, repeat or omit them.

    Each fragment uses up a sequence number. Send them by ``send_octets``.

    Args:
        client: the connection; the request uses its presentation context and security context.
        message: the request.
        options: any other argument of ``ClientConnection.request``.
    """
    stub = encode(message, client.syntax)
    options.setdefault("context_id", client.context_id)
    return client.rpc.core.request(message.opnum, stub, **options)[1]


async def unsolicited_pdus(rpc: RpcClient, timeout: float = 0.01) -> tuple[Outcome, ...]:
    """The PDUs that the server sent without a request, or for a call that the client does not wait for.

    Call it after another call has been completed: PDUs that the server sent before that have arrived.

    Args:
        rpc: the connection.
        timeout: seconds to wait for each PDU.
    """
    found: list[Outcome] = []
    while True:
        try:
            found.append(outcome_of_pdu(await rpc.next_pdu(timeout)))
        except RpcError:
            return tuple(found)


def outcome_of_pdu(pdu: Pdu) -> Outcome:
    """A received PDU as an outcome: a fault, a bind_nak, or ``pdu`` with a description."""
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


async def outcome_of_raw_call(call: Call, timeout: float) -> Outcome:
    """Wait up to ``timeout`` seconds for a call with raw stub data; its response is not decoded."""
    try:
        stub = await call.reply(timeout)
    except RpcError as error:
        return outcome_of_error(error, timeout)
    return Outcome("pdu", detail=f"response, {len(stub)} octets of stub data")


_LIMIT_REFUSED = Outcome("bind-nak", BindNakReason.LOCAL_LIMIT_EXCEEDED)
_LIMIT_REJECTED = (ResultCode.PROVIDER_REJECTION, ProviderReason.LOCAL_LIMIT_EXCEEDED)


@dataclass(frozen=True, slots=True)
class BindOutcome:
    """How a bind or alter_context ended.

    Attributes:
        result: the result of the negotiation; None without a bind_ack or alter_context_resp.
        refusal: the bind_nak or fault, or what came instead of an answer; None with a result.
    """

    result: BindResult | None = None
    refusal: Outcome | None = None

    @property
    def results(self) -> tuple[ContextResult, ...]:
        """The result for each proposed context, in that order; none without a bind_ack."""
        return self.result.results if self.result else ()

    @property
    def codes(self) -> tuple[tuple[int, int], ...]:
        """(result, reason) for each proposed context."""
        return tuple((each.result, each.reason) for each in self.results)

    @property
    def accepted(self) -> tuple[int, ...]:
        """The ids of the accepted contexts."""
        return tuple(self.result.accepted) if self.result else ()

    @property
    def limit_reached(self) -> bool:
        """Whether the server rejects it for the number of contexts, as a result or as a whole.

        How many it accepts, up to 4000 for each interface, is its own choice (MS-RPCE 3.3.3.5.5).
        """
        refused = self.refusal is not None and self.refusal == _LIMIT_REFUSED
        return refused or _LIMIT_REJECTED in self.codes

    def __str__(self) -> str:
        if self.result is None:
            return str(self.refusal)
        return f"{self.result.bind_ack.ptype.name.lower()}: {'; '.join(map(str, self.results))}"


async def outcome_of_bind(binding: Awaitable[BindResult]) -> BindOutcome:
    """Wait for a bind or alter_context; returns how it ended, whatever the server does."""
    try:
        return BindOutcome(await binding)
    except RpcError as error:
        return BindOutcome(refusal=outcome_of_error(error))


def contexts(
    *transfers: SyntaxId, abstract: SyntaxId = WITNESS, first: int = 0
) -> tuple[PresentationContext, ...]:
    """One presentation context for each transfer syntax.

    Args:
        transfers: the transfer syntaxes.
        abstract: the interface.
        first: id of the first context; the others count up from it.
    """
    return tuple(
        PresentationContext(number, abstract, (each,)) for number, each in enumerate(transfers, first)
    )


def syntax_name(syntax: SyntaxId) -> str:
    """The name of a transfer syntax: NDR, NDR64, or the identifier of any other."""
    return {NDR32: "NDR", NDR64: "NDR64"}.get(syntax, str(syntax))


def received_pdus(transcript: Transcript, connection: int) -> list[tuple[Header, bytes]]:
    """Every PDU received on a connection, with its octets as received, up to octets that are not a PDU."""
    framer = Framer(lambda _: 0xFFFF)
    framer.receive_data(transcript.stream(connection, "received"))
    found: list[tuple[Header, bytes]] = []
    with contextlib.suppress(RpcError):  # the client raised it already when it received these octets
        while (received := framer.next_pdu()) is not None:
            found.append(received)
    return found


def bind_ack_on(transcript: Transcript, connection: int) -> BindAck:
    """The bind_ack received on a connection that is bound."""
    received = [unpack(raw) for header, raw in received_pdus(transcript, connection)]
    (bind_ack, *_) = [pdu for pdu in received if isinstance(pdu, BindAck)]
    return bind_ack


def faults_in(transcript: Transcript) -> list[FaultPdu]:
    """Every fault PDU received on any connection of a case."""
    connections = sorted({entry.connection for entry in transcript})
    return [
        pdu
        for connection in connections
        for header, raw in received_pdus(transcript, connection)
        if header.ptype == PduType.FAULT and isinstance(pdu := unpack(raw), FaultPdu)
    ]
