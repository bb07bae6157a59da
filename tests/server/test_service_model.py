"""A stateful model: for any calls, events and delays, server and model return the same responses.

The model follows the text directly, with dictionaries and lists, and shares no code with the server. It
counts time in whole seconds, with one scan each.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from swn_torture.server.state.service import Selection
from swn_torture.witness.constants import InterfaceState
from swn_torture.witness.messages import (
    RegisterExResponse,
    RegisterResponse,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from tests.examples import examples
from tests.server.conftest import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.witness.messages import ContextHandle

UNUSED = 30
ORDER = ("change", "client-move", "share-move", "ip-change")
TYPES = {"change": 1, "client-move": 2, "share-move": 3, "ip-change": 4}

nodes = st.sampled_from([1, 2, 3])
clients = st.sampled_from(["ALPHA", "BETA"])
associations = st.sampled_from(["A", "B"])
shares = st.sampled_from([None, "PROFILES", "DATA"])
numbers = st.integers(0, 999)
rarely = st.integers(0, 9).map(lambda number: number == 0)


class Model:
    """The server as the text of MS-SWN defines it."""

    def __init__(self) -> None:
        self.now = 0
        self.registrations: list[dict[str, Any]] = []
        self.answers: dict[int, Any] = {}

    def register(self, handle: Any, association: str, **fields: Any) -> None:
        self.registrations.append(
            {"handle": handle, "association": association, "used": self.now, "calls": [], "change": []}
            | fields
        )

    def find(self, handle: Any, association: str) -> dict[str, Any] | None:
        for entry in self.registrations:
            if entry["handle"] == handle and entry["association"] == association:
                return entry
        return None

    def remove(self, entry: dict[str, Any]) -> None:
        self.registrations.remove(entry)
        for token, _ in entry["calls"]:
            self.answers[token] = 0x490

    def notify(self, token: int, handle: Any, association: str) -> None:
        entry = self.find(handle, association)
        if entry is None:
            self.answers[token] = 0x490
            return
        entry["used"] = self.now
        entry["calls"].append((token, self.now))
        self.deliver()

    def deliver(self) -> None:
        for entry in self.registrations:
            while entry["calls"]:
                kind = next((kind for kind in ORDER if entry.get(kind)), None)
                if kind is None:
                    break
                token, _ = entry["calls"].pop(0)
                if kind == "change":
                    self.answers[token] = (1, tuple(entry["change"]))
                    entry["change"] = []
                else:
                    self.answers[token] = (TYPES[kind], entry.pop(kind))
                entry["used"] = self.now

    def change(self, node: int, state: int) -> None:
        for entry in self.registrations:
            if entry["node"] == node:
                entry["change"].append((state, f"NODE{node}"))
        self.deliver()

    def move(self, kind: str, client: str, node: int, **fields: Any) -> None:
        for entry in self.registrations:
            if entry["client"] == client and all(entry.get(key) == value for key, value in fields.items()):
                entry[kind] = node
        self.deliver()

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            for entry in list(self.registrations):
                if entry["version"] == 1:
                    continue
                expired = [call for call in entry["calls"] if call[1] + entry["keepalive"] < self.now]
                for call in expired:
                    entry["calls"].remove(call)
                    entry["used"] = self.now
                    self.answers[call[0]] = 0x5B4
                if not entry["calls"] and entry["used"] + UNUSED < self.now:
                    self.remove(entry)


class ServerAgainstModel(RuleBasedStateMachine):
    """The rules are the calls and events of MS-SWN 3.1.4 to 3.1.6."""

    steps = 0
    """The number of compared calls, events and delays of all instances."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(unused_timeout=UNUSED)
        self.model = Model()
        self.issued: list[tuple[ContextHandle, str]] = []
        self.seen: set[int] = set()
        self.answered: Counter[int] = Counter()
        """The number of responses by code or, for notifications, by MessageType."""
        self.idle = False
        """Whether the last rule had no effect."""

    def pick(self, number: int) -> tuple[ContextHandle, str]:
        """Return a handle with its association: mostly a registered one, sometimes any issued one."""
        registered = [(entry["handle"], entry["association"]) for entry in self.model.registrations]
        candidates = registered if registered and number % 10 else self.issued
        return candidates[number % len(candidates)]

    @initialize()
    def start_with_one_of_each_kind(self) -> None:
        self.register("A", 1, "ALPHA")
        self.register_ex("A", 1, "ALPHA", "PROFILES", ip=True, keepalive=10)

    @rule(association=associations, node=nodes, client=clients)
    def register(self, association: str, node: int, client: str) -> None:
        handle = self.bench.register(f"192.0.2.{node}", client, association=association)
        self.model.register(handle, association, version=1, node=node, client=client)
        self.issued.append((handle, association))

    @rule(
        association=associations,
        node=nodes,
        client=clients,
        share=shares,
        ip=st.booleans(),
        keepalive=st.sampled_from([0, 1, 10, 60]),
    )
    def register_ex(
        self, association: str, node: int, client: str, share: str | None, *, ip: bool, keepalive: int
    ) -> None:
        handle = self.bench.register_ex(
            f"192.0.2.{node}",
            client,
            association=association,
            share_name=share,
            flags=int(ip),
            keep_alive_timeout=keepalive,
        )
        self.model.register(
            handle, association, version=2, node=node, client=client, share=share, ip=ip, keepalive=keepalive
        )
        self.issued.append((handle, association))

    @rule(number=numbers, other_association=rarely)
    def notify(self, number: int, *, other_association: bool) -> None:
        handle, association = self.pick(number)
        if other_association:
            association = "OTHER"
        token = self.bench.notify(handle, association=association)
        self.model.notify(token, handle, association)

    @rule(number=numbers, ex=st.booleans())
    def unregister(self, number: int, *, ex: bool) -> None:
        handle, association = self.pick(number)
        request = UnRegisterExRequest(handle) if ex else UnRegisterRequest(handle)
        token = self.bench.call(request, association=association)
        entry = self.model.find(handle, association)
        self.model.answers[token] = 0x57 if entry is None else 0
        if entry is not None:
            self.model.remove(entry)

    @rule(number=numbers)
    def cancel(self, number: int) -> None:
        waiting = [(entry, call) for entry in self.model.registrations for call in entry["calls"]]
        if not waiting:
            assert not self.bench.service.cancel(number, "A")
            return
        entry, call = waiting[number % len(waiting)]
        entry["calls"].remove(call)
        entry["used"] = self.model.now
        assert self.bench.service.cancel(call[0], entry["association"])

    @rule(node=nodes, up=st.booleans())
    def change(self, node: int, *, up: bool) -> None:
        state = InterfaceState.AVAILABLE if up else InterfaceState.UNAVAILABLE
        address = IPv4Address(f"192.0.2.{node}")
        self.bench.take(self.bench.service.interface_event(f"NODE{node}", state, ipv4=address))
        self.model.change(node, int(state))

    @rule(client=clients, node=nodes)
    def move_client(self, client: str, node: int) -> None:
        self.bench.move(f"NODE{node}", client=client.lower())
        self.model.move("client-move", client, node)

    @rule(client=clients, node=nodes, share=st.sampled_from(["PROFILES", "DATA"]))
    def move_share(self, client: str, node: int, share: str) -> None:
        self.bench.move_share(f"NODE{node}", share, client)
        self.model.move("share-move", client, node, share=share)

    @rule(client=clients, node=nodes)
    def change_ip(self, client: str, node: int) -> None:
        self.bench.take(self.bench.service.ip_change(Selection(client_name=client), f"NODE{node}"))
        self.model.move("ip-change", client, node, ip=True)

    @rule(seconds=st.sampled_from([1, 1, 2, 9, 31]))
    def pass_time(self, seconds: int) -> None:
        self.bench.advance(seconds)
        self.model.pass_time(seconds)

    @rule(association=associations, effective=rarely)
    def run_down(self, association: str, *, effective: bool) -> None:
        self.idle = not effective
        if self.idle:
            return
        self.bench.service.rundown(association)
        for entry in list(self.model.registrations):
            if entry["association"] == association:
                self.model.registrations.remove(entry)

    @invariant()
    def the_answers_are_the_same(self) -> None:
        new = self.bench.answers.keys() - self.seen
        self.seen |= new
        handles = (RegisterResponse, RegisterExResponse)
        ours = {t: self.plain(t) for t in new if not isinstance(self.bench.answers[t], handles)}
        assert ours == self.model.answers
        self.answered.update(answer if isinstance(answer, int) else answer[0] for answer in ours.values())
        type(self).steps += not self.idle
        self.idle = False
        self.model.answers.clear()

    @invariant()
    def the_registrations_are_the_same(self) -> None:
        ours = [registration.key for registration in self.bench.service.registrations]
        assert ours == [entry["handle"] for entry in self.model.registrations]

    def plain(self, token: int) -> Any:
        """Return a response in the form of the model: a code, or (type, changes or the destination node)."""
        answer = self.bench.answers[token]
        if getattr(answer, "response", None) is None:
            return int(answer.result)
        kind, items = self.bench.notified(token)
        if kind == 1:
            return kind, tuple((item.change_type, item.resource_name) for item in items)  # type: ignore[union-attr]
        return kind, int(items[0].addresses[0].ipv4) & 0xFF  # type: ignore[union-attr]


