"""The keep-alive and unused-registration timers: too early, too late, never, or in another unit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from swn_torture.faults.registry import part_of, violates, with_options, with_rpc
from swn_torture.server.state.methods import Reply
from swn_torture.server.state.service import WitnessService
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import AsyncNotifyResponse

if TYPE_CHECKING:
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.state.registrations import Registration
    from swn_torture.server.state.responses import QueuedNotification
    from swn_torture.witness.messages import ContextHandle

# Unused registrations


@violates(
    "SWN-3.1.2.1-timer-implemented",
    "SWN-3.1.2.1-removes-unused",
    "SWN-3.1.5.1-implemented",
    "SWN-3.1.5.1-removes-stale",
)
class UnusedNeverRemoved(WitnessService):
    """The server never removes an unused registration."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        return False


@violates("SWN-3.1.6.5-delete-on-timeout")
def silent_clients_not_probed(config: ClusterConfig) -> ClusterConfig:
    """The transport never probes a client that sends nothing."""
    return with_rpc(config, keep_alive=0.0)


@violates("SWN-3.1.6.5-silent-death")
def silent_clients_kept(config: ClusterConfig) -> ClusterConfig:
    """The server keeps a client that disappears without closing its connection."""
    return with_rpc(config, keep_alive=0.0)


@part_of(silent_clients_kept)
class NothingIsUnused(WitnessService):
    """Treats every registration as in use."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        return False


class SkipsEveryOther(WitnessService):
    """A server that skips every other registration when it scans."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.skipped: set[ContextHandle] = set()
        self._made = 0

    @override
    def insert(self, registration: Registration) -> Registration:
        """Insert a registration, and mark every other one to be skipped."""
        self._made += 1
        if self._made % 2:
            self.skipped.add(registration.key)
        return super().insert(registration)


@violates("SWN-3.1.5.1-scans-list")
class EveryOtherScannedForUse(SkipsEveryOther):
    """The scan for unused registrations skips every other registration."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        return registration.key not in self.skipped and super().is_unused(registration, now)


@violates("SWN-3.1.5.1-keeps-fresh")
def unused_removed_early(config: ClusterConfig) -> ClusterConfig:
    """The server removes an unused registration after a third of the time."""
    return with_options(config, unused_timeout=config.options.unused_timeout / 3)


@violates("SWN-3.1.5.1-keeps-outstanding", "SWN-3.1.4.4-v2-async-registered-on-entry")
class OutstandingCallDoesNotCountAsUse(WitnessService):
    """The server removes a registration as unused although an AsyncNotify is pending on it."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        limit = self.options.unused_timeout
        return registration.version != 0x00010001 and registration.last_use + limit < now


@violates("SWN-3.1.5.1-keeps-fresh", "SWN-3.1.4.5-entry-lastuse")
class LastUseStartsAtZero(WitnessService):
    """LastUseTime of a new registration is far in the past."""

    @override
    def new_registration(self, owner: Any, request: Any) -> Registration:
        registration = super().new_registration(owner, request)
        registration.last_use = -1e9
        return registration


