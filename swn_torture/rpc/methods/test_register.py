"""WitnessrRegister and WitnessrRegisterEx, opnums 1 and 4: their common rules (MS-SWN 3.1.4.2, 3.1.4.5)."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import SILENCE, SUCCESS, case, outcome_of, returns
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import GetInterfaceListRequest, UnRegisterRequest, Win32
from swn_torture.casekit.shown import shown
from swn_torture.casekit.steps.registering import (
    FOREIGN_NAME,
    INVALID_PARAMETER,
    OTHER_VERSION,
    REGISTER,
    REGISTER_EX,
    Method,
    each_method,
    every_address,
    forget,
    record_refusal,
    register_many,
    registrations_of,
    show_registrations,
    succeeded,
    with_handle,
)

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness

#: The rule about the Version of each method.
RIGHT_VERSION = {REGISTER: "SWN-1.7-version-1", REGISTER_EX: "SWN-1.7-version-2"}


@case(
    "SWN-3.1.4.2-returns-success",
    "SWN-3.1.4.2-success-code",
    "SWN-3.1.4.5-returns-success",
    "SWN-3.1.4.5-success-code",
    *RIGHT_VERSION.values(),
    syntaxes="both",
)
@each_method
async def test_valid_registration(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx after GetInterfaceList on the same connection returns success and a handle."""
    client = await witness.connect()
    address = await witness.address_for(client)
    listed = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
    if listed != SUCCESS:
        raise spec.precondition_failed(
            "SWN-3.1.4.1-returns-success", expected=str(SUCCESS), observed=listed, note="GetInterfaceList"
        )

    reply = await method.reply(witness, client, ip_address=address)

    spec(method.rule("success-code"), RIGHT_VERSION[method]).allows(reply, returns(Win32.ERROR_SUCCESS))
    spec(method.rule("returns-success")).holds(
        succeeded(reply),
        expected="ERROR_SUCCESS (0x0) with a handle that is not null",
        observed=with_handle(reply),
    )


WRONG_VERSIONS = [
    *((REGISTER, version) for version in (0, 1, 0x00010000, 0x00010002, 0x00020000, 123456, 0xFFFFFFFF)),
    *((REGISTER_EX, version) for version in (0, 1, 0x00010001, 0x00020001, 123456, 0xFFFFFFFF)),
]


@case("SWN-3.1.4.2-version-mismatch", "SWN-3.1.4.5-version-mismatch", syntaxes="both")
@pytest.mark.parametrize(
    ("method", "version"),
    WRONG_VERSIONS,
    ids=[f"{method}-{version:#x}" for method, version in WRONG_VERSIONS],
)
async def test_wrong_version(witness: Witness, spec: Spec, method: Method, version: int) -> None:
    """Register or RegisterEx with a wrong Version returns ERROR_REVISION_MISMATCH."""
    client = await witness.connect()

    reply = await method.reply(witness, client, version=version)

    spec(method.rule("version-mismatch")).allows(reply, returns(Win32.ERROR_REVISION_MISMATCH))


#: The strings that must not be NULL, each with the last part of the id of its rule.
NULL_RULES = {
    "net_name": "null-netname",
    "ip_address": "null-ipaddress",
    "client_computer_name": "null-clientname",
}


@case(
    "SWN-3.1.4.2-null-netname",
    "SWN-3.1.4.2-null-ipaddress",
    "SWN-3.1.4.2-null-clientname",
    "SWN-3.1.4.5-null-netname",
    "SWN-3.1.4.5-null-ipaddress",
    "SWN-3.1.4.5-null-clientname",
    syntaxes="both",
)
@pytest.mark.parametrize("field", NULL_RULES)
@each_method
async def test_null_name(witness: Witness, spec: Spec, method: Method, field: str) -> None:
    """Register or RegisterEx with a required string NULL returns ERROR_INVALID_PARAMETER."""
    client = await witness.connect()

    reply = await method.reply(witness, client, **{"ip_address": await witness.address_of(0), field: None})

    spec(method.rule(NULL_RULES[field])).allows(reply, INVALID_PARAMETER)