def test_the_server_agrees_with_the_model() -> None:
    before = ServerAgainstModel.steps
    settings = examples(300, stateful_step_count=50)

    run_state_machine_as_test(ServerAgainstModel, settings=settings)

    assert ServerAgainstModel.steps - before > 30 * settings.max_examples


@pytest.mark.parametrize("seed", range(20))
def test_the_server_agrees_with_the_model_on_long_walks(seed: int) -> None:
    """Long random sequences of steps. Those of Hypothesis are short and similar to each other."""
    random, machine = Random(seed), ServerAgainstModel()
    machine.start_with_one_of_each_kind()
    choice, number = random.choice, random.randrange
    steps: list[tuple[int, Callable[[str, int, str], None]]] = [
        (1, machine.register),
        (
            2,
            lambda a, n, c: machine.register_ex(
                a,
                n,
                c,
                choice([None, "PROFILES", "DATA"]),
                ip=choice([False, True]),
                keepalive=choice([0, 1, 10, 60]),
            ),
        ),
        (4, lambda _a, _n, _c: machine.notify(number(1000), other_association=number(20) == 0)),
        (1, lambda _a, _n, _c: machine.unregister(number(1000), ex=choice([False, True]))),
        (1, lambda _a, _n, _c: machine.cancel(number(1000))),
        (2, lambda _a, n, _c: machine.change(n, up=choice([False, True]))),
        (1, lambda _a, n, c: machine.move_client(c, n)),
        (1, lambda _a, n, c: machine.move_share(c, n, choice(["PROFILES", "DATA"]))),
        (1, lambda _a, n, c: machine.change_ip(c, n)),
        (1, lambda _a, _n, _c: machine.pass_time(choice([1, 1, 2, 9, 31]))),
        (1, lambda a, _n, _c: machine.run_down(a, effective=number(5) == 0)),
    ]
    for _ in range(1000):
        (step,) = random.choices([step for _, step in steps], [weight for weight, _ in steps])
        step(choice("AB"), random.randint(1, 3), choice(["ALPHA", "BETA"]))
        machine.the_answers_are_the_same()
        machine.the_registrations_are_the_same()
    assert machine.answered.keys() == {0, 0x57, 0x490, 0x5B4, *TYPES.values()}, "every kind must occur"
