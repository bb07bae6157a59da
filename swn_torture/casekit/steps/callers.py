"""Call every method as some user at some authentication level, and see what a rejected call leaves behind.

Some methods take a context handle. They get the handle of a registration on a connection of the same
association group, so that only the caller can be the reason of a rejection::

    methods = await EveryMethod.prepare(witness)
    outcomes = await methods.call_all(level=AuthLevel.NONE)
    left = await methods.registrations_left(cluster)
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import SILENCE, Outcome, outcome_of, outcome_of_error
from swn_torture.casekit.steps.registering import registrations_of
from swn_torture.dcerpc.errors import AuthenticationError, RpcError
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller, RegistrationView
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import ContextHandle

#: Return values with which a method itself rejects a caller (MS-SWN 3.1.4, its product note, and AMB-22).
DENIALS = frozenset({Win32.ERROR_ACCESS_DENIED, Win32.ERROR_NOT_AUTHENTICATED})
NOT_SERVED = (
    "a return value of ERROR_ACCESS_DENIED (0x5) or ERROR_NOT_AUTHENTICATED (0x4DC)",
    "a fault",
    "a rejected bind",
    "connection closed",
)
#: Detail of the outcome of a method that was not called, because the server closed the connection instead of
#: an answer to the bind.
CLOSED_AT_THE_BIND = "instead of an answer to the bind"


@dataclass(frozen=True, slots=True)
class EveryMethod:
    """A valid request for every method.

    Attributes:
        witness: the target.
        registered_on: the connection of the registration that ``handle`` belongs to.
        handle: the context handle in the requests that take one.
        requests: the requests by the name of the method.
        names: the ClientComputerNames in the Register and RegisterEx requests.
        registered_at: when the registration was made, in seconds of ``time.monotonic``.
    """

    witness: Witness
    registered_on: WitnessClient
    handle: ContextHandle
    requests: Mapping[str, Any]
    names: tuple[str, ...]
    registered_at: float

    @classmethod
    async def prepare(cls, witness: Witness, **connection: Any) -> Self:
        """Register, and make the requests.

        Args:
            witness: the target.
            connection: arguments of ``Witness.connect`` for the registration.

        Raises:
            CaseStopped: registering fails, which is recorded as a violation.
        """
        registered_on = await witness.connect(**connection)
        address = await witness.address_of(0)
        registered_at = time.monotonic()
        handle = await witness.register(registered_on, ip_address=address)
        register = witness.registration(ip_address=address)
        register_ex = witness.registration_ex(ip_address=address)
        requests = {
            "GetInterfaceList": GetInterfaceListRequest(),
            "Register": register,
            "RegisterEx": register_ex,
            "AsyncNotify": AsyncNotifyRequest(handle),
            "UnRegisterEx": UnRegisterExRequest(handle),
            "UnRegister": UnRegisterRequest(handle),
        }
        names = (str(register.client_computer_name), str(register_ex.client_computer_name))
        return cls(witness, registered_on, handle, requests, names, registered_at)

    @property
    def may_be_gone(self) -> bool:
        """Whether the registration was unused for so long that the server may have removed it (AMB-14)."""
        return time.monotonic() - self.registered_at > 0.8 * self.witness.expect.unused_timeout

    async def call_all(self, **connection: Any) -> dict[str, Outcome]:
        """Call every method, each on a connection of its own; returns the outcomes by method.

        A server may close a connection after it has rejected a call.

        Args:
            connection: arguments of ``Witness.connect``: the user and the authentication level.
        """
        group = self.registered_on.rpc.core.assoc_group
        outcomes: dict[str, Outcome] = {}
        for name in self.requests:
            bound = False
            try:
                client = await self.witness.connect(assoc_group=group, **connection)
                bound = True
                outcomes[name] = await self.call(client, name)
                await client.rpc.close()
            except AuthenticationError as error:
                outcomes[name] = Outcome("pdu", detail=f"no security context: {error}")
            except RpcError as error:
                outcomes[name] = outcome_of_error(error)
                if outcomes[name].kind == "closed" and not bound:
                    outcomes[name] = Outcome("closed", detail=CLOSED_AT_THE_BIND)
        return outcomes

    async def call(self, client: WitnessClient, name: str) -> Outcome:
        """Call one method and return its outcome. AsyncNotify may stay pending.

        It counts as pending when the server has answered a later call on the same connection, or after the
        reply deadline: a slow server may need longer than the quiet time to reject it.
        """
        expect = self.witness.expect
        call = client.start(self.requests[name])
        if name != "AsyncNotify" or not client.rpc.core.multiplexed:
            return await outcome_of(call, expect.reply_deadline)
        outcome = await outcome_of(call, expect.quiet_time)
        if outcome == SILENCE:
            await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)
            outcome = await outcome_of(call, expect.quiet_time)
        return outcome

    async def registrations_left(self, cluster: Controller) -> tuple[RegistrationView, ...]:
        """The registrations in the list of the cluster that the Register and RegisterEx calls have made."""
        return await registrations_of(cluster, *self.names)


def served(outcome: Outcome) -> bool:
    """Whether the server executed the method: it returned a code not in ``DENIALS``, or stays pending."""
    if outcome.kind == "result":
        return outcome.code not in DENIALS
    return outcome.kind in {"silence", "malformed"}
