"""Authentication and protection over loopback sockets, with the real security providers."""

from __future__ import annotations

import pytest

from swn_torture.dcerpc.errors import BadSignature, Fault
from swn_torture.dcerpc.pdu.pdus import FaultPdu
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from tests.dcerpc.loopback import USER, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO, KEEP


@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO])
@pytest.mark.parametrize("level", [AuthLevel.CONNECT, AuthLevel.PKT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("transfer", [NDR32, NDR64])
def test_calls_with_every_provider_level_and_syntax(auth_type: int, level: int, transfer: SyntaxId) -> None:
    """Fragments in both directions, calls answered out of order, a cancel: all signatures match."""

    async def test(loopback: Loopback) -> None:
        rpc = await loopback.client()
        result = await rpc.bind(
            ECHO, transfer=(transfer,), auth_type=auth_type, level=level, credentials=USER
        )
        assert result.accepted == {0: transfer}
        assert result.features == 3
        assert result.secondary_address == str(loopback.port)
        first, second = rpc.call(KEEP, b"1"), rpc.call(KEEP, b"2")
        big = bytes(n & 0xFF for n in range(20_000))
        answered = rpc.call(0, big)
        assert await answered.reply() == big
        assert answered.response_meta is not None
        assert answered.response_meta.fragments == 4
        if level > AuthLevel.CONNECT:
            assert answered.response_meta.level == level
        loopback.echo.kept[1].reply(b"second")
        assert await second.reply() == b"second"
        assert not first.done()
        rpc.cancel(first)
        with pytest.raises(Fault) as caught:
            await first.reply()
        assert caught.value.status == FaultStatus.NCA_S_FAULT_CANCEL
        assert await rpc.call(0, b"alive").reply() == b"alive"
        assert {call.caller.principal for call in loopback.echo.seen} == {"SWNTEST\\witness"}
        await rpc.close()

    run_with_server(test)


class TestSecurity:
    def test_a_wrong_password_gets_access_denied(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound(level=AuthLevel.INTEGRITY, credentials=Credentials("witness", "wrong"))
            with pytest.raises(Fault, match="ERROR_ACCESS_DENIED"):
                await rpc.call(0, b"").reply()
            rpc = await loopback.client()
            with pytest.raises(Fault, match="ERROR_ACCESS_DENIED"):
                await rpc.bind(
                    ECHO,
                    auth_type=AuthType.SPNEGO,
                    level=AuthLevel.INTEGRITY,
                    credentials=Credentials("witness", "wrong"),
                )
            assert loopback.echo.seen == []

        run_with_server(test)

    def test_two_users_on_one_connection(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound(level=AuthLevel.INTEGRITY, credentials=USER)
            other = await rpc.alter_context(
                level=AuthLevel.PRIVACY, credentials=Credentials("other", "other"), auth_type=AuthType.SPNEGO
            )
            assert other.security is not None
            for security in (1, other.security.id, 1, other.security.id):
                assert await rpc.call(0, b"hello", security=security).reply() == b"hello"
            users = [call.caller.principal for call in loopback.echo.seen]
            assert users == ["SWNTEST\\witness", "SWNTEST\\other"] * 2

        run_with_server(test)

    def test_replayed_and_reordered_requests_are_not_executed(self) -> None:
        async def test(loopback: Loopback) -> None:
            for order in ((0, 0), (1, 0)):
                rpc = await loopback.bound(level=AuthLevel.INTEGRITY, credentials=USER)
                requests = [rpc.core.request(0, b"x", call_id=50) for _ in range(2)]
                call = rpc.expect(50)
                for index in order:
                    rpc.write(requests[index][1][0])
                if order == (0, 0):
                    assert await call.reply() == b"x"
                    fault = await rpc.next_pdu()
                    assert isinstance(fault, FaultPdu)
                    assert fault.status == FaultStatus.RPC_S_SEC_PKG_ERROR
                else:
                    with pytest.raises(Fault, match=r"RPC_S_SEC_PKG_ERROR \(0x00000721\)"):
                        await call.reply()
                assert await rpc.wait_closed() == "fin"
            assert len(loopback.echo.seen) == 1

        run_with_server(test)

    def test_the_client_detects_a_changed_response(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound(level=AuthLevel.INTEGRITY, credentials=USER)
            call = rpc.call(KEEP, b"")
            await loopback.echo.until(lambda: bool(loopback.echo.kept))
            (link,) = loopback.server.links
            (entry,) = link.core.security.values()
            (octets,) = link.core.response(loopback.echo.kept[0], b"true", entry)
            link.core.send_raw(octets.replace(b"true", b"fake"))
            with pytest.raises(BadSignature):
                await call.reply()
            with pytest.raises(BadSignature):
                await rpc.call(0, b"").reply()

        run_with_server(test)
