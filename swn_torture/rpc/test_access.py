"""Who may call a method, and what a refused call leaves behind: nothing (MS-SWN 2.1, 3.1.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from swn_torture.control.base import Capability
from swn_torture.dcerpc.errors import RpcError
from swn_torture.dcerpc.levels import AuthLevel
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.harness import SILENCE, case, faults, outcome_of, returns
from swn_torture.harness.outcome import Outcome
from swn_torture.harness.registering import MISMATCH, NO_SUCH_METHOD, NOT_FOUND, listed, show_listed
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
)
from swn_torture.witness.win32 import Win32

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.control.base import Controller
    from swn_torture.harness import Law
    from swn_torture.harness.witness import Witness
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import ContextHandle, Request

DENIED = (returns(Win32.ERROR_ACCESS_DENIED), faults(FaultStatus.ERROR_ACCESS_DENIED))
NOT_AUTHENTICATED = (returns(Win32.ERROR_NOT_AUTHENTICATED), faults(FaultStatus.ERROR_NOT_AUTHENTICATED))

#: A server may also hold that a handle is not this caller's, before or instead of asking who may call.
NO_HANDLE_OF_YOURS = (NOT_FOUND, MISMATCH, returns(Win32.ERROR_INVALID_PARAMETER))


async def every_method(
    witness: Witness, connect: Callable[[], Awaitable[WitnessClient]], handle: ContextHandle, name: str
) -> dict[Opnum, Outcome]:
    """How the six methods end, called with good parameters and this handle, last those that remove it.

    Each on a connection of its own: a server may close one on which it had to refuse something.
    """
    address = await witness.address_of(0)
    requests: dict[Opnum, Request[Any]] = {
        Opnum.GET_INTERFACE_LIST: GetInterfaceListRequest(),
        Opnum.REGISTER: witness.registration(ip_address=address, client_computer_name=name),
        Opnum.REGISTER_EX: witness.registration_ex(ip_address=address, client_computer_name=name),
        Opnum.ASYNC_NOTIFY: AsyncNotifyRequest(handle),
        Opnum.UNREGISTER: UnRegisterRequest(handle),
        Opnum.UNREGISTER_EX: UnRegisterExRequest(handle),
    }
    quiet = witness.place.profile.expect.quiet_time
    found = {}
    for opnum, request in requests.items():
        wait = quiet if opnum == Opnum.ASYNC_NOTIFY else witness.place.profile.expect.reply_deadline
        try:
            found[opnum] = await outcome_of((await connect()).start(request), wait)
        except RpcError as problem:
            found[opnum] = Outcome("bind-nak", detail=str(problem))
    # A method that does not exist, in version 1 or before revision 14.0, cannot be refused to anybody.
    return {opnum: reply for opnum, reply in found.items() if reply != NO_SUCH_METHOD}


def served(opnum: Opnum, reply: Outcome) -> bool:
    """Whether a method did for the caller what it is there for; AsyncNotify by waiting."""
    return reply == returns(Win32.ERROR_SUCCESS) or (opnum == Opnum.ASYNC_NOTIFY and reply == SILENCE)


@case("SWN-3.1.4-enforce-security", "SWN-3.1.4-access-denied", "SWN-3.1.4-denied-no-effect", syntaxes="both")
async def test_caller_without_authentication(witness: Witness, law: Law, cluster: Controller) -> None:
    """A caller that has not authenticated is refused every method, and changes nothing."""
    owner, kept, nobody = await witness.connect(), witness.client_name(), witness.client_name()
    handle = await witness.register(owner, client_computer_name=kept)

    # In the owner's association, so that the handle is good and the caller is what is wrong.
    group = owner.rpc.core.assoc_group
    replies = await every_method(
        witness, lambda: witness.connect(level=AuthLevel.NONE, assoc_group=group), handle, nobody
    )

    law.choice("AMB-22", f"without authentication: {'; '.join(sorted({*map(str, replies.values())}))}")
    for opnum, reply in replies.items():
        note = f"opnum {int(opnum)}, {opnum.method}, without authentication"
        takes_handle = opnum in {Opnum.UNREGISTER, Opnum.ASYNC_NOTIFY, Opnum.UNREGISTER_EX}
        law("SWN-3.1.4-enforce-security").holds(
            not served(opnum, reply),
            expected=[*map(str, DENIED), str(NOT_AUTHENTICATED[0]), "another refusal"],
            observed=reply,
            note=note,
        )
        if served(opnum, reply) or reply.kind == "bind-nak":
            law("SWN-3.1.4-access-denied").record(reply, note)
            continue
        law("SWN-3.1.4-access-denied").allows(
            reply, *DENIED, *NOT_AUTHENTICATED, *(NO_HANDLE_OF_YOURS if takes_handle else ()), note=note
        )
    if cluster.can(Capability.LIST_REGISTRATIONS):
        done = [opnum for opnum, reply in replies.items() if served(opnum, reply)]
        wanted = [kept] * (not {Opnum.UNREGISTER, Opnum.UNREGISTER_EX} & {*done})
        wanted += [nobody] * len({Opnum.REGISTER, Opnum.REGISTER_EX} & {*done})
        views = await listed(cluster, kept, nobody)
        law("SWN-3.1.4-denied-no-effect").holds(
            sorted(view.client_computer_name for view in views) == sorted(wanted),
            expected=f"listed: {', '.join(wanted) or 'none'}, as before and by what was served since",
            observed=show_listed(views),
        )
    else:
        still = await outcome_of(owner.start(UnRegisterRequest(handle)))
        law("SWN-3.1.4-denied-no-effect").allows(
            still, returns(Win32.ERROR_SUCCESS), note="the owner's own UnRegister afterwards"
        )


@case(
    "SWN-2.1-method-access-check",
    "SWN-3.1.4-access-denied",
    "SWN-3.1.4-denied-no-effect",
    needs=("second-account", "variant:refuses-second-account", "version-2"),
)
async def test_account_that_may_not(law: Law, variant: Callable[[str], Awaitable[Witness]]) -> None:
    """An account that the server's policy refuses is refused every method, and changes nothing."""
    strict = await variant("refuses-second-account")
    owner, kept, other = await strict.connect(), strict.client_name(), strict.client_name()
    handle = await strict.register(owner, client_computer_name=kept)
    group = owner.rpc.core.assoc_group

    replies = await every_method(
        strict,
        lambda: strict.connect(credentials=strict.second_credentials, assoc_group=group),
        handle,
        other,
    )

    for opnum, reply in replies.items():
        note = f"opnum {int(opnum)}, {opnum.method}, as {strict.second_credentials.username}"
        law("SWN-2.1-method-access-check", "SWN-3.1.4-access-denied").allows(reply, *DENIED, note=note)
    assert strict.cluster is not None
    views = await listed(strict.cluster, kept, other)
    law("SWN-2.1-method-access-check", "SWN-3.1.4-denied-no-effect").holds(
        [view.client_computer_name for view in views] == [kept],
        expected=f"{kept} listed as before, {other} not",
        observed=show_listed(views),
    )
