"""What a client has sent, as PDUs: the transcript of its connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from spnego._ntlm_raw.messages import Authenticate, Negotiate

from swn_torture.dcerpc.client.client import RpcClient, connect
from swn_torture.dcerpc.pdu.framing import Framer
from swn_torture.dcerpc.pdu.pdus import Pdu, unpack
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.transcript import Transcript
from tests.dcerpc.loopback import HOST, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SIGNED: dict[str, Any] = {
    "credentials": Credentials("witness", "Passw0rd!", "SWNTEST"),
    "auth_type": AuthType.NTLM,
    "level": AuthLevel.INTEGRITY,
    "host": "SWNCLUSTER",
}
"""The arguments of a bind that authenticates with NTLM and signs."""

SPNEGO: dict[str, Any] = {**SIGNED, "auth_type": AuthType.SPNEGO}


class Recorded:
    """A server, and clients that record what they send."""

    def __init__(self, loopback: Loopback) -> None:
        self.port = loopback.port
        self.transcript = Transcript()

    async def client(self, **bind: Any) -> RpcClient:
        """A connection that is bound to the echo interface."""
        rpc = await connect(HOST, self.port, transcript=self.transcript)
        await rpc.bind(ECHO, **bind)
        return rpc

    def octets(self, rpc: RpcClient) -> list[bytes]:
        """The PDUs that a connection has sent, as octets."""
        framer = Framer(lambda _: 0xFFFF)
        framer.receive_data(self.transcript.stream(rpc.number, "sent"))
        found = []
        while (received := framer.next_pdu()) is not None:
            found.append(received[1])
        assert not framer.buffered
        return found

    def sent(self, rpc: RpcClient) -> list[Pdu]:
        """The PDUs that a connection has sent. The stub data may be encrypted."""
        return [unpack(octets) for octets in self.octets(rpc)]


def record(steps: Callable[[Recorded], Awaitable[None]]) -> None:
    """Run ``steps`` with a server of their own."""

    async def run(loopback: Loopback) -> None:
        await steps(Recorded(loopback))

    run_with_server(run)


def ntlm_messages(tokens: list[bytes]) -> tuple[Negotiate, Authenticate]:
    """The NEGOTIATE and the AUTHENTICATE in the tokens of a bind exchange, with and without SPNEGO."""
    negotiate, authenticate = (token[token.index(b"NTLMSSP\0") :] for token in tokens)
    return Negotiate.unpack(negotiate), Authenticate.unpack(authenticate)
