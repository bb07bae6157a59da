"""Callers of every kind before every method: who is let in, and what a refused call leaves behind.

Two of the methods take a handle. They get one that stands for a registration, made on a connection of the
same association, so that nothing but the caller can be the reason of a refusal::

    methods = await EveryMethod.of(witness)
    outcomes = await methods.called(level=AuthLevel.NONE)
    left = await methods.traces(cluster)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from swn_torture.casekit.outcome import Outcome, ending_of, outcome_of
from swn_torture.casekit.steps.registering import listed
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

#: Codes by which a method itself refuses a caller (MS-SWN 3.1.4 and the product note on it, AMB-22).
DENIALS = frozenset({Win32.ERROR_ACCESS_DENIED, Win32.ERROR_NOT_AUTHENTICATED})
NOT_SERVED = (
    "a return value of ERROR_ACCESS_DENIED (0x5) or ERROR_NOT_AUTHENTICATED (0x4DC)",
    "a fault",
    "a refused bind",
    "connection closed",
)


@dataclass(frozen=True, slots=True)
class EveryMethod:
    """A right request of every method.

    Attributes:
        witness: where.
        home: the connection on which the registration was made.
        handle: of that registration.
        requests: by the name of the method.
        names: ClientComputerName of each registration that the requests ask for.
    """

    witness: Witness
    registered_on: WitnessClient
    handle: ContextHandle
    requests: Mapping[str, Any]
    names: tuple[str, ...]

    @classmethod
    async def of(cls, witness: Witness, **connection: Any) -> Self:
        """Register, and prepare the requests; ``connection`` is how to connect for that."""
        registered_on = await witness.connect(**connection)
        address = await witness.address_of(0)
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
        return cls(witness, registered_on, handle, requests, names)

    async def called(self, **connection: Any) -> dict[str, Outcome]:
        """Make each call as the caller that ``connection`` (of ``Witness.connect``) describes.

        Each on a connection of its own: a server may close one on which it had to refuse something.
        """
        group = self.registered_on.rpc.core.assoc_group
        outcomes: dict[str, Outcome] = {}
        for name in self.requests:
            try:
                client = await self.witness.connect(assoc_group=group, **connection)
                outcomes[name] = await self.call(client, name)
                await client.rpc.close()
            except AuthenticationError as error:
                outcomes[name] = Outcome("pdu", detail=f"no security context: {error}")
            except RpcError as error:
                outcomes[name] = ending_of(error)
        return outcomes

    async def call(self, client: WitnessClient, name: str) -> Outcome:
        """Make one of the calls; AsyncNotify is watched only until it counts as pending."""
        expect = self.witness.expect
        patience = expect.quiet_time if name == "AsyncNotify" else expect.reply_deadline
        return await outcome_of(client.start(self.requests[name]), patience)

    async def traces(self, cluster: Controller) -> tuple[RegistrationView, ...]:
        """The registrations that the requests ask for, as far as the cluster lists them."""
        return await listed(cluster, *self.names)


def served(outcome: Outcome) -> bool:
    """Whether a method has been at work: it returned something else than a denial, or it is waiting."""
    if outcome.kind == "result":
        return outcome.code not in DENIALS
    return outcome.kind in {"silence", "malformed"}
