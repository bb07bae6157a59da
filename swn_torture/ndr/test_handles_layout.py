"""Context handles: their layout, and which methods of the IDL carry them (MS-SWN 2.2.1, 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.casekit import SILENCE, SUCCESS, Outcome, case, outcome_of, returns
from swn_torture.casekit.protocol import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    UnRegisterRequest,
    Win32,
)
from swn_torture.casekit.steps.octets import outcome_of_raw_call
from swn_torture.casekit.steps.registering import Method, each_method
from swn_torture.casekit.steps.stubs import BAD_STUB, StubSender
from swn_torture.casekit.steps.timing import timer_deadline
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.protocol import AnyRequest
    from swn_torture.casekit.witness import Witness

HANDLE_SIZE = 20
RESULT_SIZE = 4
RESPONSE_SIZE = HANDLE_SIZE + RESULT_SIZE


@case("SWN-2.2.1-handle-20-bytes", "SWN-2.2.1.2-ref-pointer", syntaxes="both")
@each_method
async def test_handle_in_a_reply(witness: Witness, spec: Spec, method: Method) -> None:
    """A registration returns a handle of 20 octets, which UnRegister accepts, and a return value."""
    client = await witness.connect()
    request = method.request(witness, ip_address=await witness.address_of(0))
    call = client.start(request)
    reply = await outcome_of(call, witness.expect.reply_deadline)
    response = call.call.response_meta

    rule = spec("SWN-2.2.1-handle-20-bytes")
    if response is None or (reply.kind == "result" and reply != SUCCESS):
        raise spec.precondition_failed(
            method.rule("returns-success"), expected=str(SUCCESS), observed=reply, note=f"{method}, as usual"
        )
    rule.holds(
        reply == SUCCESS and len(response.stub) == RESPONSE_SIZE,
        expected="24 octets: a handle of 20, then ERROR_SUCCESS",
        observed=f"{len(response.stub)} octets: {response.stub.hex(' ')}; {reply}",
    )
    if len(response.stub) < RESPONSE_SIZE:
        return  # these octets are no whole handle: nothing follows from what UnRegister says about them
    # The server accepts these octets only if they are the handle, with no referent before it.
    octets = response.stub[:HANDLE_SIZE]
    unregister = client.rpc.call(Opnum.UNREGISTER, octets, byte_order=response.byte_order)
    outcome = await outcome_of_raw_call(unregister, witness.expect.reply_deadline)
    result = unregister.response_meta.stub if unregister.response_meta else b""
    if len(result) == RESULT_SIZE:
        code = int.from_bytes(result, response.byte_order)
        outcome = Outcome("result", code, opnum=Opnum.UNREGISTER)
    spec("SWN-2.2.1.2-ref-pointer").allows(
        outcome, SUCCESS, note=f"UnRegister with the first 20 octets of {response.stub.hex(' ')}"
    )


@case("SWN-2.2.1-handle-20-bytes", syntaxes="both")
@each_method
async def test_handle_in_a_refusal(witness: Witness, spec: Spec, method: Method) -> None:
    """The response to a rejected registration also has 20 octets of handle before the code."""
    client = await witness.connect()
    call = client.start(method.request(witness, ip_address=await witness.address_of(0), net_name=None))
    reply = await outcome_of(call, witness.expect.reply_deadline)
    response = call.call.response_meta

    size = len(response.stub) if response else 0
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
    """AsyncNotify and then UnRegister accept the handle that Register or RegisterEx returned."""
    expect = witness.expect
    client = await witness.connect()
    fields = {"keep_alive_timeout": 1} if method.version > 1 else {}
    handle = await method.register(witness, client, **fields)
    unused = await method.register(witness, client)

    # A registration of version 1 has no timeout: its call can only be seen to stay pending.
    wait = timer_deadline(expect, 1) if method.version > 1 else expect.quiet_time
    notify = await outcome_of(client.async_notify(handle), wait)
    free = await witness.idle_connection(client)
    unregister = await outcome_of(free.start(UnRegisterRequest(handle)), expect.reply_deadline)
    unregister_unused = await outcome_of(free.start(UnRegisterRequest(unused)), expect.reply_deadline)

    if method.version > 1:
        rule = spec("SWN-2.2.1.1-registerex-handle")
        rule.allows(notify, returns(Win32.ERROR_TIMEOUT), SUCCESS, SILENCE, note="AsyncNotify")
        rule.allows(unregister, SUCCESS, note="UnRegister of the same handle")
    else:
        spec("SWN-2.2.1.3-for-asyncnotify").allows(notify, SILENCE, note="AsyncNotify")
        spec("SWN-2.2.1.1-for-unregister").allows(unregister_unused, SUCCESS, note="UnRegister")


@case("SWN-2.2.1.3-shared-not-serialised", needs=("multiplexing",), syntaxes="both")
@each_method
async def test_calls_during_a_pending_async_notify(witness: Witness, spec: Spec, method: Method) -> None:
    """Call other methods while AsyncNotify is pending; record which calls complete at once."""
    expect = witness.expect
    client = await witness.connect()
    if not client.rpc.core.multiplexed:
        raise NotTestable("the server does not confirm PFC_CONC_MPX: one call at a time on a connection")
    address = await witness.address_of(0)
    handle = await method.register(witness, client, ip_address=address)
    pending = client.async_notify(handle)

    get_list = await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)
    register = client.start(method.request(witness, ip_address=address))
    register_again = await outcome_of(register, expect.reply_deadline)
    state = "pending" if not pending.done() else "completed"
    unregister = await outcome_of(client.start(UnRegisterRequest(handle)), expect.quiet_time)
    notify = await outcome_of(pending, expect.quiet_time)

    rule = spec("SWN-2.2.1.3-shared-not-serialised")
    rule.record(
        f"GetInterfaceList: {get_list}; another registration: {register_again}; AsyncNotify then {state}"
    )
    rule.record(f"UnRegister of the same handle: {unregister}; AsyncNotify after that: {notify}")
    spec.choice("AMB-20", f"UnRegister while AsyncNotify is pending: {unregister}; AsyncNotify: {notify}")


@case("SWN-6-idl-no-handle-on-wire", syntaxes="both")
async def test_binding_handle_is_not_on_the_wire(witness: Witness, spec: Spec) -> None:
    """GetInterfaceList has no stub data; UnRegister and AsyncNotify need the handle's 20 octets."""
    sender = StubSender(witness)
    client = await sender.client()
    address = await witness.address_of(0)
    removed, kept = [await witness.register(client, ip_address=address) for _ in range(2)]
    rule = spec("SWN-6-idl-no-handle-on-wire")

    rule.allows(await sender.send(GetInterfaceListRequest(), b""), SUCCESS, note="opnum 0, 0 octets")
    messages: list[AnyRequest] = [UnRegisterRequest(removed), AsyncNotifyRequest(removed)]
    for message in messages:
        short = await sender.send(message, removed.pack()[:-1])
        rule.allows(short, BAD_STUB, note=f"opnum {message.opnum}, 19 octets")
    unregister = await sender.send(UnRegisterRequest(removed), removed.pack())
    rule.allows(unregister, SUCCESS, note="opnum 2, 20 octets")
    call = client.rpc.call(Opnum.ASYNC_NOTIFY, kept.pack())
    notify = await outcome_of_raw_call(call, witness.expect.quiet_time)
    rule.allows(notify, SILENCE, note="opnum 3, 20 octets")
