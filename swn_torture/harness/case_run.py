"""One running case: its event loop, its connections, its controller, its lock on the target, its checks.

The ``swn_run`` fixture makes it. However the case ends, its connections are closed, the cluster is restored
if the case disturbs it, and its checks until then are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

import pytest

from swn_torture.casekit.blame import UNANSWERED_BIND, blame_of, blame_of_bind
from swn_torture.casekit.case import mark_of, slug_of
from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.invariants.judging import judge_wire
from swn_torture.casekit.known import Blocked, NotTestable
from swn_torture.casekit.needs import registrations_needed, unmet
from swn_torture.casekit.ordinary_calls import explain_failures
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.effects import wait_until_events_arrive
from swn_torture.casekit.witness import Witness
from swn_torture.control.base import ControllerError, EffectNotSeen, NotRegistered, NotSupported
from swn_torture.control.noted import note_calls
from swn_torture.dcerpc.errors import (
    AuthenticationError,
    BindRefused,
    ContextRefused,
    DeadlineExceeded,
    Fault,
    RemoteProtocolError,
    RpcError,
)
from swn_torture.dcerpc.security.tickets import NoTicket
from swn_torture.harness.case_ends import CaseError, NotRun, Violation
from swn_torture.harness.hangs import end_hung_processes, hung_in
from swn_torture.harness.packets import captured
from swn_torture.harness.rung_gate import blocked_by
from swn_torture.report.finding import findings
from swn_torture.report.model import LOST
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import DecodeError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from types import TracebackType

    from swn_torture.casekit.blame import Blame
    from swn_torture.casekit.known import FailedBind
    from swn_torture.control.base import Controller
    from swn_torture.dcerpc.transcript import Octets
    from swn_torture.harness.live_target import LiveTarget
    from swn_torture.lab.capture import LabCapture

#: Seconds that a case may take beyond its ``lasts`` before it ends as an error. This guards against a hang in
#: the suite: every wait inside a case has its own, shorter deadline.
_TIME_LIMIT_S = 120.0

#: Seconds more for a case in which a person changes the cluster; each question has its own, shorter limit.
_PERSON_S = 7200.0

#: Errors that prove that the target answered.
_ANSWERS = (AuthenticationError, BindRefused, ContextRefused, DecodeError, Fault, RemoteProtocolError)

#: Seconds within which a target that ended an exchange must answer on a new connection.
_PROBE_S = 10.0

#: How many times each node of a live variant is called until it answers, and seconds between two attempts.
_VARIANT_TRIES, _PAUSE_S = 5, 0.5


class CaseRun:
    """One case on one target.

    Attributes:
        mark: what the case declares about itself.
        spec: its checks and choices.
        witness: its connections to the witness service.
        target: the target, or the variant of it that keeps the case apart (``CaseMark.apart``).
        started: ``time.monotonic()`` when it got the target.
        ended: the same for its end, if it ran in a group before its turn; else 0.
        ended_by: what ended it then; None for the end of its function.
        events: what its controllers did to the cluster: ``time`` (seconds since the epoch) and ``text``.
        because: the requirement whose violation, found by earlier cases, is why it was not tested; else "".
        packets: the capture of a case that changes a lab; else None.
        controllers: its open controllers, each with its target: this one, or a variant of it.
        spoiled: what happened beside the case, so that its result says nothing; else "".
    """

    def __init__(
        self,
        item: pytest.Item,
        target: LiveTarget,
        syntax: str,
        *,
        is_repeated: bool = False,
        controller: Controller | None = None,
    ) -> None:
        """Prepare a case.

        Args:
            item: the case.
            target: the target.
            syntax: its transfer syntax, ``ndr32`` or ``ndr64``.
            is_repeated: whether the first attempt was spoiled. Then the case has the target to itself.
            controller: what it changes the target by, if it runs together with others, who hold the target.
        """
        mark = mark_of(item)
        if mark is None:
            raise TypeError(f"{item.nodeid} uses the fixtures of a case but has no @case mark")
        self.mark = mark
        self.target = target.for_case(mark.apart)
        self._is_apart = self.target is not target
        target = self.target
        self._session = item.session
        self.spec = Spec(slug_of(item), mark.requirements)
        self.started, self.ended = time.monotonic(), 0.0
        self.ended_by: BaseException | None = None
        self.because = ""
        self.spoiled = ""
        self._is_repeated = is_repeated
        self.packets: LabCapture | None = None
        self._given = controller
        self.witness = Witness(
            target.profile, self.spec, NDR64 if syntax == "ndr64" else NDR32, target.facts, target.known
        )
        self._witnesses = [self.witness]
        self._cluster: Controller | None = None
        self.controllers: list[tuple[Controller, LiveTarget]] = []
        self.events: list[dict[str, Any]] = []
        self._completed = False
        self._time_limit: asyncio.Timeout | None = None
        self._runner = asyncio.Runner()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self.target.lost:
            pytest.skip(self.target.lost)
        reason = unmet(self.mark.needs, self.target.profile, self.target.controller(), self.target.facts)
        if reason:
            pytest.skip(reason)
        broken = blocked_by(self.spec.case, self.mark, self.target.facts)
        if broken is not None:
            raise NotRun(broken)
        with contextlib.ExitStack() as stack:
            if self._given is None:
                stack.enter_context(self._turn())
            # The case that had the target until now may have left it in a state in which no case can run.
            if self.target.lost:
                pytest.skip(self.target.lost)
            self.started = time.monotonic()
            stack.enter_context(self._runner)
            if self._is_apart:
                self._runner.run(self._until_it_answers(self.target))
            if self._is_repeated:
                self._runner.run(end_hung_processes(self.target))
            if self._given is None:  # else the packets are also those of others
                self.packets = stack.enter_context(captured(self.target.profile, self.mark))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            self._runner.run(self._clean_up())

    def _turn(self) -> contextlib.AbstractContextManager[None]:
        """The turn of the case on the target."""
        alone = self.mark.disturbs or self._is_repeated or self.target.facts.one_connection is not None
        return self.target.use(alone=alone, registrations=registrations_needed(self.mark.needs))

    @property
    def cluster(self) -> Controller:
        """The controller of the target, open."""
        if self._cluster is None:
            self._cluster = self._runner.run(self._open_controller(self.target))
        return self._cluster

    async def variant(self, name: str) -> Witness:
        """A variant of the target; its open controller is the attribute ``cluster`` of the result.

        Args:
            name: name of the variant in the profile, ``[variants.NAME]``.
        """
        async with self._unlimited():
            target = await asyncio.to_thread(self.target.variant, name)
            # Other processes use a live variant, too, and any case may change a variant.
            await asyncio.to_thread(self._stack.enter_context, target.use(alone=True))
        witness = Witness(target.profile, self.spec, self.witness.syntax, target.facts, target.known)
        self._witnesses.append(witness)
        witness.cluster = await self._open_controller(target)
        if self._is_repeated:
            await end_hung_processes(target)
        if not target.embedded:
            await self._until_it_answers(target)
        return witness

    async def _until_it_answers(self, target: LiveTarget) -> None:
        """Wait until each node of a live variant answers a bind: it may have been started a moment ago."""
        for node in range(len(target.profile.nodes)):
            for _ in range(_VARIANT_TRIES):
                if await self._probe(target, node) is None:
                    break
                await asyncio.sleep(_PAUSE_S)

    async def _open_controller(self, target: LiveTarget) -> Controller:
        given = self._given if target is self.target else None
        controller = given or target.controller()
        note_calls(controller, self._note)
        await controller.open()
        self.controllers.append((controller, target))
        return controller

    @property
    def transcript(self) -> list[Octets]:
        """All octet records of the case in order of time, with a number for each connection."""
        records: list[Octets] = []
        for witness in self._witnesses:
            # A variant of the target numbers its connections from 1, too.
            before = max((record.connection for record in records), default=0)
            records += [replace(r, connection=r.connection + before) for r in witness.transcript.entries]
        return sorted(records, key=lambda record: record.time)

    def _note(self, text: str) -> None:
        self.events.append({"time": time.time(), "text": text})

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
        except CaseError:  # the time of the case is up
            self._look_for_hangs()
            raise
        except EffectNotSeen as reason:
            self._look_for_hangs()
            self._skip(str(reason))
        except (NotRegistered, NotSupported, NotTestable) as reason:
            self._skip(str(reason), because=reason.requirement if isinstance(reason, Blocked) else "")
        except ControllerError as problem:
            self._look_for_hangs()
            raise CaseError(f"the controller failed: {problem}") from problem
        except NoTicket as reason:
            self._skip(f"there is no ticket to log on with. {reason}")
        except (RpcError, DecodeError, OSError) as problem:
            self._unexpected(problem)
        self._excuse()
        # Then an ordinary call would prove nothing.
        if self.spec.unexplained and self.target.facts.unreliable is None:
            silence = not self.mark.disturbs
            self._runner.run(explain_failures(self.witness, self._cluster, silence=silence))
        # Before the octets of a probe, and after the case: what it found out by itself comes first.
        judge_wire(self.spec, [witness.transcript for witness in self._witnesses])
        if self.spec.violations:
            self._require_live_target()
            self._look_for_hangs()
            found = findings(self.spec.checks, load_catalogue(), case=self.spec.case)
            raise Violation("\n".join(line for finding in found for line in finding.lines()))
        if not self.spec.checks:
            raise CaseError("the case ended without a check")

    def _excuse(self) -> None:
        """Record it if calls may have ended without a response by what the preflight found."""
        broken = self.target.facts.unreliable
        if broken is not None:
            self.spec.excuse(
                broken.requirement,
                expected="a response",
                observed=broken.observed,
                note="before the first case",
            )

    async def _limited(self, case: Coroutine[Any, Any, None]) -> None:
        limit = self.mark.lasts + _TIME_LIMIT_S
        if self.target.controller().needs_person:
            limit += _PERSON_S
        try:
            async with asyncio.timeout(limit) as self._time_limit:
                await case
            self._completed = True
        except DeadlineExceeded:
            raise  # the target did not answer a call in time; this is not the time limit of the case
        except TimeoutError as timeout:
            raise CaseError(f"the case did not end within {limit:g} s") from timeout

    @contextlib.asynccontextmanager
    async def _unlimited(self) -> AsyncIterator[None]:
        """What the case waits for here, other cases or the lab, does not count for its time limit."""
        loop, limit = asyncio.get_running_loop(), self._time_limit
        end = limit.when() if limit is not None else None
        if limit is None or end is None:
            yield
            return
        rest = end - loop.time()
        limit.reschedule(None)
        try:
            yield
        finally:
            limit.reschedule(loop.time() + rest)

    def _skip(self, reason: str, *, because: str = "") -> None:
        """End the case as not tested, unless it has a finding: that may be why it cannot go on.

        Args:
            reason: why it is not tested.
            because: the requirement whose violation, found by earlier cases, is the reason; else empty.
        """
        if not self.spec.failed:
            self.because = because
            pytest.skip(reason)

    def _unexpected(self, problem: Exception) -> None:
        """The exchange ended in an error that the case did not expect.

        That is a finding about the requirement that the error violates, whatever the case is about. An error
        that violates none by itself is the reason why the case is not tested.

        Raises:
            CaseError: the target no longer answers.
        """
        trouble = self._runner.run(self._probe_target())
        if trouble is not None:
            self._lose_target(trouble)
            raise CaseError(f"{problem}; after that the target no longer answered: {trouble}") from problem
        if isinstance(problem, DeadlineExceeded):
            self._look_for_hangs()
        broken = self.target.facts.unreliable
        if broken is not None and broken.requirement not in self.spec.requirements:
            reason = f"not tested because of {broken.requirement}: {broken.observed}"
            self._skip(f"{reason}; here {shown(problem)}", because=broken.requirement)
            return
        failed = [bind for witness in self._witnesses for bind in witness.failed_binds]
        for bind in failed:
            if bind.error is problem:
                self._bind_again(bind)
                return
        blame = blame_of(problem)
        if blame is not None:
            self._found(blame, problem, "the exchange ended here")
        else:
            self._skip(f"the exchange ended before the case could check anything more: {shown(problem)}")

    def _bind_again(self, bind: FailedBind) -> None:
        """Judge a bind that failed by a second one, made in the same way."""
        name = self.witness.nodes[bind.node].name
        try:
            second = self._runner.run(self._second_bind(bind))
        except NotTestable as reason:
            self._skip(str(reason))
            return
        if second is None:
            self.spoiled = f"{name} did not complete a bind ({shown(bind.error)}), but completed the next one"
            self._skip(self.spoiled)
            return
        blame = blame_of_bind(second)
        # The preflight logs on with the account of the profile only: another one may be wrong there.
        refused = bind.other_account and isinstance(second, AuthenticationError | Fault)
        if blame is None or refused:
            self._skip(f"{name} rejects the bind: {shown(second)}")
            return
        if bind.ordinary and blame == UNANSWERED_BIND and isinstance(second, DeadlineExceeded):
            self.target.known.add_silence(blame.requirement, name, self.spec.case)
        self._found(blame, second, f"a bind to {name}, and the same bind again")

    @staticmethod
    async def _second_bind(bind: FailedBind) -> Exception | None:
        try:
            await bind.again()
        except Blocked:
            return bind.error  # earlier cases have waited in vain: this was not the first bind
        except (RpcError, OSError) as error:
            return error
        return None

    def _look_for_hangs(self) -> None:
        """Say in ``spoiled`` which processes of the target, and of the variants that the case uses, hang."""
        opened = {id(target): (target, controller) for controller, target in self.controllers}
        looked_at = {id(self.target): (self.target, None), **opened}
        self.spoiled = self._runner.run(hung_in(looked_at.values()))

    def _found(self, blame: Blame, problem: Exception, note: str) -> None:
        self.spec.precondition_failed(blame.requirement, expected=blame.expected, observed=problem, note=note)

    def _require_live_target(self) -> None:
        """Make an error of a violation that a target which no longer runs could not help.

        Raises:
            CaseError: no node answers any more, and the case did not itself check that one does.
        """
        if self.spec.survival_checked:
            return
        trouble = self._runner.run(self._probe_target())
        if trouble is not None:
            self._lose_target(trouble)
            raise CaseError(f"the target no longer answers: {trouble}")

    def _lose_target(self, trouble: str) -> None:
        """Remember that the target no longer answers: the next cases are not tested, at once."""
        self.target.lost = f"{LOST}{self.spec.case} ({trouble})"

    async def _probe_target(self) -> str | None:
        """None when any node answers a bind on a new connection, else the problem with the last node tried.

        A wrong answer counts, and so does the end of the connection after the bind. Otherwise one fault of a
        target would end the run at the first case that finds it. A node that no client can call, as the
        preflight found, says nothing.
        """
        if self.target.facts.one_connection is not None:
            for witness in self._witnesses:
                await witness.close()
        trouble: str | None = "the profile names no node"
        for node, where in enumerate(self.target.profile.nodes):
            if self.target.facts.defect_of(where.name) is not None:
                return None
            trouble = await self._probe(self.target, node)
            if trouble is None:
                return None
        return trouble

    async def _probe(self, target: LiveTarget, node: int) -> str | None:
        """None when a node answers a bind on a new connection, else the problem."""
        probe = Witness(target.profile, self.spec, facts=target.facts)
        try:
            async with asyncio.timeout(_PROBE_S):
                await probe.connect(node)
        except _ANSWERS:
            return None
        except (RpcError, OSError, TimeoutError) as problem:
            return str(problem) or type(problem).__name__
        finally:
            await probe.close()
        return None

    async def _clean_up(self) -> None:
        for witness in self._witnesses:
            await witness.close()
        try:
            changed = [each for each in self.controllers if self._may_have_changed(each[1])]
            restored = [self._restore(controller, target) for controller, target in changed]
            problems = await asyncio.gather(*restored, return_exceptions=True)
            for problem in filter(None, problems):
                raise problem
            if self.mark.disturbs and self._cluster is not None:
                await self._settle(self._cluster)
        finally:
            for controller, _ in self.controllers:
                await controller.close()

    def _may_have_changed(self, target: LiveTarget) -> bool:
        """Whether the case may have left the target, or a variant of it, in another state.

        A case that has a variant to itself restores it, unless it ends early.
        """
        return self.mark.disturbs or (
            target is not self.target and not self._completed and not target.embedded
        )

    async def _settle(self, controller: Controller) -> None:
        """Wait until the target has notified its clients of what restoring changed.

        Otherwise the next case may get these notifications. Skipped once a target did not notify of a move.
        """
        if not self.target.notifies_of_moves or controller.needs_person:
            return
        probe = Witness(self.target.profile, Spec(self.spec.case, ()), facts=self.target.facts)
        try:
            self.target.notifies_of_moves = await wait_until_events_arrive(probe, controller)
        except (CaseStopped, ControllerError, DecodeError, NotTestable, OSError, RpcError):
            self.target.notifies_of_moves = False
        finally:
            await probe.close()

    async def _restore(self, controller: Controller, target: LiveTarget) -> None:
        """Restore the cluster; if that is not possible, end the run: no further case can be judged.

        A variant that cannot be restored is not used any more.

        Raises:
            NotHealthy: something is left undone.
        """
        try:
            await controller.restore()
        except ControllerError as problem:
            target.lost = f"{self.spec.case} changed the cluster and could not restore it: {problem}"
            if target is self.target and not self._is_apart and not target.embedded:
                self._session.shouldstop = target.lost
            raise
