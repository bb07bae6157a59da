"""Context handles: what they look like, and that they serve where the IDL has them (MS-SWN 2.2.1, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, case, outcome_of, returns
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    UnRegisterRequest,
    Win32,
)
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.steps.octets import ending
from swn_torture.casekit.steps.registering import Method, each_method
from swn_torture.casekit.steps.stubs import BAD_STUB, Sender
from swn_torture.casekit.steps.timing import latest
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import AnyRequest
    from swn_torture.casekit.witness import Witness

HANDLE_SIZE = 20
RESPONSE_SIZE = HANDLE_SIZE + 4


@case("SWN-2.2.1-handle-20-bytes", "SWN-2.2.1.2-ref-pointer", syntaxes="both")
@each_method
async def test_handle_in_a_reply(witness: Witness, spec: Spec, method: Method) -> None:
    """The reply to a registration is 20 octets that serve as handle as they are, and the return value."""
    client = await witness.connect()
    request = method.request(witness, ip_address=await witness.address_of(0))
    call = client.start(request)
    reply = await outcome_of(call, witness.expect.reply_deadline)
    answer = call.call.response_meta

    rule = spec("SWN-2.2.1-handle-20-bytes")
    if answer is None:
        rule.allows(reply, SUCCESS)
        raise spec.stop()
    rule.holds(
        reply == SUCCESS and len(answer.stub) == RESPONSE_SIZE and not any(answer.stub[HANDLE_SIZE:]),
        expected="24 octets: a handle of 20, then ERROR_SUCCESS",
        observed=f"{len(answer.stub)} octets: {answer.stub.hex(' ')}; {reply}",
    )
    # Only octets that begin with the handle, and with no referent in front, are known to the server again.
    octets = answer.stub[:HANDLE_SIZE]
    back = client.rpc.call(Opnum.UNREGISTER, octets, byte_order=answer.byte_order)
    outcome = await ending(back, witness.expect.reply_deadline)
    result = back.response_meta.stub if back.response_meta else b""
    spec("SWN-2.2.1.2-ref-pointer").holds(
        result == bytes(4),
        expected="UnRegister with the first 20 octets of the reply returns 00 00 00 00",
        observed=result.hex(" ") or outcome,
        note=f"reply {answer.stub.hex(' ')}",
    )


@case("SWN-2.2.1-handle-20-bytes", syntaxes="both")
@each_method
async def test_handle_in_a_refusal(witness: Witness, spec: Spec, method: Method) -> None:
    """The reply to a registration that is refused has room for a handle all the same."""
    client = await witness.connect()
    call = client.start(method.request(witness, ip_address=await witness.address_of(0), net_name=None))
    reply = await outcome_of(call, witness.expect.reply_deadline)
    answer = call.call.response_meta

    size = len(answer.stub) if answer else 0
    spec("SWN-2.2.1-handle-20-bytes").holds(
        size == RESPONSE_SIZE and reply.kind == "result",
        expected="24 octets: a handle of 20, then the code",
        observed=f"{size} octets, {reply}",
    )


@case(
    "SWN-2.2.1.1-for-unregister",
    "SWN-2.2.1.1-registerex-handle",
    "SWN-2.2.1.3-for-asyncnotify",
    syntaxes="both",
)
@each_method
async def test_one_handle_for_all_methods(witness: Witness, spec: Spec, method: Method) -> None:
    """The handle of a registration is taken by AsyncNotify and, after that, by UnRegister."""
    expect = witness.expect
    client = await witness.connect()
    fields = {"keep_alive_timeout": 1} if method.version > 1 else {}
    handle = await method.register(witness, client, **fields)
    unused = await method.register(witness, client)

    # A registration of version 1 has no time-out: its call is only seen to wait.
    wait = latest(expect, 1) if method.version > 1 else expect.quiet_time
    asked = await outcome_of(client.async_notify(handle), wait)
    left = await outcome_of(client.start(UnRegisterRequest(handle)), expect.reply_deadline)
    unused_left = await outcome_of(client.start(UnRegisterRequest(unused)), expect.reply_deadline)

    if method.version > 1:
        rule = spec("SWN-2.2.1.1-registerex-handle")
        rule.allows(asked, returns(Win32.ERROR_TIMEOUT), SUCCESS, SILENCE, note="AsyncNotify")
        rule.allows(left, SUCCESS, note="UnRegister of the same handle")
    else:
        spec("SWN-2.2.1.3-for-asyncnotify").allows(asked, SILENCE, note="AsyncNotify")
        spec("SWN-2.2.1.1-for-unregister").allows(unused_left, SUCCESS, note="UnRegister")


@case("SWN-2.2.1.3-shared-not-serialised", syntaxes="both")
@each_method
async def test_calls_beside_a_pending_one(witness: Witness, spec: Spec, method: Method) -> None:
    """Calls made while AsyncNotify has the handle: which are answered at once."""
    expect = witness.expect
    client = await witness.connect()
    if not client.rpc.core.multiplexed:
        raise NotTestable("the server does not confirm PFC_CONC_MPX: one call at a time on a connection")
    address = await witness.address_of(0)
    handle = await method.register(witness, client, ip_address=address)
    pending = client.async_notify(handle)

    listed = await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)
    again = await outcome_of(client.start(method.request(witness, ip_address=address)), expect.reply_deadline)
    state = "outstanding" if not pending.done() else "over"
    left = await outcome_of(client.start(UnRegisterRequest(handle)), expect.quiet_time)
    asked = await outcome_of(pending, expect.quiet_time)

    rule = spec("SWN-2.2.1.3-shared-not-serialised")
    rule.record(f"GetInterfaceList: {listed}; another registration: {again}; AsyncNotify then {state}")
    rule.record(f"UnRegister of the same handle: {left}; AsyncNotify after that: {asked}")
    spec.choice("AMB-20", f"UnRegister while AsyncNotify is outstanding: {left}; AsyncNotify: {asked}")


@case("SWN-6-idl-no-handle-on-wire", syntaxes="both")
async def test_binding_handles_do_not_travel(witness: Witness, spec: Spec) -> None:
    """GetInterfaceList is called without any octet, UnRegister and AsyncNotify with 20 and no less."""
    sender = Sender(witness)
    client = await sender.client()
    address = await witness.address_of(0)
    handle, waiting = [await witness.register(client, ip_address=address) for _ in range(2)]
    rule = spec("SWN-6-idl-no-handle-on-wire")

    rule.allows(await sender.send(GetInterfaceListRequest(), b""), SUCCESS, note="opnum 0, 0 octets")
    messages: list[AnyRequest] = [UnRegisterRequest(handle), AsyncNotifyRequest(handle)]
    for message in messages:
        short = await sender.send(message, handle.pack()[:-1])
        rule.allows(short, BAD_STUB, note=f"opnum {message.opnum}, 19 octets")
    left = await sender.send(UnRegisterRequest(handle), handle.pack())
    rule.allows(left, SUCCESS, note="opnum 2, 20 octets")
    call = client.rpc.call(Opnum.ASYNC_NOTIFY, waiting.pack())
    asked = await ending(call, witness.expect.quiet_time)
    rule.allows(asked, SILENCE, note="opnum 3, 20 octets")
