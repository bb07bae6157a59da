"""The contract of all controllers, checked for every kind in the registry."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

from swn_torture.control import Capability, Controller, Failure, NotSupported
from swn_torture.control.kinds import KINDS, controller_class, controller_from

#: The smallest valid [controller] table of each kind. A new kind adds a line here.
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "reference": {"port": 1},
    "ctdb": {"nodes": {"node1": "192.0.2.1", "node2": "192.0.2.2"}},
    "samba-selftest": {
        "source": "/samba",
        "directory": "/samba/st/clusteredmember",
        "nodes": [
            {"name": "ctdb0", "address": "10.53.57.40", "directory": "/n0", "socket": "/n0/ctdbd.socket"}
        ],
    },
    "clusapi": {
        "address": "192.0.2.1",
        "username": "admin",
        "password": "secret",
        "nodes": {"node1": ["192.0.2.1"]},
    },
    "manual": {},
    "command": {"run": {"disable": ["ctl", "disable", "{node}"], "enable": ["ctl", "enable", "{node}"]}},
}

#: Capability -> the call that needs it.
CALLS: dict[Capability, tuple[str, tuple[Any, ...], dict[str, Any]]] = {
    Capability.LIST_NODES: ("nodes", (), {}),
    Capability.LIST_REGISTRATIONS: ("registrations", (), {}),
    Capability.DISABLE_NODE: ("disable", ("node1",), {}),
    **{failure.capability: ("fail", ("node1", failure), {}) for failure in Failure},
    Capability.MOVE_CLIENT: ("move_client", ("CLIENT", "node2"), {}),
    Capability.MOVE_SHARE: ("move_share", ("share", "node2"), {}),
    Capability.CHANGE_ADDRESS: ("add_address", ("node1", "192.0.2.9"), {}),
    Capability.MOVE_ADDRESS: ("move_address", ("192.0.2.1", "node2"), {}),
    Capability.INTERFACE_STATE: ("set_interface", ("node1",), {"up": False}),
    Capability.UNKNOWN_STATE: ("set_interface_unknown", ("node1",), {}),
    Capability.RESTART_SERVICE: ("restart", ("node1",), {}),
    Capability.FORCE_UNREGISTER: ("force_unregister", ("key",), {}),
    Capability.FORCE_RESPONSE: ("force_response", ("key",), {}),
    Capability.SHARES: ("shares", (), {}),
}

each_kind = pytest.mark.parametrize("kind", KINDS)


def make(kind: str) -> Controller:
    return controller_from({"kind": kind, **SETTINGS[kind]})


def test_every_capability_has_a_call() -> None:
    assert CALLS.keys() == set(Capability)


@each_kind
def test_kind_is_the_value_in_the_profile(kind: str) -> None:
    assert controller_class(kind).kind == kind
    assert make(kind).kind == kind


@each_kind
def test_unknown_setting_is_named(kind: str) -> None:
    with pytest.raises(ValueError, match="unknown key 'colour'; known keys: "):
        controller_from({"kind": kind, **SETTINGS[kind], "colour": "blue"})


@each_kind
def test_capabilities_need_no_cluster(kind: str) -> None:
    assert make(kind).capabilities <= set(Capability)


@each_kind
def test_missing_capability_raises_not_supported(kind: str) -> None:
    controller = make(kind)
    for capability in set(Capability) - controller.capabilities:
        name, arguments, keywords = CALLS[capability]
        with pytest.raises(NotSupported) as caught:
            asyncio.run(getattr(controller, name)(*arguments, **keywords))
        assert caught.value.capability is capability
        assert caught.value.kind == kind


@each_kind
def test_declared_capability_is_implemented(kind: str) -> None:
    controller = make(kind)
    for capability in controller.capabilities:
        name, _, _ = CALLS[capability]
        assert getattr(type(controller), name) is not getattr(Controller, name), capability


@each_kind
def test_signatures_equal_those_of_the_base_class(kind: str) -> None:
    for name, _, _ in CALLS.values():
        expected = list(inspect.signature(getattr(Controller, name)).parameters)
        assert list(inspect.signature(getattr(controller_class(kind), name)).parameters) == expected


@each_kind
def test_every_event_says_how_it_is_sent(kind: str) -> None:
    controller = make(kind)
    for capability in controller.capabilities:
        stimulus = controller.stimulus(capability)
        assert stimulus.sent_to("key").startswith(("as ", "by "))
        assert stimulus.reaches("key") or stimulus.left_out.endswith(".")


def test_unknown_kind_lists_the_known_kinds() -> None:
    with pytest.raises(
        ValueError,
        match="unknown kind 'heartbeat'; known kinds: none, reference, ctdb, samba-selftest, clusapi, "
        "manual, command",
    ):
        controller_from({"kind": "heartbeat"})
