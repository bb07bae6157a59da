"""WitnessrRegisterEx, opnum 4: the parameters that WitnessrRegister does not have (MS-SWN 3.1.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.protocol import ProtocolVersion
from swn_torture.casekit.steps.registering import (
    OP_RNG_ERROR,
    REGISTER_EX,
    Method,
    each_method,
    record_refusal,
    registrations_of,
    succeeded,
    version_1_server,
    with_handle,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.4.5-null-sharename-ok", needs=("version-2",), syntaxes="both")
async def test_null_share(witness: Witness, spec: Spec) -> None:
    """RegisterEx with a NULL ShareName returns ERROR_SUCCESS and a non-null handle."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, share_name=None)

    spec("SWN-3.1.4.5-null-sharename-ok").holds(
        succeeded(reply),
        expected="ERROR_SUCCESS (0x0) with a handle that is not null",
        observed=with_handle(reply),
    )


@case("SWN-3.1.4.5-creates-entry", needs=("version-2", "list-registrations"))
async def test_entry_holds_the_parameters(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The server's list has one registration with the parameters of the RegisterEx that made it."""
    client, name = await witness.connect(), witness.client_name()
    sent = {
        "ip_address": await witness.address_of(0),
        "share_name": next((share.name for share in witness.expect.shares), None),
        "flags": 1,
        "keep_alive_timeout": 77,
    }

    await witness.register_ex(client, client_computer_name=name, **sent)

    views = await registrations_of(cluster, name)
    spec("SWN-3.1.4.5-creates-entry").equal(len(views), 1, show=lambda n: f"{n} registrations of the client")
    for view in views:
        listed = {
            "ip_address": view.ip_address,
            "share_name": view.share_name,
            "flags": view.flags,
            "keep_alive_timeout": view.timeout,
            "version": view.version,
        }
        expected = {**sent, "version": int(ProtocolVersion.V2)}
        for parameter, value in listed.items():
            # A cluster need not list every parameter; None stands for one that it does not list.
            if value is not None:
                spec("SWN-3.1.4.5-creates-entry").equal(value, expected[parameter], note=parameter)


@case("SWN-3.1.4.5-flags-undefined-server", "SWN-3.1.4.5-error-codes", needs=("version-2",), syntaxes="both")
@pytest.mark.parametrize("flags", [0x2, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF], ids=hex)
async def test_undefined_flags(witness: Witness, spec: Spec, flags: int) -> None:
    """RegisterEx with undefined bits in Flags; record the result. Others are still served."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, flags=flags)

    spec("SWN-3.1.4.5-flags-undefined-server").record(f"Flags 0x{flags:08X}: {reply}")
    record_refusal(spec, REGISTER_EX, reply)
    spec.choice("AMB-26", f"Flags 0x{flags:08X}: {reply}")
    await witness.check_still_serving(spec)


@case("SWN-3.1.4.5-returns-success", needs=("version-2",))
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("keep_alive_timeout", seconds) for seconds in (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
        ("flags", 1),
    ],
    ids=lambda value: value.replace("_", "-") if isinstance(value, str) else f"{value:#x}",
)
async def test_valid_timeouts_and_flags(witness: Witness, spec: Spec, field: str, value: int) -> None:
    """RegisterEx with any 32-bit KeepAliveTimeout, or with Flags 0x1, returns ERROR_SUCCESS."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, **{field: value})

    spec("SWN-3.1.4.5-returns-success").holds(
        succeeded(reply), expected="ERROR_SUCCESS (0x0) with a handle", observed=with_handle(reply)
    )


@case("SWN-B2-version-2012r2", needs=("version-2",))
async def test_version_2_is_implemented(witness: Witness, spec: Spec) -> None:
    """RegisterEx with Version 0x00020000; record the result and the Version of the interface list."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client)

    versions = {interface.version for interface in await witness.interfaces()}
    listed = ", ".join(f"0x{version:08X}" for version in sorted(versions))
    spec("SWN-B2-version-2012r2").record(f"RegisterEx: {reply}; the interface list has Version {listed}")


@case("SWN-3.1.4-registerex-v2-only", "SWN-B2-version-2012", needs=("version-1",))
async def test_version_1_has_no_register_ex(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A version 1 server rejects opnum 4 and still serves others."""
    old = await version_1_server(witness, variant)
    client = await old.connect()
    interfaces = await old.interfaces()

    reply = await outcome_of(client.start(old.registration_ex(ip_address=await old.address_of(0))))

    spec("SWN-3.1.4-registerex-v2-only").holds(
        reply.kind in {"fault", "closed"} or (reply.kind == "result" and reply.code != 0),
        expected=[str(OP_RNG_ERROR), "another fault, an error code, or connection closed"],
        observed=reply,
    )
    versions = ", ".join(sorted({f"0x{interface.version:08X}" for interface in interfaces}))
    spec("SWN-B2-version-2012").record(f"opnum 4: {reply}; Version {versions}")
    await old.check_still_serving(spec)


#: Registrations to try before the variant "full" counts as not full.
ATTEMPTS = 200


@case(
    "SWN-3.1.4.2-failure-creates-nothing",
    "SWN-3.1.4.5-failure-creates-nothing",
    "SWN-3.1.4.2-error-codes",
    "SWN-3.1.4.5-error-codes",
    needs=("variant:full", "version-2"),
)
@each_method
async def test_server_is_full(
    spec: Spec, variant: Callable[[str], Awaitable[Witness]], method: Method
) -> None:
    """A full server rejects the next registration and lists only those that succeeded."""
    small = await variant("full")
    client, name = await small.connect(), small.client_name()
    assert small.cluster is not None
    address = await small.address_of(0)

    same = {"client_computer_name": name, "ip_address": address}

    made = 0
    while succeeded(reply := await method.reply(small, client, **same)):
        made += 1
        if made >= ATTEMPTS:
            raise NotTestable(f"the variant 'full' holds {ATTEMPTS} registrations or more")

    record_refusal(spec, method, reply)
    spec.choice("AMB-35", f"no resources for another registration: {reply}")
    views = await registrations_of(small.cluster, name)
    spec(method.rule("failure-creates-nothing")).equal(
        len(views),
        made,
        show=lambda n: f"{n} registrations, as many as succeeded",
        note="after the server rejected one more",
    )
