"""One running case: its event loop, its connections, its controller, its lock on the target, its checks.

The ``swn_run`` fixture makes it. However the case ends, its connections are closed, the cluster is restored
if the case disturbs it, and its checks until then are kept.
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
from swn_torture.report.finding import findings
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import DecodeError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from swn_torture.control.base import Controller
    from swn_torture.dcerpc.transcript import Octets
    from swn_torture.harness.live_target import LiveTarget

#: Seconds that a case may take beyond its ``lasts`` before it ends as an error. This guards against a hang in
#: the suite: every wait inside a case has its own, shorter deadline.
_TIME_LIMIT_S = 120.0

#: Errors that prove that the target answered.
_ANSWERS = (BindRefused, ContextRefused, DecodeError, Fault, RemoteProtocolError)

#: Seconds within which a target that ended an exchange must answer on a new connection.
_PROBE_S = 10.0


class Violation(AssertionError):  # noqa: N818 - a finding, not an error
    """A case found at least one violation; the text is the findings."""


class CaseError(Exception):
    """The harness or the target could not be used. This says nothing about conformance."""


class CaseRun:
    """One case on one target.

    Attributes:
        mark: what the case declares about itself.
        spec: its checks and choices.
        witness: its connections to the witness service.
        target: the target.
        started: ``time.monotonic()`` when it got the target.
    """

    def __init__(self, item: pytest.Item, target: LiveTarget, syntax: str) -> None:
        mark = mark_of(item)
        if mark is None:
            raise TypeError(f"{item.nodeid} uses the fixtures of a case but has no @case mark")
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
        if self.target.lost:
            raise CaseError(f"not run: {self.target.lost}")
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
            self._runner.run(self._clean_up())

    @property
    def cluster(self) -> Controller:
        """The controller of the target, open."""
        if not self._controllers:
            self._runner.run(self._open_controller(self.target))
        return self._controllers[0]

    async def variant(self, name: str) -> Witness:
        """A variant of the target; its open controller is the attribute ``cluster`` of the result.

        Args:
            name: name of the variant in the profile, ``[variants.NAME]``.
        """
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
        """All octet records of the case in order of time."""
        records = [record for witness in self._witnesses for record in witness.transcript.entries]
        return sorted(records, key=lambda record: record.time)

    def perform(self, case: Coroutine[Any, Any, None]) -> None:
        """Run the case to its end.

        Raises:
            Violation: it found at least one violation.
            CaseError: it could not be run, or it reached no check.
        """
        try:
            self._runner.run(self._limited(case))
        except CaseStopped:
            pass
        except (NotSupported, NotTestable) as reason:
            # A finding before this point counts: it may be the reason why the case cannot go on.
            if not self.spec.failed:
                pytest.skip(str(reason))
        except ControllerError as problem:
            raise CaseError(f"the controller failed: {problem}") from problem
        except (RpcError, DecodeError, OSError) as problem:
            self._unexpected(problem)
        if self.spec.violations:
            self._require_live_target()
            found = findings(self.spec.checks, load_catalogue(), case=self.spec.case)
            raise Violation("\n".join(line for finding in found for line in finding.lines()))
        if not self.spec.checks:
            raise CaseError("the case ended without a check")

    async def _limited(self, case: Coroutine[Any, Any, None]) -> None:
        limit = self.mark.lasts + _TIME_LIMIT_S
        try:
            async with asyncio.timeout(limit):
                await case
        except DeadlineExceeded:
            raise  # the target did not answer a call in time; this is not the time limit of the case
        except TimeoutError as timeout:
            raise CaseError(f"the case did not end within {limit:g} s") from timeout

    def _unexpected(self, problem: Exception) -> None:
        """The exchange ended in an error that the case did not expect.

        If the target still answers on other connections, this is a finding about the first requirement that
        the case has not checked yet.

        Raises:
            CaseError: the target no longer answers, or every binding requirement is already checked.
        """
        trouble = self._runner.run(self._probe_target())
        if trouble is not None:
            self.target.lost = f"the target stopped answering during {self.spec.case} ({trouble})"
            raise CaseError(f"{problem}; after that the target no longer answered: {trouble}") from problem
        rows = load_catalogue().requirements
        reached = {check.requirement for check in self.spec.checks}
        open_ids = [name for name in self.spec.requirements if name not in reached and rows[name].binding]
        if not open_ids:
            raise CaseError(f"{type(problem).__name__}: {problem}") from problem
        self.spec(open_ids[0]).holds(
            condition=False,
            expected="the exchange that the rule describes",
            observed=str(problem) or type(problem).__name__,
            note="the exchange ended here; the target still answers on other connections",
        )

    def _require_live_target(self) -> None:
        """Make an error of a violation that a target which no longer runs could not help.

        Raises:
            CaseError: no node answers any more, and the case did not itself check that one does.
        """
        if self.spec.survival_checked:
            return
        trouble = self._runner.run(self._probe_target())
        if trouble is not None:
            self.target.lost = f"the target stopped answering during {self.spec.case} ({trouble})"
            raise CaseError(f"the target no longer answers: {trouble}")

    async def _probe_target(self) -> str | None:
        """None when any node answers on a new connection, else the problem with the last node tried.

        A wrong response counts as an answer. Otherwise one fault of a target would end the run at the first
        case that finds it.
        """
        trouble = "the profile names no node"
        for node in range(len(self.target.profile.nodes)):
            probe = Witness(self.target.profile, self.spec)
            try:
                async with asyncio.timeout(_PROBE_S):
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

    async def _clean_up(self) -> None:
        for witness in self._witnesses:
            await witness.close()
        try:
            if self.mark.disturbs:
                for controller in self._controllers:
                    await controller.restore()
        finally:
            for controller in self._controllers:
                await controller.close()
