"""Bind and associations over loopback sockets."""

from __future__ import annotations

import pytest

from swn_torture.dcerpc.client.binding import propose
from swn_torture.dcerpc.errors import BindRefused, ConnectionLost, ContextRefused
from swn_torture.dcerpc.mgmt import MGMT
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.stubdata.syntax import NDR32, NDR64
from tests.dcerpc.loopback import ACCEPTOR, Loopback, run_with_server
from tests.dcerpc.rpc_pair import ECHO, KEEP


class TestBinding:
    def test_a_rejected_bind_is_an_error_with_its_reason(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.client()
            with pytest.raises(ContextRefused, match="abstract_syntax_not_supported") as context:
                await rpc.bind(NDR32)
            assert context.value.results[0] == (2, 1)
            rpc = await loopback.client()
            entry = rpc.core.add_security(99, 5, ACCEPTOR.new(AuthType.NTLM))
            bind = entry.with_token(rpc.core.bind(propose(ECHO)), b"token")
            with pytest.raises(BindRefused, match=r"authentication_type_not_recognized \(8\)") as nak:
                await rpc.exchange(bind)
            assert nak.value.versions == ((5, 0),)
            assert await rpc.wait_closed() == "fin"

        run_with_server(test)

    def test_rejected_contexts_are_no_error_if_given_explicitly(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.client()
            result = await rpc.bind(propose(NDR32, features=None))
            assert result.accepted == {}
            assert result.features is None
            more = await rpc.alter_context(ECHO, transfer=(NDR32, NDR64))
            assert more.accepted == {1: NDR64}
            assert await rpc.call(0, b"x", context_id=1).reply() == b"x"

        run_with_server(test)

    def test_every_server_serves_the_management_interface(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.client()
            assert (await rpc.bind(MGMT)).accepted == {0: NDR32}

        run_with_server(test)


class TestAssociations:
    def test_the_last_connection_ends_its_association(self) -> None:
        async def test(loopback: Loopback) -> None:
            first = await loopback.client()
            group = (await first.bind(ECHO)).assoc_group
            second = await loopback.client()
            assert (await second.bind(ECHO, assoc_group=group)).assoc_group == group
            await first.close()
            await loopback.echo.until(lambda: len(loopback.echo.ended_connections) == 1)
            assert loopback.echo.run_down == []
            await second.close(abort=True)
            await loopback.echo.until(lambda: len(loopback.echo.run_down) == 1)
            assert loopback.echo.run_down[0].id == group
            assert len(loopback.server.associations) == 0
            third = await loopback.client()
            with pytest.raises(BindRefused):
                await third.bind(ECHO, assoc_group=group)

        run_with_server(test)

    def test_another_address_cannot_join_an_association(self) -> None:
        async def test(loopback: Loopback) -> None:
            first = await loopback.client()
            group = (await first.bind(ECHO)).assoc_group
            other = await loopback.client(source="127.0.0.77")
            assert other.local[0] == "127.0.0.77"
            with pytest.raises(BindRefused):
                await other.bind(ECHO, assoc_group=group)

        run_with_server(test)

    def test_a_reset_connection_cancels_its_pending_calls(self) -> None:
        async def test(loopback: Loopback) -> None:
            rpc = await loopback.bound()
            call = rpc.call(KEEP, b"")
            await loopback.echo.until(lambda: bool(loopback.echo.kept))
            await rpc.close(abort=True)
            with pytest.raises(ConnectionLost):
                await call.reply()
            await loopback.echo.until(lambda: bool(loopback.echo.run_down))
            assert loopback.echo.ended == [(loopback.echo.kept[0], True)]
            loopback.echo.kept[0].reply(b"too late")

        run_with_server(test)
