"""Runs cases on the reference cluster, to learn which calls of their controller they make.

A case may call its controller in a loop, or only if the controller has a capability. So nothing but a run
shows its calls. The cluster has as many nodes as the target, and the controller can do what the person can.
"""

from __future__ import annotations

import dataclasses
import inspect
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

from _pytest.outcomes import OutcomeException
from typing_extensions import override

from swn_torture.casekit.facts import TargetFacts
from swn_torture.control.manual.forwarded import ForwardedController
from swn_torture.harness.case_ends import CaseError
from swn_torture.harness.case_run import CaseRun
from swn_torture.harness.live_target import LiveTarget
from swn_torture.harness.preflight.learning import Preflight
from swn_torture.server.config import ConfigError
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pytest

    from swn_torture.control.base import Controller
    from swn_torture.control.manual.call import Call
    from swn_torture.control.stimulus import Stimulus
    from swn_torture.control.values import Capability
    from swn_torture.target import Profile

#: How many cases are rehearsed at once: they mostly wait.
_AT_ONCE: Final = 12


class _Recording(ForwardedController):
    """Makes each call at once, and keeps it."""

    def __init__(self, inner: Controller, able: frozenset[Capability], calls: list[Call]) -> None:
        super().__init__(inner)
        self.needs_person = True
        self._able = able
        self._calls = calls

    @property
    @override
    def capabilities(self) -> frozenset[Capability]:
        return self._able & self.inner.capabilities

    @override
    async def open(self) -> None:
        await self.inner.open()

    @override
    async def close(self) -> None:
        await self.inner.close()

    @override
    async def hand_over(self, call: Call) -> Stimulus | None:
        self._calls.append(call)
        return await call.make(self.inner)


class _Stage(LiveTarget):
    """A reference cluster for one case."""

    def __init__(self, profile: Profile, able: frozenset[Capability]) -> None:
        super().__init__(profile, Preflight(TargetFacts()))
        self._able = able
        self.calls: list[Call] = []

    @override
    def controller(self) -> Controller:
        return _Recording(super().controller(), self._able, self.calls)


def arguments_of(item: pytest.Item, run: CaseRun) -> dict[str, Any]:
    """The arguments of the function of a case: its parameters, and what its fixtures return.

    Args:
        item: the case.
        run: the running case.
    """
    callspec = getattr(item, "callspec", None)
    parameters: Mapping[str, Any] = callspec.params if callspec else {}
    found = {}
    for name in inspect.signature(item.obj).parameters:  # type: ignore[attr-defined]
        if name in parameters:
            found[name] = parameters[name]
        else:
            found[name] = run if name == "swn_run" else getattr(run, name)
    return found


def syntax_of(item: pytest.Item) -> str:
    """The transfer syntax of a case: ``ndr32`` or ``ndr64``."""
    callspec = getattr(item, "callspec", None)
    return str(callspec.params.get("syntax", "ndr32")) if callspec else "ndr32"


def rehearse(
    items: Iterable[pytest.Item], target: Profile, able: frozenset[Capability]
) -> dict[pytest.Item, tuple[Call, ...]]:
    """Return the calls of each case, with addresses that do not depend on the cluster.

    Args:
        items: the cases.
        target: the profile of the target.
        able: what the person can do.

    Raises:
        CaseError: there cannot be such a reference cluster.
    """
    profile = _stage_for(target)

    def calls_of(item: pytest.Item) -> tuple[Call, ...]:
        with _Stage(profile, able) as stage:
            # However it ends, by a skip or by an error, these are its calls.
            with suppress(Exception, OutcomeException), CaseRun(item, stage, syntax_of(item)) as run:
                run.perform(item.obj(**arguments_of(item, run)))  # type: ignore[attr-defined]
            return tuple(map(_anywhere, stage.calls))

    items = tuple(items)
    try:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip(items, pool.map(calls_of, items), strict=True))
    except (ConfigError, OSError) as problem:
        raise CaseError(
            f"the actions of this run cannot be counted, because no reference cluster like the target "
            f"({len(target.nodes)} nodes) can be started: {problem}"
        ) from problem


def _stage_for(target: Profile) -> Profile:
    """The profile of the reference, with the nodes and the shares of the target."""
    reference = load_profile("reference")
    embedded = {key: value for key, value in (reference.embedded or {}).items() if key != "shares"}
    if target.expect.version == 1:
        embedded["version"] = "V1"
    expect = dataclasses.replace(
        reference.expect,
        version=target.expect.version,
        shares=target.expect.shares,
        all_failures=target.expect.all_failures,
    )
    return dataclasses.replace(reference, embedded={**embedded, "nodes": len(target.nodes)}, expect=expect)


def _anywhere(call: Call) -> Call:
    """A call with the last part of each address only: the networks of two clusters differ."""
    return dataclasses.replace(call, arguments=tuple(map(_short, call.arguments)))


def _short(argument: Any) -> Any:
    try:
        address = ip_address(argument)
    except ValueError:
        return argument
    bits = 8 if address.version == 4 else 16
    return f"IPv{address.version} {int(address) % 2**bits}"
