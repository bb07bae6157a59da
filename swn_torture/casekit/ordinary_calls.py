"""Ordinary calls for comparison: does a method serve a client that sends nothing unusual?

A case sends something unusual and expects that the server serves the call, or rejects it. If the server ends
an ordinary call of the same method in the same way, the case has found nothing about its own requirement.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit.blame import CLIENT_MOVE
from swn_torture.casekit.checks import CaseStopped, Spec
from swn_torture.casekit.known import KnownAnswers, NotTestable
from swn_torture.casekit.outcome import SILENCE, SUCCESS, Outcome, outcome_of
from swn_torture.casekit.steps.host_nodes import destination
from swn_torture.casekit.steps.listeners import listen, wait_for_notifications
from swn_torture.casekit.witness import Witness
from swn_torture.control.base import Capability, ControllerError
from swn_torture.dcerpc.errors import RpcError
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import GetInterfaceListRequest, UnRegisterRequest

if TYPE_CHECKING:
    from swn_torture.control.base import Controller
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import RegisterExRequest, RegisterRequest

#: The requirement that a server violates which does not serve an ordinary call of a method.
SERVED = {
    Opnum.GET_INTERFACE_LIST: "SWN-3.1.4.1-returns-success",
    Opnum.REGISTER: "SWN-3.1.4.2-returns-success",
    Opnum.UNREGISTER: "SWN-3.1.4.3-returns-success",
    Opnum.ASYNC_NOTIFY: "SWN-3.1.4.4-returns-success",
    Opnum.REGISTER_EX: "SWN-3.1.4.5-returns-success",
}
#: What a controller needs for a client move.
_FOR_A_MOVE = frozenset({Capability.MOVE_CLIENT, Capability.LIST_NODES})


async def explain_failures(
    witness: Witness, cluster: Controller | None = None, *, silence: bool = True
) -> None:
    """Compare the failed checks of a case with ordinary calls of the same methods, on new connections.

    Args:
        witness: the target; its ``spec`` has the checks.
        cluster: its controller, if the case uses it.
        silence: whether an ordinary call without an answer is a failure. It is not while a case has made
            every interface UNAVAILABLE.
    """
    failed = witness.spec.unexplained
    pending = any(_is_pending(outcome) for outcome in failed)
    opnums = {
        Opnum(outcome.opnum) for outcome in failed if outcome.opnum in SERVED and not _is_pending(outcome)
    }
    if any(outcome.kind in {"closed", "silence"} for outcome in failed):
        opnums.add(Opnum.GET_INTERFACE_LIST)
    if not opnums:
        return
    spec = Spec(witness.spec.case, ())
    # What is silent because of this case says nothing to later ones.
    known = witness.known if silence else KnownAnswers()
    ordinary = Witness(witness.profile, spec, witness.syntax, witness.facts, known)
    try:
        if pending and cluster is not None and cluster.capabilities >= _FOR_A_MOVE:
            notified = await _ordinary_move(ordinary, cluster)
            if notified == SILENCE:
                note = "a client move as usual, for comparison"
                witness.spec.explain(CLIENT_MOVE, notified, note, about=_uses_a_move)
        for opnum, outcome in await _ordinary_outcomes(ordinary, opnums):
            served = outcome == SUCCESS or _is_pending(outcome)
            if not served and (silence or outcome.kind != "silence"):
                note = f"{opnum.method}, called as usual for comparison"
                witness.spec.explain(SERVED[opnum], outcome, note)
    except (ControllerError, RpcError, OSError, NotTestable, CaseStopped):
        pass  # nothing to compare with
    finally:
        await ordinary.close()


def _is_pending(outcome: Outcome) -> bool:
    """Whether it is an AsyncNotify without an answer, which is right as long as there is no event."""
    return outcome == SILENCE and outcome.opnum == Opnum.ASYNC_NOTIFY


def _uses_a_move(requirement: str) -> bool:
    """Whether a requirement is about something else than events, for which a client move is only a means."""
    return requirement.startswith("RPC-") or requirement in {
        "SWN-3.1.4.4-concurrent-registrations",
        "SWN-3.1.4.4-search-by-key",
    }


async def _ordinary_move(witness: Witness, cluster: Controller) -> Outcome:
    """How the pending AsyncNotify of an ordinary client ends that is moved."""
    listener = await listen(witness)
    host = await destination(witness, cluster, other_than=listener.address)
    await cluster.move_client(listener.name, host.node)
    (outcome,) = await wait_for_notifications(listener)
    return outcome


async def _ordinary_outcomes(witness: Witness, opnums: set[Opnum]) -> list[tuple[Opnum, Outcome]]:
    """The outcome of an ordinary call of each method; only that of GetInterfaceList if it is not served."""
    place, listing = witness.nodes[0].name, SERVED[Opnum.GET_INTERFACE_LIST]
    if witness.known.silent(listing, place):
        return [(Opnum.GET_INTERFACE_LIST, SILENCE)]
    client = await witness.connect()
    listed = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
    if listed == SILENCE:
        witness.known.add_silence(listing, place, witness.spec.case)
    others = sorted(opnums - {Opnum.GET_INTERFACE_LIST}) if listed == SUCCESS else []
    return [
        (Opnum.GET_INTERFACE_LIST, listed),
        *[(opnum, await _ordinary_call(witness, client, opnum)) for opnum in others],
    ]


async def _ordinary_call(witness: Witness, client: WitnessClient, opnum: Opnum) -> Outcome:
    if opnum == Opnum.UNREGISTER:
        call = client.start(UnRegisterRequest(await witness.register(client)))
        return await outcome_of(call, witness.expect.reply_deadline)
    if opnum == Opnum.ASYNC_NOTIFY:
        client = await witness.connect()  # the call may stay pending, or end the connection
        notify = client.async_notify(await witness.register(client))
        return await outcome_of(notify, witness.expect.quiet_time)
    make = witness.registration if opnum == Opnum.REGISTER else witness.registration_ex
    request: RegisterRequest | RegisterExRequest = make(ip_address=await witness.address_of())
    return await outcome_of(client.start(request), witness.expect.reply_deadline)
