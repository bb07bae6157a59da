"""Whether a node takes PDUs from a stream of octets: a PDU in two TCP segments, two PDUs in one, fragments.

And whether it serves more than one connection at a time.

A server that takes what one read returns for one PDU, or one fragment for a whole request, fails wherever a
request is long, or where two PDUs arrive together. That is one finding; what depends on it is not judged.

Between two parts another connection binds: when it is answered, the server has read the first part alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from swn_torture.casekit.facts import CONNECTIONS, FRAGMENTS, SEGMENTS, BrokenFraming
from swn_torture.casekit.outcome import outcome_of_error
from swn_torture.dcerpc.client.client import connect as connect_rpc
from swn_torture.dcerpc.errors import ConnectionLost, DeadlineExceeded, RpcError
from swn_torture.dcerpc.pdu.header import HEADER_SIZE
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.harness.preflight.findings import PreflightFinding
from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import WITNESS, ProtocolVersion
from swn_torture.witness.messages import GetInterfaceListRequest, RegisterRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from swn_torture.casekit.outcome import Outcome
    from swn_torture.harness.preflight.methods import Connect
    from swn_torture.harness.preflight.patience import Patience
    from swn_torture.target import NodeAddress
    from swn_torture.witness.client import WitnessClient

#: Octets of stub data in each of several fragments of a Register: a multiple of 8 (C706 12.6.4.9).
_CHUNK = 48

#: How many times a request must stay without a response, each on a new connection, until it is a finding.
_TRIES = 2


class _NotShown(Exception):  # noqa: N818 - not an error of the target
    """The server did not answer another connection in between: what it has read is not known."""


@dataclass(frozen=True, slots=True)
class Framed:
    """Requests that arrived in an unusual way, of which one did not get a response.

    Attributes:
        requirement: the requirement that this violates.
        how: how they were sent, in words.
        outcome: how it ended.
        octets: all octets of its connection.
        together: whether two PDUs were sent in one TCP segment.
    """

    requirement: str
    how: str
    outcome: Outcome
    octets: Transcript
    together: bool = False


@dataclass(frozen=True, slots=True)
class _Way:
    """A way to send requests.

    Attributes:
        requirement: the requirement that a server violates which does not serve it.
        how: the way in words.
        requests: what is sent.
        chunk: octets of stub data in each fragment; None for one fragment.
        cut: offset in the first PDU at which it is cut; 0 to send whole PDUs.
        together: send everything in one TCP segment.
    """

    requirement: str
    how: str
    requests: tuple[GetInterfaceListRequest | RegisterRequest, ...]
    chunk: int | None = None
    cut: int = 0
    together: bool = False


_LIST = GetInterfaceListRequest()
_ALONE = _Way(SEGMENTS, "GetInterfaceList in one TCP segment", (_LIST,))
_PARTS = _Way(SEGMENTS, "GetInterfaceList in two TCP segments", (_LIST,), cut=HEADER_SIZE // 2)
_TWO = _Way(SEGMENTS, "two GetInterfaceList in one TCP segment", (_LIST, _LIST), together=True)


class FramingProbe:
    """Requests in parts, on a node whose ordinary calls are served.

    Args:
        node: the node.
        port: TCP port of its witness endpoint.
        connect: opens a bound connection with a transfer syntax; it records its octets.
        patience: how long to wait.
    """

    def __init__(self, node: NodeAddress, port: int, connect: Connect, patience: Patience) -> None:
        self._node = node
        self._port = port
        self._connect = connect
        self._patience = patience

    async def run(self, register: RegisterRequest | None, *, multiplexing: bool) -> tuple[Framed, ...]:
        """Send requests in parts, and two together, if the same requests are served in one PDU.

        Fragments are only sent to a server that takes PDUs from segments rightly.

        Args:
            register: a Register; None leaves out fragments.
            multiplexing: whether the server takes a second request before it has answered the first one.
        """
        self._patience.begin(f"{self._node.name}: requests in parts")
        if not await self._served(_ALONE):
            return await self._one_at_a_time()
        found = await self._broken(_PARTS)
        if multiplexing:
            found += await self._broken(_TWO)
        if found or register is None or not await self._served(_Way(FRAGMENTS, "Register", (register,))):
            return found
        found = await self._broken(_Way(FRAGMENTS, "Register in several fragments", (register,), _CHUNK))
        if not found and not multiplexing:
            how = "the fragments of a Register in one TCP segment"
            found = await self._broken(_Way(SEGMENTS, how, (register,), _CHUNK, together=True))
        return found

    async def _one_at_a_time(self) -> tuple[Framed, ...]:
        """Whether a bind is answered only when no other connection is open."""
        found: list[Framed] = []
        while len(found) < _TRIES:
            octets = Transcript()
            try:
                client = await self._connect(NDR32, octets)
            except RpcError:
                return ()
            outcome = await self._bind(octets)
            await client.close()
            if outcome is None or outcome.kind != "silence" or await self._bind(octets) is not None:
                return ()
            found.append(Framed(CONNECTIONS, "a bind while another connection is open", outcome, octets))
        return (found[-1],)

    async def _bind(self, octets: Transcript) -> Outcome | None:
        """Bind on a new connection, which is closed again: None if there is an answer, else how it ended."""
        wait = min(self._patience.timeout, self._patience.step / 2)
        try:
            rpc = await connect_rpc(self._node.address, self._port, timeout=wait, transcript=octets)
        except RpcError as problem:
            return outcome_of_error(problem)
        try:
            await rpc.bind(WITNESS, transfer=(NDR32,), timeout=wait)
        except (ConnectionLost, DeadlineExceeded) as problem:
            return outcome_of_error(problem)
        except RpcError:
            pass  # it rejects a bind without authentication: that is an answer
        finally:
            await rpc.close()
        return None

    async def _served(self, way: _Way) -> bool:
        """Whether each request gets a response."""
        try:
            return await self._send(way, Transcript()) is None
        except (_NotShown, RpcError):
            return False

    async def _broken(self, way: _Way) -> tuple[Framed, ...]:
        """How requests end that are sent in this way; empty if they get a response, or that is not known."""
        for number in range(1, _TRIES + 1):
            octets = Transcript()
            try:
                outcome = await self._send(way, octets)
            except (_NotShown, RpcError):
                return ()  # the cases find out
            if outcome is None or self._patience.over:
                return ()
            if number == _TRIES:
                return (Framed(way.requirement, way.how, outcome, octets, way.together),)
        return ()

    async def _send(self, way: _Way, octets: Transcript) -> Outcome | None:
        """Send requests: None if each gets a response, else how the first one ended that does not."""
        client = await self._connect(NDR32, octets)
        try:
            await self._turn()  # the last PDU of an authentication has no answer: it is read alone
            sent = [
                client.rpc.core.request(
                    each.opnum, encode(each, NDR32), context_id=client.context_id, chunk=way.chunk
                )
                for each in way.requests
            ]
            calls = [
                client.rpc.expect(number, each.opnum)
                for (number, _), each in zip(sent, way.requests, strict=True)
            ]
            pdus = [pdu for _, parts in sent for pdu in parts]
            if way.cut:
                pdus = [pdus[0][: way.cut], pdus[0][way.cut :], *pdus[1:]]
            try:
                await self._write(client, [b"".join(pdus)] if way.together else pdus)
                for call in calls:
                    await call.reply(self._patience.timeout)
            except RpcError as error:
                return outcome_of_error(error)
        finally:
            await client.close()
        return None

    async def _write(self, client: WitnessClient, parts: Sequence[bytes]) -> None:
        """Write each part after the server has read the ones before."""
        for index, part in enumerate(parts):
            if index:
                await self._turn()
            client.rpc.write(part)

    async def _turn(self) -> None:
        """Wait until the server has answered another connection.

        Raises:
            _NotShown: it does not.
        """
        if await self._bind(Transcript()) is not None:
            raise _NotShown


def register_of(net_name: str, address: str) -> RegisterRequest:
    """A Register that is longer than a fragment of `_CHUNK` octets.

    Args:
        net_name: the NetName of the profile.
        address: an address to register for.
    """
    return RegisterRequest(ProtocolVersion.V1, net_name, address, "SWN-TORTURE")


def framing_of(broken: Iterable[Framed]) -> tuple[BrokenFraming, ...]:
    """What cases ask about it."""
    return tuple(
        BrokenFraming(each.requirement, f"{each.how}: {each.outcome}", loses_pdus=each.together)
        for each in broken
    )


def findings_of_framing(broken: Iterable[Framed], node: NodeAddress) -> tuple[PreflightFinding, ...]:
    """What it violates."""
    return tuple(
        PreflightFinding.of(
            each.requirement,
            "an answer, as to the same PDU alone on one connection and in one TCP segment",
            str(each.outcome),
            f"{each.how}, at node {node.name}",
            each.octets,
        )
        for each in broken
    )