@violates("SWN-3.1.4.4-v2-lastuse-on-entry")
class CallsDoNotCountAsUse(WitnessService):
    """LastUseTime changes when a notification is sent, not when AsyncNotify arrives or is cancelled."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        before = registration.last_use if registration else 0.0
        replies = super().async_notify(token, owner, request)
        if registration is not None and not replies:
            registration.last_use = before
        return replies

    @override
    def cancel(self, token: Any, association: Any) -> bool:
        before = {r: r.last_use for r in self.registrations.of(association)}
        found = super().cancel(token, association)
        for registration, last_use in before.items():
            registration.last_use = last_use
        return found


@violates("SWN-3.1.4.4-v2-lastuse-on-response", "SWN-3.1.1.3-lastuse-updates")
class ResponsesDoNotCountAsUse(WitnessService):
    """Sending a notification does not update LastUseTime."""

    @override
    def answer(self, registration: Registration, queued: QueuedNotification) -> list[Reply]:
        before = registration.last_use
        replies = super().answer(registration, queued)
        registration.last_use = before
        return replies


@violates("SWN-3.1.1.3-lastuse-updates")
class UnusedCountsFromRegistration(WitnessService):
    """LastUseTime is never updated: a registration expires a fixed time after it was made."""

    @override
    def update_last_use(self, registration: Registration) -> None:
        """Do nothing."""


@violates("SWN-3.1.4.4-v2-async-cleared-on-response")
class RespondedCallsStayOutstanding(WitnessService):
    """A registration that once had a pending AsyncNotify is never removed as unused."""

    def __init__(self, *rest: Any) -> None:
        super().__init__(*rest)
        self.called: set[ContextHandle] = set()

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        self.called.add(request.context)
        return super().async_notify(token, owner, request)

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        return registration.key not in self.called and super().is_unused(registration, now)


@violates("SWN-3.1.4.5-entry-async-false")
class OutstandingFromTheStart(RespondedCallsStayOutstanding):
    """The server does not remove an unused registration before its first AsyncNotify."""

    @override
    def is_unused(self, registration: Registration, now: float) -> bool:
        return registration.key in self.called and WitnessService.is_unused(self, registration, now)


# Keep-alive


@violates("SWN-3.1.1.3-keepalive-seconds", "SWN-3.1.4.5-keepalive-meaning", "SWN-3.1.5.2-not-early")
def keep_alive_in_milliseconds(config: ClusterConfig) -> ClusterConfig:
    """The server reads KeepAliveTimeout as milliseconds."""
    return with_options(config, keepalive_unit=0.001)


@violates("SWN-3.1.4.5-keepalive-zero")
class KeepAliveZeroIsAnError(WitnessService):
    """AsyncNotify on a registration with KeepAliveTimeout 0 returns ERROR_INVALID_PARAMETER (0x57)."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        if registration is None or registration.timeout != 0:
            return super().async_notify(token, owner, request)
        return [Reply(token, AsyncNotifyResponse(None, Win32.ERROR_INVALID_PARAMETER))]


@violates("SWN-3.1.5.2-timeout-error", "SWN-3.1.4.5-keepalive-meaning")
def keep_alive_in_minutes(config: ClusterConfig) -> ClusterConfig:
    """The server reads KeepAliveTimeout as minutes."""
    return with_options(config, keepalive_unit=60.0)


@violates(
    "SWN-3.1.2.2-timer-implemented",
    "SWN-3.1.2.2-based-on-keepalive",
    "SWN-3.1.5.2-implemented",
    "SWN-3.1.5.2-timeout-error",
)
class CallsNeverTimeOut(WitnessService):
    """A pending AsyncNotify never times out."""

    @override
    def keepalive(self, timeout: int) -> float | None:
        return None


@violates("SWN-3.1.2.2-based-on-keepalive", "SWN-3.1.4.5-entry-keepalive")
class KeepAliveIsFixed(WitnessService):
    """Every AsyncNotify times out after one second, whatever its KeepAliveTimeout."""

    @override
    def keepalive(self, timeout: int) -> float | None:
        return 1.0


@violates("SWN-3.1.5.2-not-early")
class CallsTimeOutEarly(WitnessService):
    """AsyncNotify times out after half of its KeepAliveTimeout."""

    @override
    def keepalive(self, timeout: int) -> float | None:
        whole = super().keepalive(timeout)
        return whole and whole / 2


@violates("SWN-3.1.5.2-not-early")
class KeepAliveCountsFromLastUse(WitnessService):
    """The keep-alive time runs from the last use before the call, not from the call."""

    @override
    def async_notify(self, token: Any, owner: Any, request: Any) -> list[Reply]:
        registration = self.find(owner, request.context)
        before = registration.last_use if registration else 0.0
        replies = super().async_notify(token, owner, request)
        if registration is not None and registration.waiting:
            registration.waiting.append(replace(registration.waiting.pop(), since=before))
        return replies


@violates("SWN-3.1.5.2-scans-list")
class EveryOtherScannedForCalls(SkipsEveryOther):
    """The scan for calls that time out skips every other registration."""

    @override
    def expire_calls(self, registration: Registration, now: float) -> list[Reply]:
        return [] if registration.key in self.skipped else super().expire_calls(registration, now)


@violates("SWN-3.1.5.2-registration-survives")
class TimeoutRemovesRegistration(WitnessService):
    """When an AsyncNotify times out, the server removes its registration."""

    @override
    def expire_calls(self, registration: Registration, now: float) -> list[Reply]:
        replies = super().expire_calls(registration, now)
        if replies and registration in self.registrations:
            registration.drop_at = now
        return replies
