"""One case being run: its law, its connections, its event loop, its hold on the target.

Made by the ``swn_run`` fixture. Whatever happens to the case, its connections end with it, what it disturbed
is put right, and what it found until then is kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.needs import unmet
from swn_torture.casekit.witness import NotTestable, Witness
from swn_torture.control.base import ControllerError, NotSupported
from swn_torture.dcerpc.errors import (
    BindRefused,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import DecodeError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from swn_torture.control.base import Controller
    from swn_torture.dcerpc.transcript import Octets
    from swn_torture.harness.live_target import LiveTarget

#: Seconds a case may take beyond what it says it lasts before it is ended as an error. A guard against a
#: hang of ours: every wait inside a case has its own, shorter deadline.
_GUARD_S = 120.0

#: Errors that only somebody who is there can cause.
_ANSWERS = (BindRefused, ContextRefused, DecodeError, Fault, RemoteProtocolError)

#: Seconds a target that broke off a conversation has to show that it still answers others.
_SIGN_OF_LIFE_S = 10.0


class Violation(AssertionError):  # noqa: N818 - a finding
    """A case found the target in breach of what binds it; the text is the finding."""


class CaseError(Exception):
    """The harness or the target could not be used; says nothing about conformance."""


class CaseRun:
    """One case on one target.

    Attributes:
        law: what it found.
        witness: its view of the target.
        target: the target.
        started: ``time.monotonic()`` when it had the target.
    """

    def __init__(self, item: pytest.Item, target: LiveTarget, syntax: str) -> None:
        mark = mark_of(item)
        if mark is None:
            raise TypeError(f"{item.nodeid} uses the fixtures of a case and is none: it lacks the @case mark")
        self.mark = mark
        self.target = target
        self.spec = Spec(slug_of(item), mark.requirements)
        self.started = time.monotonic()
        self.witness = Witness(target.profile, self.spec, NDR64 if syntax == "ndr64" else NDR32)
        self._witnesses = [self.witness]
        self._controllers: list[Controller] = []
        self._runner = asyncio.Runner()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.target.dead:
            raise CaseError(f"not run: {self.target.dead}")
        reason = unmet(self.mark.needs, self.target.profile, self.target.controller())
        if reason:
            pytest.skip(reason)
        self._stack.enter_context(self.target.use(alone=self.mark.disturbs))
        self.started = time.monotonic()
        self._stack.enter_context(self._runner)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            self._runner.run(self._tidy())

    @property
    def cluster(self) -> Controller:
        """The controller of the target, opened."""
        if not self._controllers:
            self._runner.run(self._open_controller(self.target))
        return self._controllers[0]

    async def variant(self, name: str) -> Witness:
        """The target's implementation set up otherwise, with its controller opened as ``cluster``."""
        target = await asyncio.to_thread(self.target.variant, name)
        witness = Witness(target.profile, self.spec, self.witness.syntax)
        self._witnesses.append(witness)
        witness.cluster = await self._open_controller(target)
        return witness

    async def _open_controller(self, target: LiveTarget) -> Controller:
        controller = target.controller()
        await controller.open()
        self._controllers.append(controller)
        return controller

    @property
    def transcript(self) -> list[Octets]:
        """Every octet the case exchanged, in the order of time."""
        records = [record for witness in self._witnesses for record in witness.transcript.entries]
        return sorted(records, key=lambda record: record.time)

    def perform(self, case: Coroutine[Any, Any, None]) -> None:
        """Run the case to its end.

        Raises:
            Violation: it found one.
            CaseError: it could not be run, or reached no check.
        """
        try:
            self._runner.run(self._guarded(case))
        except CaseStopped:
            pass
        except (NotSupported, NotTestable) as reason:
            # What was found before that counts: it may be why the case cannot go on.
            if not self.spec.failed:
                pytest.skip(str(reason))
        except ControllerError as problem:
            raise CaseError(f"the controller could not move the cluster: {problem}") from problem
        except (RpcError, DecodeError, OSError) as problem:
            self._unexpected(problem)
        if self.spec.violations:
            self._sure_of_the_target()
            raise Violation(self._text())
        if not self.spec.checks:
            raise CaseError("the case ended without reaching a check")

    async def _guarded(self, case: Coroutine[Any, Any, None]) -> None:
        limit = self.mark.lasts + _GUARD_S
        try:
            async with asyncio.timeout(limit):
                await case
        except DeadlineExceeded:
            raise  # the target's silence, which the case did not expect, and not the end of our patience
        except TimeoutError as timeout:
            raise CaseError(f"the case was ended after {limit:g} s; it should have ended itself") from timeout

    def _unexpected(self, problem: Exception) -> None:
        """The conversation broke unexpectedly: the target's doing if it still serves others."""
        signs = self._runner.run(self._sign_of_life())
        if signs is not None:
            self.target.dead = f"the target stopped answering during {self.spec.case} ({signs})"
            raise CaseError(f"{problem}; after that the target no longer answered: {signs}") from problem
        rows = load_catalogue().requirements
        reached = {check.requirement for check in self.spec.checks}
        open_ids = [name for name in self.spec.requirements if name not in reached and rows[name].binding]
        if not open_ids:
            raise CaseError(f"{type(problem).__name__}: {problem}") from problem
        self.spec(open_ids[0]).holds(
            False,  # noqa: FBT003 - what came is not what the rule allows
            expected="the exchange that the rule describes",
            observed=f"{problem} ({type(problem).__name__})",
            note="the conversation ended here; the target still serves other connections",
        )

    def _sure_of_the_target(self) -> None:
        """A target that is gone did not answer wrongly: that is an error, and no violation.

        Raises:
            CaseError: no node answers any more, and the case did not itself judge that one should.
        """
        if self.spec.survival_checked:
            return
        signs = self._runner.run(self._sign_of_life())
        if signs is not None:
            self.target.dead = f"the target stopped answering during {self.spec.case} ({signs})"
            raise CaseError(f"the target no longer answers: {signs}")

    async def _sign_of_life(self) -> str | None:
        """None when any node answers on a fresh connection, else what went wrong with the last one tried.

        A wrong answer is a sign of life, too: else a target that does one thing wrong would be judged by the
        first case that comes upon it, and by no other.
        """
        trouble = "the profile names no node"
        for node in range(len(self.target.profile.nodes)):
            probe = Witness(self.target.profile, self.spec)
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE_S):
                    await (await probe.connect(node)).get_interface_list(timeout=None)
            except _ANSWERS:
                return None
            except (RpcError, DecodeError, OSError, TimeoutError) as problem:
                trouble = str(problem) or type(problem).__name__
            else:
                return None
            finally:
                await probe.close()
        return trouble

    async def _tidy(self) -> None:
        for witness in self._witnesses:
            await witness.close()
        try:
            if self.mark.disturbs:
                for controller in self._controllers:
                    await controller.restore()
        finally:
            for controller in self._controllers:
                await controller.close()

    def _text(self) -> str:
        """The findings for pytest's own output, in the form every report uses."""
        rows = load_catalogue().requirements
        lines = []
        for check in self.spec.failed:
            row = rows[check.requirement]
            lines += [
                f"{row.id}: {row.text} ({row.cite}, {row.level})",
                *(f"    expected: {allowed}" for allowed in check.expected),
                f"    observed: {check.observed}",
                *([f"    {check.note}"] if check.note else []),
            ]
        return "\n".join(lines)