@case(
    "SWN-3.1.4.2-creates-entry",
    "SWN-3.1.4.5-creates-entry",
    "SWN-3.1.4.2-v2-sharename-empty",
    needs=("list-registrations",),
)
@each_method
async def test_registration_is_listed(
    witness: Witness, spec: Spec, cluster: Controller, method: Method
) -> None:
    """A Register or RegisterEx that succeeds adds one registration, with its IpAddress, to the list."""
    client, name = await witness.connect(), witness.client_name()
    address = await witness.address_of(0)
    before = await registrations_of(cluster, name)

    await method.register(witness, client, client_computer_name=name, ip_address=address)

    after = await registrations_of(cluster, name)
    spec(method.rule("creates-entry")).holds(
        not before and len(after) == 1 and after[0].ip_address == address,
        expected=f"one registration of {name} at {address}, none before",
        observed=f"{show_registrations(after)}; before: {show_registrations(before)}",
    )
    if method is REGISTER and after:
        spec("SWN-3.1.4.2-v2-sharename-empty").holds(
            not after[0].share_name,
            expected="no ShareName in a registration made by WitnessrRegister",
            observed=shown(after[0].share_name),
        )


@case(
    "SWN-3.1.4.2-creates-entry",
    "SWN-3.1.4.2-key-in-ppcontext",
    "SWN-3.1.4.5-creates-entry",
    "SWN-3.1.4.5-key-in-ppcontext",
    syntaxes="both",
)
async def test_handle_stands_for_the_registration(witness: Witness, spec: Spec) -> None:
    """AsyncNotify with the handle of a new registration stays pending."""
    client = await witness.connect()
    methods = [m for m in (REGISTER, REGISTER_EX) if m.version <= witness.expect.version]
    handles = [await method.register(witness, client) for method in methods]

    calls = [(await witness.idle_connection(client)).async_notify(handle) for handle in handles]
    quiet = witness.expect.quiet_time
    outcomes = await asyncio.gather(*(outcome_of(call, quiet) for call in calls))

    for method, handle, outcome in zip(methods, handles, outcomes, strict=True):
        rules = spec(method.rule("creates-entry"), method.rule("key-in-ppcontext"))
        rules.allows(outcome, SILENCE, note=f"AsyncNotify with the handle {handle} of {method}")


@case(
    "SWN-3.1.4.2-duplicates-allowed",
    "SWN-3.1.4.2-entry-key-uuid",
    "SWN-3.1.4.5-entry-key-uuid",
    syntaxes="both",
)
@each_method
async def test_same_registration_twice(witness: Witness, spec: Spec, method: Method) -> None:
    """Register or RegisterEx twice with the same parameters returns two different handles."""
    client = await witness.connect()
    same = {"client_computer_name": witness.client_name(), "ip_address": await witness.address_of(0)}

    first = await method.register(witness, client, **same)
    second = await method.reply(witness, client, **same)

    if method is REGISTER:
        spec("SWN-3.1.4.2-duplicates-allowed").holds(
            succeeded(second) and second.response.context != first,
            expected="ERROR_SUCCESS (0x0) with another handle",
            observed=f"{with_handle(second)}; the first handle was {first}",
        )
    elif not succeeded(second):
        raise spec.precondition_failed(
            "SWN-3.1.4.5-returns-success",
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(second),
            note="a second registration with the same parameters",
        )
    handles = [first, second.response.context] if succeeded(second) else [first]
    keys = {handle.uuid for handle in handles}
    spec(method.rule("entry-key-uuid")).holds(
        len(keys) == 2 and not any(key.int == 0 for key in keys),
        expected="two different UUIDs, neither of them nil",
        observed=", ".join(map(str, keys)),
    )
    for number, handle in enumerate(handles if method is REGISTER else (), 1):
        outcome = await outcome_of(client.start(UnRegisterRequest(handle)))
        spec("SWN-3.1.4.2-duplicates-allowed").allows(
            outcome, returns(Win32.ERROR_SUCCESS), note=f"UnRegister of registration {number}"
        )


REGISTRATIONS = 100


