"""A witness server on a test bench: a fake clock, counted keys, and a record of every response."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.server.state.clock import FakeClock
from swn_torture.server.state.interfaces import Interface
from swn_torture.server.state.names import NetNames
from swn_torture.server.state.options import Options
from swn_torture.server.state.service import Owner, Reply, Selection, WitnessService
from swn_torture.server.state.shares import Share, ShareTable, ShareType
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.witness.notifications import Notification

SOFS = Share("PROFILES", ShareType.CLUSTER_SOFS)
PLAIN = Share("DATA", ShareType.CLUSTER_FS)
NODE1, NODE2, NODE3 = (IPv4Address(f"192.0.2.{n}") for n in (1, 2, 3))
NODE2_V6 = IPv6Address("2001:db8::2")

REGISTER = RegisterRequest(0x00010001, "SWNCLUSTER", str(NODE2), "CLIENT01")
REGISTER_EX = RegisterExRequest(0x00020000, "SWNCLUSTER", None, str(NODE2), "CLIENT01", 0, 120)


@dataclass
class View:
    """A cluster of three nodes; the second one is dual-stack."""

    net_names: NetNames = field(default_factory=lambda: NetNames("SWNCLUSTER", ("swncluster.swn.test",)))
    shares: ShareTable = field(default_factory=lambda: ShareTable((SOFS, PLAIN)))
    known: list[Interface] = field(
        default_factory=lambda: [
            Interface("NODE1", NODE1, node="NODE1"),
            Interface("NODE2", NODE2, NODE2_V6, node="NODE2"),
            Interface("NODE3", NODE3, node="NODE3"),
        ]
    )

    def interfaces(self) -> list[Interface]:
        return self.known


class Bench:
    """The witness server of node NODE1. A test makes its calls and advances its clock."""

    def __init__(self, view: View | None = None, **options: Any) -> None:
        self.clock = FakeClock()
        self.view = view or View()
        keys = itertools.count(1)
        self.service = WitnessService(
            "NODE1",
            self.view,
            Options.from_mapping(options),
            self.clock,
            lambda: UUID(int=next(keys)),
        )
        self.answers: dict[int, Any] = {}
        self._tokens = itertools.count(1)

    def take(self, replies: list[Reply]) -> list[Any]:
        """Record replies. A call must not get a second reply."""
        for token, response in replies:
            assert isinstance(token, int)
            assert token not in self.answers, f"call {token} got a second reply"
            self.answers[token] = response
        return [response for _, response in replies]

    def call(
        self,
        request: Any,
        *,
        association: str = "A",
        connection: str = "A1",
        principal: str | None = "SWNTEST\\witness",
    ) -> int:
        """Make a call and return its token, the key of its response in `answers`."""
        token = next(self._tokens)
        self.take(self.service.handle(token, Owner(association, connection, principal), request))
        return token

    def ask(self, request: Any, **owner: Any) -> Any:
        """Make a call that returns at once, and return its response."""
        return self.answers[self.call(request, **owner)]

    def register(
        self, ip_address: str | None = str(NODE2), client: str | None = "CLIENT01", **fields: Any
    ) -> ContextHandle:
        """Register (version 1)."""
        owner = {k: fields.pop(k) for k in ("association", "connection", "principal") if k in fields}
        request = replace(REGISTER, ip_address=ip_address, client_computer_name=client, **fields)
        response = self.ask(request, **owner)
        assert isinstance(response, RegisterResponse)
        assert response.result == 0, response
        return response.context

    def register_ex(
        self, ip_address: str | None = str(NODE2), client: str | None = "CLIENT01", **fields: Any
    ) -> ContextHandle:
        """RegisterEx (version 2)."""
        owner = {k: fields.pop(k) for k in ("association", "connection", "principal") if k in fields}
        request = replace(REGISTER_EX, ip_address=ip_address, client_computer_name=client, **fields)
        response = self.ask(request, **owner)
        assert isinstance(response, RegisterExResponse)
        assert response.result == 0, response
        return response.context

    def notify(self, handle: ContextHandle, **owner: Any) -> int:
        """Make an AsyncNotify call and return its token."""
        return self.call(AsyncNotifyRequest(handle), **owner)

    def notified(self, token: int) -> tuple[int, tuple[Notification, ...]]:
        """Return (MessageType, notifications) of a call that succeeded."""
        answer = self.answers[token]
        assert isinstance(answer, AsyncNotifyResponse)
        assert (answer.result, answer.response is None) == (0, False), answer
        assert answer.response is not None
        decoded = answer.response.decode()
        assert decoded.slack == b""
        return answer.response.message_type, decoded.items

    def result(self, token: int) -> int:
        """Return the result of a call."""
        return int(self.answers[token].result)

    def pending(self, *tokens: int) -> bool:
        """Whether all calls are still waiting."""
        return not any(token in self.answers for token in tokens)

    def down(self, address: IPv4Address = NODE2, group: str = "NODE2") -> None:
        """Event: the interface becomes UNAVAILABLE."""
        self.take(self.service.interface_event(group, InterfaceState.UNAVAILABLE, ipv4=address))

    def up(self, address: IPv4Address = NODE2, group: str = "NODE2") -> None:
        """Event: the interface becomes AVAILABLE."""
        self.take(self.service.interface_event(group, InterfaceState.AVAILABLE, ipv4=address))

    def move(self, destination: str, client: str = "CLIENT01", **selection: Any) -> None:
        """Event: the client is to move."""
        self.take(self.service.client_move(Selection(client_name=client, **selection), destination))

    def move_share(self, destination: str, share: str = "PROFILES", client: str = "CLIENT01") -> None:
        """Event: the share moved."""
        self.take(
            self.service.share_move(Selection(client_name=client, share_name=share), destination),
        )

    def change_ip(self, destination: str, client: str = "CLIENT01") -> None:
        """Event: an address changed."""
        self.take(self.service.ip_change(Selection(client_name=client), destination))

    def advance(self, seconds: float) -> None:
        """Advance the clock. Every scan happens when it is due, as on a running server."""
        end = self.clock.now + seconds
        while (due := self.service.next_deadline()) is not None and due <= end:
            self.clock.now = due
            self.take(self.service.tick())
        self.clock.now = end


@pytest.fixture
def bench() -> Bench:
    """A server with the default options."""
    return Bench()


@pytest.fixture
def make_bench() -> Callable[..., Bench]:
    """Makes servers with other options, or with another cluster."""
    return Bench
