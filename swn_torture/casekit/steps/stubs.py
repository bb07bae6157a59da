"""Send any octets as stub data of a call, and check how each call ends.

Many calls are made one after the other on the same connection, so that each outcome belongs to one call. A
server may close the connection because of a call; the next call then opens a new one.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from swn_torture.casekit.outcome import Outcome, faults, outcome_of, returns
from swn_torture.casekit.steps.registering import forget, registrations_of, show_registrations
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

#: The string parameters of registrations: name in the IDL, and field of the request.
FIELDS = {
    "NetName": "net_name",
    "ShareName": "share_name",
    "IpAddress": "ip_address",
    "ClientComputerName": "client_computer_name",
}

#: The fault for stub data that cannot be decoded (MS-RPCE 3.1.3.5.2).
BAD_STUB = faults(FaultStatus.RPC_X_BAD_STUB_DATA)
#: The fault for counts that contradict each other (C706).
INVALID_BOUND = faults(FaultStatus.NCA_S_FAULT_INVALID_BOUND)


class StubSender:
    """Makes calls with any stub data, one after the other.

    Attributes:
        witness: the target.
        byte_order: integer representation of the PDUs and of the stub data that is encoded here.
        connections: how many connections it has opened.
    """

    def __init__(self, witness: Witness, *, byte_order: ByteOrder = "little") -> None:
        self.witness = witness
        self.byte_order = byte_order
        self.connections = 0
        self._client: WitnessClient | None = None

    async def client(self) -> WitnessClient:
        """The connection of the last call, or a new one if the server has closed it."""
        if self._client is None or self._client.rpc.closed.is_set():
            self._client = await self.witness.connect()
            self.connections += 1
        return await self.witness.idle_connection(self._client)

    async def send(
        self, message: AnyRequest, stub: bytes | None = None, *, wrong: Wrong | None = None
    ) -> Outcome:
        """Call the method of a request, and return the outcome.

        Args:
            message: the request.
            stub: the octets to send instead of the encoded request.
            wrong: values to encode instead of the right ones, by field name; see ``codec.encode``.
        """
        client = await self.client()
        if stub is None:
            stub = encode(message, self.witness.syntax, byte_order=self.byte_order, wrong=wrong)
        call = client.rpc.call(message.opnum, stub, context_id=client.context_id, byte_order=self.byte_order)
        deadline = self.witness.expect.reply_deadline
        return await outcome_of(PendingCall(client, cast("Any", message), call), deadline)

    async def send_and_forget(
        self, message: Registration, stub: bytes | None = None, *, wrong: Wrong | None = None
    ) -> Outcome:
        """Like ``send``; a registration that succeeds is removed at once."""
        outcome = await self.send(message, stub, wrong=wrong)
        await forget(self.witness, await self.client(), outcome)
        return outcome

    async def supports_unregister_ex(self) -> bool:
        """Whether the server has opnum 5, UnRegisterEx (MS-SWN from revision 14.0 on)."""
        outcome = await self.send(UnRegisterExRequest(NULL_HANDLE))
        return outcome != faults(FaultStatus.NCA_S_OP_RNG_ERROR)

    async def still_serves(self) -> Outcome:
        """The outcome of GetInterfaceList on the connection of the last call, or ``closed``."""
        client = self._client
        if client is None or client.rpc.closed.is_set():
            return Outcome("closed", detail="after an earlier call")
        return await self.send(GetInterfaceListRequest())


async def check_nothing_registered(
    spec: Spec, cluster: Controller, *ids: str, names: list[str], note: str = ""
) -> None:
    """Check that the cluster lists no registration of these clients, if its controller can list them.

    Args:
        spec: the checks of the case.
        cluster: the controller.
        ids: the requirements to check.
        names: the ClientComputerNames.
        note: where in the case this was.
    """
    if not cluster.can(Capability.LIST_REGISTRATIONS):
        return
    left = await registrations_of(cluster, *names)
    spec(*ids).holds(not left, expected="no registration", observed=show_registrations(left), note=note)


def method_name(message: AnyRequest) -> str:
    """The name of the method that a request calls, without the prefix ``Witnessr``."""
    return Opnum(message.opnum).method.removeprefix("Witnessr")


def check_each(spec: Spec, *ids: str, outcomes: dict[str, Outcome], allowed: Outcome, note: str = "") -> bool:
    """Check that each of several calls ended as allowed; one check for all of them.

    Args:
        spec: the checks of the case.
        ids: the requirements to check.
        outcomes: the outcome of each call, by a description of what it sent.
        allowed: the allowed outcome.
        note: where in the case this was.
    """
    wrong = [f"{what}: {outcome}" for what, outcome in outcomes.items() if not allowed.matches(outcome)]
    return spec(*ids).holds(
        not wrong,
        expected=f"{allowed}, {len(outcomes)} times",
        observed="; ".join(wrong) or f"{allowed}, {len(outcomes)} times",
        note=note,
    )


def full_request(witness: Witness, method: Method, address: str, client_computer_name: str) -> Registration:
    """A valid registration with every string parameter; with ShareName if the profile lists a share."""
    fields = {"ip_address": address, "client_computer_name": client_computer_name}
    shares = sorted(witness.expect.shares, key=lambda share: not share.scale_out)
    if method.version > 1 and shares:
        fields["share_name"] = shares[0].name
    return method.request(witness, **fields)


def with_string(message: Registration, name: str, value: str) -> Registration:
    """The same registration with another value of one string, which is given by its name in the IDL."""
    changes: dict[str, Any] = {FIELDS[name]: value}
    return dataclasses.replace(message, **changes)


def strings_of(message: AnyRequest, witness: Witness) -> dict[str, str]:
    """The strings of a registration by their names in the IDL, without those that are NULL."""
    present = field_spans(message, witness.syntax)
    return {name: getattr(message, field) for name, field in FIELDS.items() if f"{name}.max_count" in present}


async def send_truncated(sender: StubSender, message: AnyRequest) -> dict[str, dict[str, Outcome]]:
    """Send a request truncated in each of its fields, at up to four octets of the field.

    Returns:
        The outcomes by field, and for each field by the number of octets sent.
    """
    syntax = sender.witness.syntax
    stub = encode(message, syntax, byte_order=sender.byte_order)
    ended: dict[str, dict[str, Outcome]] = {}
    for field, span in field_spans(message, syntax).items():
        sizes = {span.start, span.start + 1, (span.start + span.stop) // 2, span.stop - 1} & {*span} - {0}
        ended[field] = {
            f"{size} of {len(stub)} octets": await sender.send(message, stub[:size]) for size in sorted(sizes)
        }
    return ended


async def check_truncated(
    spec: Spec, sender: StubSender, message: AnyRequest, ended: dict[str, dict[str, Outcome]]
) -> None:
    """Check that each truncated request ended in a fault, and that the connection still works."""
    name = method_name(message)
    for field, outcomes in ended.items():
        check_each(
            spec,
            "RPC-STUB-truncated",
            outcomes=outcomes,
            allowed=BAD_STUB,
            note=f"{name}, truncated in {field}",
        )
    await check_still_serves(spec, "RPC-STUB-truncated", sender=sender)


async def check_still_serves(spec: Spec, *ids: str, sender: StubSender) -> None:
    """Check that GetInterfaceList succeeds on the connection of the last call."""
    outcome = await sender.still_serves()
    note = "GetInterfaceList on the same connection afterwards"
    spec(*ids).allows(outcome, returns(Win32.ERROR_SUCCESS), note=note)