@case(
    "SWN-3.1.4.2-entry-key-uuid",
    "SWN-3.1.4.2-creates-entry",
    "SWN-3.1.4.5-entry-key-uuid",
    "SWN-3.1.4.5-creates-entry",
    needs=("registrations:2",),
)
@each_method
async def test_hundred_registrations(
    witness: Witness, spec: Spec, cluster: Controller, method: Method
) -> None:
    """Send up to 100 registrations on one connection: those that succeed have different handles."""
    client, name = await witness.connect(), witness.client_name()
    request = method.request(witness, client_computer_name=name, ip_address=await witness.address_of(0))

    began = time.monotonic()
    count = min(REGISTRATIONS, witness.facts.registrations or REGISTRATIONS)
    replies = await register_many(witness, client, request, count)

    # MS-SWN requires no number of registrations, but a full server has to return a code that says so.
    made = [reply for reply in replies if succeeded(reply)]
    rejected = [reply for reply in replies if not succeeded(reply)]
    keys = {reply.response.context.uuid for reply in made}
    rule = spec(method.rule("entry-key-uuid"))
    rule.equal(len(keys), len(made), show=lambda n: f"{n} different UUIDs")
    if rejected:
        rule.record(f"{len(made)} registrations succeeded; a rejected one: {rejected[0]}")
    if cluster.can(Capability.LIST_REGISTRATIONS):
        entries = await registrations_of(cluster, name)
        # A slow server may have removed the first ones as unused.
        if time.monotonic() - began < witness.expect.unused_timeout / 2:
            spec(method.rule("creates-entry")).equal(
                len(entries), len(made), show=lambda n: f"{n} registrations listed"
            )


@case(
    "SWN-3.1.4.2-failure-creates-nothing",
    "SWN-3.1.4.5-failure-creates-nothing",
    "SWN-3.1.4.2-error-codes",
    "SWN-3.1.4.5-error-codes",
    needs=("list-registrations",),
)
@each_method
async def test_failure_creates_no_registration(
    witness: Witness, spec: Spec, cluster: Controller, method: Method
) -> None:
    """Register or RegisterEx with invalid parameters leaves no registration in the server's list."""
    client, address = await witness.connect(), await witness.address_of(0)
    stimuli: dict[str, dict[str, Any]] = {
        "wrong Version": {"version": OTHER_VERSION[method]},
        "NULL NetName": {"net_name": None},
        "NULL IpAddress": {"ip_address": None},
        "foreign NetName": {"net_name": FOREIGN_NAME},
        "foreign IpAddress": {"ip_address": "255.255.255.255"},
        "empty NetName": {"net_name": ""},
    }
    if method is REGISTER_EX:
        stimuli["foreign ShareName"] = {"share_name": "any_invalid_share_name"}

    names = {what: witness.client_name() for what in stimuli}
    replies = {
        what: await method.reply(
            witness, client, **{"ip_address": address, "client_computer_name": names[what], **fields}
        )
        for what, fields in stimuli.items()
    }

    rejected = [what for what, reply in replies.items() if not succeeded(reply)]
    for what in rejected:
        record_refusal(spec, method, replies[what])
    left = await registrations_of(cluster, *(names[what] for what in rejected))
    spec(method.rule("failure-creates-nothing")).holds(
        not left,
        expected=f"no registration after any of: {', '.join(rejected)}",
        observed=show_registrations(left),
    )


@case("SWN-3.1.1.1-global-name", "SWN-3.1.4.2-ip-of-any-node", needs=("two-nodes",))
@each_method
async def test_any_node_takes_any_address(witness: Witness, spec: Spec, method: Method) -> None:
    """Each node accepts the cluster's NetName with the IpAddress of any node."""
    for index, node in enumerate(witness.nodes):
        client = await witness.connect(index)
        for address in await every_address(witness, index):
            reply = await method.reply(witness, client, ip_address=address)

            rules = ["SWN-3.1.1.1-global-name"]
            rules += ["SWN-3.1.4.2-ip-of-any-node"] if method is REGISTER else []
            spec(*rules).allows(
                reply, returns(Win32.ERROR_SUCCESS), note=f"{address} registered at {node.name}"
            )
            await forget(witness, client, reply)
        await client.rpc.close()
