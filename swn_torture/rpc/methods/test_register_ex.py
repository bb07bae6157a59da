"""WitnessrRegisterEx, opnum 4: what WitnessrRegister lacks (MS-SWN 3.1.4.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case, outcome_of
from swn_torture.casekit.protocol import ProtocolVersion
from swn_torture.casekit.steps.registering import (
    NO_SUCH_METHOD,
    REGISTER_EX,
    Method,
    each_method,
    listed,
    record_refusal,
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
    """RegisterEx without a ShareName returns success and a handle."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, share_name=None)

    spec("SWN-3.1.4.5-null-sharename-ok").holds(
        succeeded(reply),
        expected="ERROR_SUCCESS (0x0) with a handle that is not null",
        observed=with_handle(reply),
    )


@case("SWN-3.1.4.5-creates-entry", needs=("version-2", "list-registrations"))
async def test_entry_holds_the_parameters(witness: Witness, spec: Spec, cluster: Controller) -> None:
    """The registration that RegisterEx makes is on the server's list with the parameters it was given."""
    client, name = await witness.connect(), witness.client_name()
    given = {
        "ip_address": await witness.address_of(0),
        "share_name": next((share.name for share in witness.expect.shares), None),
        "flags": 1,
        "keep_alive_timeout": 77,
    }

    await witness.register_ex(client, client_computer_name=name, **given)

    views = await listed(cluster, name)
    spec("SWN-3.1.4.5-creates-entry").equal(len(views), 1, show=lambda n: f"{n} registrations of the client")
    for view in views:
        notified = {
            "ip_address": view.ip_address,
            "share_name": view.share_name,
            "flags": view.flags,
            "keep_alive_timeout": view.timeout,
            "version": view.version,
        }
        wanted = {**given, "version": int(ProtocolVersion.V2)}
        for parameter, value in notified.items():
            # A cluster may keep to itself what it does not need for its own ends.
            if value is not None:
                spec("SWN-3.1.4.5-creates-entry").equal(value, wanted[parameter], note=parameter)


@case("SWN-3.1.4.5-flags-undefined-server", "SWN-3.1.4.5-error-codes", needs=("version-2",), syntaxes="both")
@pytest.mark.parametrize("flags", [0x2, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF], ids=hex)
async def test_undefined_flags(witness: Witness, spec: Spec, flags: int) -> None:
    """RegisterEx with Flags that have no meaning comes to a clean end."""
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
async def test_any_legal_number_is_taken(witness: Witness, spec: Spec, field: str, value: int) -> None:
    """RegisterEx takes every KeepAliveTimeout of 32 bits, and either value of Flags that has a meaning."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, **{field: value})

    spec("SWN-3.1.4.5-returns-success").holds(
        succeeded(reply), expected="ERROR_SUCCESS (0x0) with a handle", observed=with_handle(reply)
    )


@case("SWN-B2-version-2012r2", needs=("version-2",))
async def test_version_2_is_implemented(witness: Witness, spec: Spec) -> None:
    """RegisterEx with Version 0x00020000 tells that the server implements version 2."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client)

    versions = {interface.version for interface in await witness.interfaces()}
    notified = ", ".join(f"0x{version:08X}" for version in sorted(versions))
    spec("SWN-B2-version-2012r2").record(f"RegisterEx: {reply}; the interface list says {notified}")


@case("SWN-3.1.4-registerex-v2-only", "SWN-B2-version-2012", needs=("version-1",))
async def test_version_1_has_no_register_ex(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """A server of version 1 has no opnum 4, and goes on after having said so."""
    old = await version_1_server(witness, variant)
    client = await old.connect()
    interfaces = await old.interfaces()

    reply = await outcome_of(client.start(old.registration_ex(ip_address=await old.address_of(0))))

    spec("SWN-3.1.4-registerex-v2-only").holds(
        reply.kind in {"fault", "closed"} or (reply.kind == "result" and reply.code != 0),
        expected=[str(NO_SUCH_METHOD), "another refusal"],
        observed=reply,
    )
    versions = ", ".join(sorted({f"0x{interface.version:08X}" for interface in interfaces}))
    spec("SWN-B2-version-2012").record(f"opnum 4: {reply}; Version {versions}")
    await old.check_still_serving(spec)


#: More registrations than a server has room for that was set up to be full soon.
PLENTY = 200


@case(
    "SWN-3.1.4.2-failure-creates-nothing",
    "SWN-3.1.4.5-failure-creates-nothing",
    "SWN-3.1.4.2-error-codes",
    "SWN-3.1.4.5-error-codes",
    needs=("variant:full", "version-2"),
)
@each_method
async def test_no_room(spec: Spec, variant: Callable[[str], Awaitable[Witness]], method: Method) -> None:
    """A server that can hold no more registrations says so, and holds none that it refused."""
    small = await variant("full")
    client, name = await small.connect(), small.client_name()
    assert small.cluster is not None
    address = await small.address_of(0)

    same = {"client_computer_name": name, "ip_address": address}

    taken = 0
    while succeeded(reply := await method.reply(small, client, **same)):
        taken += 1
        if taken >= PLENTY:
            raise NotTestable(f"the variant 'full' holds {PLENTY} registrations and more")

    record_refusal(spec, method, reply)
    spec.choice("AMB-35", f"no room for another registration: {reply}")
    views = await listed(small.cluster, name)
    spec(method.rule("failure-creates-nothing")).equal(
        len(views), taken, show=lambda n: f"{n} registrations, as many as succeeded", note="no room for more"
    )
