"""Stub data as octets: requests that no codec would write, and what becomes of each.

Many of them go over one connection, one after the other, so that each answer belongs to one stimulus. A
server may end the connection over one; the next one then goes over another.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from swn_torture.casekit.outcome import Outcome, faults, outcome_of, returns
from swn_torture.casekit.steps.registering import listed, show_listed
from swn_torture.control.base import Capability
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.client import PendingCall
from swn_torture.witness.codec import encode, field_spans
from swn_torture.witness.constants import Opnum
from swn_torture.witness.messages import (
    NULL_HANDLE,
    GetInterfaceListRequest,
    RegisterExRequest,
    RegisterRequest,
    UnRegisterExRequest,
)

if TYPE_CHECKING:
    from swn_torture.casekit.checks import Spec
    from swn_torture.casekit.steps.registering import Method
    from swn_torture.casekit.witness import Witness
    from swn_torture.control.base import Controller
    from swn_torture.stubdata.fields import ByteOrder, Wrong
    from swn_torture.witness.client import WitnessClient
    from swn_torture.witness.messages import AnyRequest

Registration: TypeAlias = RegisterRequest | RegisterExRequest

#: The string parameters of registrations by their names in the IDL.
FIELDS = {
    "NetName": "net_name",
    "ShareName": "share_name",
    "IpAddress": "ip_address",
    "ClientComputerName": "client_computer_name",
}

#: How an invalid octet stream is refused (MS-RPCE 3.1.3.5.2).
BAD_STUB = faults(FaultStatus.RPC_X_BAD_STUB_DATA)
#: The status that C706 has for counts that contradict each other.
INVALID_BOUND = faults(FaultStatus.NCA_S_FAULT_INVALID_BOUND)


class Sender:
    """Sends stub data of any content, each on its own, and tells how each call ended.

    Attributes:
        witness: where to.
        byte_order: of the PDUs, and of what is encoded here.
        connections: how many were needed so far.
    """

    def __init__(self, witness: Witness, *, byte_order: ByteOrder = "little") -> None:
        self.witness = witness
        self.byte_order = byte_order
        self.connections = 0
        self._client: WitnessClient | None = None

    async def client(self) -> WitnessClient:
        """The connection in use: the last one, or a new one if the server has ended that."""
        if self._client is None or self._client.rpc.closed.is_set():
            self._client = await self.witness.connect()
            self.connections += 1
        return self._client

    async def send(
        self, message: AnyRequest, stub: bytes | None = None, *, wrong: Wrong | None = None
    ) -> Outcome:
        """Call the method of a message and wait for the end of the call.

        Args:
            message: what to ask.
            stub: the octets to send in place of it.
            wrong: what to write instead of the right thing, by field name; see ``codec.encode``.
        """
        client = await self.client()
        if stub is None:
            stub = encode(message, self.witness.syntax, byte_order=self.byte_order, wrong=wrong)
        call = client.rpc.call(message.opnum, stub, context_id=client.context_id, byte_order=self.byte_order)
        deadline = self.witness.expect.reply_deadline
        return await outcome_of(PendingCall(client, cast("Any", message), call), deadline)

    async def supports_unregister_ex(self) -> bool:
        """Whether there is an opnum 5 (from revision 14.0 on)."""
        outcome = await self.send(UnRegisterExRequest(NULL_HANDLE))
        return outcome != faults(FaultStatus.NCA_S_OP_RNG_ERROR)

    async def still_serves(self) -> Outcome:
        """How GetInterfaceList ends on the connection that was used last; ``closed`` if that is gone."""
        client = self._client
        if client is None or client.rpc.closed.is_set():
            return Outcome("closed", detail="by one of the calls before")
        return await self.send(GetInterfaceListRequest())


async def check_nothing_registered(
    spec: Spec, cluster: Controller, *ids: str, names: list[str], note: str = ""
) -> None:
    """No call made under these client names has left a registration, where the cluster can tell that."""
    if not cluster.can(Capability.LIST_REGISTRATIONS):
        return
    left = await listed(cluster, *names)
    spec(*ids).holds(not left, expected="no registration", observed=show_listed(left), note=note)


def method_name(message: AnyRequest) -> str:
    """The method that a message calls, without the prefix that all of them share."""
    return Opnum(message.opnum).method.removeprefix("Witnessr")


def check_each(spec: Spec, *ids: str, outcomes: dict[str, Outcome], allowed: Outcome, note: str = "") -> bool:
    """Each of several calls, named by their stimulus, has ended in an allowed way; one check for all."""
    wrong = [f"{what}: {outcome}" for what, outcome in outcomes.items() if not allowed.matches(outcome)]
    return spec(*ids).holds(
        not wrong,
        expected=f"{allowed}, {len(outcomes)} times",
        observed="; ".join(wrong) or f"{allowed}, {len(outcomes)} times",
        note=note,
    )


def full_request(witness: Witness, method: Method, address: str, client_computer_name: str) -> Registration:
    """A registration that is right and has every string there can be, ShareName if a share is known."""
    fields = {"ip_address": address, "client_computer_name": client_computer_name}
    shares = sorted(witness.expect.shares, key=lambda share: not share.scale_out)
    if method.version > 1 and shares:
        fields["share_name"] = shares[0].name
    return method.request(witness, **fields)


def with_string(message: Registration, name: str, value: str) -> Registration:
    """The same registration with another value for a string, given by its name in the IDL."""
    changes: dict[str, Any] = {FIELDS[name]: value}
    return dataclasses.replace(message, **changes)


def strings_of(message: AnyRequest, witness: Witness) -> dict[str, str]:
    """The strings of a registration by their names in the IDL, NULL ones left out."""
    present = field_spans(message, witness.syntax)
    return {name: getattr(message, field) for name, field in FIELDS.items() if f"{name}.max_count" in present}


async def send_cuts(sender: Sender, message: AnyRequest) -> dict[str, dict[str, Outcome]]:
    """Send a request cut in each of its fields, at several octets of it: how each ended, by field."""
    syntax = sender.witness.syntax
    stub = encode(message, syntax, byte_order=sender.byte_order)
    ended: dict[str, dict[str, Outcome]] = {}
    for field, span in field_spans(message, syntax).items():
        hosts = {span.start, span.start + 1, (span.start + span.stop) // 2, span.stop - 1} & {*span} - {0}
        ended[field] = {
            f"{place} of {len(stub)} octets": await sender.send(message, stub[:place])
            for place in sorted(hosts)
        }
    return ended


async def check_cuts(
    spec: Spec, sender: Sender, message: AnyRequest, ended: dict[str, dict[str, Outcome]]
) -> None:
    """Each cut request has ended in a fault, and the connection still serves."""
    name = method_name(message)
    for field, outcomes in ended.items():
        check_each(
            spec, "RPC-STUB-truncated", outcomes=outcomes, allowed=BAD_STUB, note=f"{name}, cut in {field}"
        )
    await check_still_serves(spec, "RPC-STUB-truncated", sender=sender)


async def check_still_serves(spec: Spec, *ids: str, sender: Sender) -> None:
    """The connection of the last call is still good for others."""
    outcome = await sender.still_serves()
    note = "GetInterfaceList on the same connection afterwards"
    spec(*ids).allows(outcome, returns(Win32.ERROR_SUCCESS), note=note)
