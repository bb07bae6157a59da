"""The server's end of authentication with impacket's client, whose response is shorter than others."""

from __future__ import annotations

import asyncio
from uuid import UUID

import pytest

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.server.interface import ServerCall, ServerInterface
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.stubdata.syntax import NDR32, SyntaxId
from tests.dcerpc.impacket_client import ImpacketClient

USERS = {"witness": "Passw0rd!"}
ACCEPTOR = Acceptor(USERS, "SWNTEST", "node1.swn.test")


class TestImpacket:
    """impacket's client omits the four octets after AV_EOL that pyspnego itself needs, and sends no MIC."""

    def test_signatures_of_impacket_match(self) -> None:
        client = ImpacketClient("witness", "Passw0rd!")
        server_end = ACCEPTOR.new(10, AuthLevel.INTEGRITY)
        server_end.step(client.authenticate(server_end.step(client.negotiate())))
        assert server_end.principal == "SWNTEST\\witness"
        for number in range(3):
            body = bytes([number]) * 16
            signature = client.sign(b"header" + body + b"trailer.")
            assert server_end.unprotect(5, b"header", body, b"trailer.", signature) == body
            _, signature = server_end.protect(5, b"header", body, b"trailer.")
            assert signature == client.expected(b"header" + body + b"trailer.")

    def test_impacket_seals_and_the_server_unseals(self) -> None:
        client = ImpacketClient("witness", "Passw0rd!", seal=True)
        server_end = ACCEPTOR.new(10, AuthLevel.PRIVACY)
        server_end.step(client.authenticate(server_end.step(client.negotiate())))
        for number in range(3):
            body = bytes([number]) * 16
            sealed, signature = client.seal(b"header", body, b"trailer.")
            assert server_end.unprotect(6, b"header", sealed, b"trailer.", signature) == body

    def test_impacket_with_a_wrong_password_is_rejected(self) -> None:
        client = ImpacketClient("witness", "wrong")
        server_end = ACCEPTOR.new(10)
        with pytest.raises(AuthenticationError, match="does not match the password"):
            server_end.step(client.authenticate(server_end.step(client.negotiate())))


class Echo(ServerInterface):
    """Answers each call with its stub data, its caller and its level."""

    def __init__(self) -> None:
        self.syntax = SyntaxId(UUID("11111111-2222-3333-4444-555555555555"), 1, 0)
        self.transfer_syntaxes = (NDR32,)

    def call(self, call: ServerCall) -> None:
        call.reply(f"{call.caller.principal} {call.caller.level}".encode().ljust(32) + call.stub)


class TestImpacketOverTheNetwork:
    """impacket's DCE/RPC client at this server. It signs and seals, but does not verify."""

    @staticmethod
    def call(port: int, level: int, password: str, stubs: list[bytes]) -> list[bytes]:
        from impacket.dcerpc.v5.transport import DCERPCTransportFactory
        from impacket.uuid import uuidtup_to_bin

        transport = DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]")
        transport.set_credentials("witness", password, "SWNTEST")
        dce = transport.get_dce_rpc()
        dce.set_auth_level(level)
        dce.connect()
        try:
            dce.bind(uuidtup_to_bin(("11111111-2222-3333-4444-555555555555", "1.0")))
            answers = []
            for stub in stubs:
                dce.call(0, stub)
                answers.append(dce.recv())
            return answers
        finally:
            dce.disconnect()

    def call_server(
        self, level: int, password: str = "Passw0rd!", stubs: list[bytes] | None = None
    ) -> list[bytes]:
        async def main() -> list[bytes]:
            server = RpcServer([Echo()], acceptor=ACCEPTOR)
            port = await server.start("127.0.0.1")
            try:
                return await asyncio.to_thread(self.call, port, level, password, stubs or [b"stub"])
            finally:
                await server.stop(reset=True)

        return asyncio.run(main())

    @pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_impacket_calls_the_server_at_every_level(self, level: AuthLevel) -> None:
        stubs = [bytes([number]) * size for number, size in enumerate([0, 1, 15, 16, 17, 4000])]
        who = f"SWNTEST\\witness {level:d}".encode().ljust(32)
        assert self.call_server(level, stubs=stubs) == [who + stub for stub in stubs]

    @pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_a_wrong_password_gets_access_denied_at_the_call(self, level: AuthLevel) -> None:
        """The last leg of NTLM has no answer, so the first call is rejected."""
        from impacket.dcerpc.v5.rpcrt import DCERPCException

        with pytest.raises(DCERPCException, match="access_denied"):
            self.call_server(level, password="wrong")
