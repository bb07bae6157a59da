"""The answering end and impacket's client, which leaves out of its response what others put there."""

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
    """Its client leaves out the four octets behind AV_EOL that stock pyspnego wants, and makes no MIC."""

    def test_sign(self) -> None:
        client = ImpacketClient("witness", "Passw0rd!")
        answerer = ACCEPTOR.new(10, AuthLevel.INTEGRITY)
        answerer.step(client.authenticate(answerer.step(client.negotiate())))
        assert answerer.principal == "SWNTEST\\witness"
        for number in range(3):
            body = bytes([number]) * 16
            signature = client.sign(b"header" + body + b"trailer.")
            assert answerer.unprotect(5, b"header", body, b"trailer.", signature) == body
            _, signature = answerer.protect(5, b"header", body, b"trailer.")
            assert signature == client.expected(b"header" + body + b"trailer.")

    def test_seal(self) -> None:
        client = ImpacketClient("witness", "Passw0rd!", seal=True)
        answerer = ACCEPTOR.new(10, AuthLevel.PRIVACY)
        answerer.step(client.authenticate(answerer.step(client.negotiate())))
        for number in range(3):
            body = bytes([number]) * 16
            sealed, signature = client.seal(b"header", body, b"trailer.")
            assert answerer.unprotect(6, b"header", sealed, b"trailer.", signature) == body

    def test_wrong_password(self) -> None:
        client = ImpacketClient("witness", "wrong")
        answerer = ACCEPTOR.new(10)
        with pytest.raises(AuthenticationError, match="does not match the password"):
            answerer.step(client.authenticate(answerer.step(client.negotiate())))


class Echo(ServerInterface):
    """Answers each call with its own stub and with who made it."""

    def __init__(self) -> None:
        self.syntax = SyntaxId(UUID("11111111-2222-3333-4444-555555555555"), 1, 0)
        self.transfer_syntaxes = (NDR32,)

    def call(self, call: ServerCall) -> None:
        call.reply(f"{call.caller.principal} {call.caller.level}".encode().ljust(32) + call.stub)


class TestImpacketOverTheNetwork:
    """impacket's DCE/RPC client against our server; it signs and seals, but verifies nothing itself."""

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

    def visit(self, level: int, password: str = "Passw0rd!", stubs: list[bytes] | None = None) -> list[bytes]:
        async def main() -> list[bytes]:
            server = RpcServer([Echo()], acceptor=ACCEPTOR)
            port = await server.start("127.0.0.1")
            try:
                return await asyncio.to_thread(self.call, port, level, password, stubs or [b"stub"])
            finally:
                await server.stop(reset=True)

        return asyncio.run(main())

    @pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_calls(self, level: AuthLevel) -> None:
        stubs = [bytes([number]) * size for number, size in enumerate([0, 1, 15, 16, 17, 4000])]
        who = f"SWNTEST\\witness {level:d}".encode().ljust(32)
        assert self.visit(level, stubs=stubs) == [who + stub for stub in stubs]

    @pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_wrong_password(self, level: AuthLevel) -> None:
        """NTLM's last leg has no answer: the refusal is at the first call."""
        from impacket.dcerpc.v5.rpcrt import DCERPCException

        with pytest.raises(DCERPCException, match="access_denied"):
            self.visit(level, password="wrong")
