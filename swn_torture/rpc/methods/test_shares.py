"""How scale-out and other shares affect a registration (MS-SWN 3.1.4.2, 3.1.4.5).

The target's profile says which shares are scale-out (STYPE_CLUSTER_SOFS): a client cannot see it (AMB-37). A
server may treat no share as scale-out; ``casekit.steps.scale_out`` says what shows that it does treat one so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import SUCCESS, case, outcome_of
from swn_torture.casekit.cluster import Capability, ControllerError
from swn_torture.casekit.protocol import InterfaceState, describe
from swn_torture.casekit.shown import quoted
from swn_torture.casekit.steps.effects import wait_until_events_arrive
from swn_torture.casekit.steps.host_nodes import make_unavailable
from swn_torture.casekit.steps.interface_list import states_of, wait_for_interfaces
from swn_torture.casekit.steps.registering import (
    INVALID_STATE,
    REGISTER,
    REGISTER_EX,
    Method,
    each_method,
    every_address,
    forget,
    methods_of,
    plain_share,
    scale_out_share,
    share_fields,
    succeeded,
    with_handle,
)
from swn_torture.casekit.steps.scale_out import (
    NO_INTERFACE,
    UNKNOWN_SHARE,
    check_rejected,
    require_scale_out,
)
from swn_torture.casekit.steps.strings import HOSTILE, UNUSUAL, hostile_string, runtime_refusals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.witness import Witness


@case("SWN-3.1.4.2-sofs-ip-search", "SWN-3.1.4.5-sofs-ip-search", needs=("scale-out-share",))
@each_method
async def test_known_address_on_a_scale_out_share(witness: Witness, spec: Spec, method: Method) -> None:
    """On a scale-out cluster, Register or RegisterEx with each listed address returns ERROR_SUCCESS."""
    client = await witness.connect()
    replies = []
    # All at the same time: a registration for one address does not prevent one for another.
    for address in await every_address(witness):
        reply = await method.reply(witness, client, ip_address=address, **share_fields(witness, method))
        replies.append(reply)

        spec(method.rule("sofs-ip-search")).allows(reply, SUCCESS, note=f"IpAddress {address}")
    await forget(witness, client, *replies)


@case(
    "SWN-3.1.4.2-sofs-ip-search",
    "SWN-3.1.4.5-sofs-ip-search",
    needs=("scale-out-share", "two-nodes", "interface-event"),
    disturbs=True,
    lasts=15,
)
async def test_address_of_an_interface_that_is_down(
    witness: Witness, spec: Spec, cluster: Controller
) -> None:
    """On a scale-out cluster, registering the address of an unavailable interface succeeds."""
    client = await witness.connect(0)
    before = states_of(await witness.interfaces())

    await make_unavailable(cluster, witness.nodes[-1].name)
    interfaces = await wait_for_interfaces(witness, lambda current: states_of(current) != before)

    for address, state in states_of(interfaces).items():
        for method in methods_of(witness):
            reply = await method.reply(witness, client, ip_address=address, **share_fields(witness, method))
            spec(method.rule("sofs-ip-search")).allows(
                reply, SUCCESS, note=f"IpAddress {address}, listed as {describe(InterfaceState, state)}"
            )
            await forget(witness, client, reply)


@case(
    "SWN-3.1.4.2-sofs-ip-unknown", "SWN-3.1.4.5-sofs-ip-unknown", needs=("scale-out-share",), syntaxes="both"
)
@pytest.mark.parametrize("family", NO_INTERFACE)
@each_method
async def test_unknown_address_on_a_scale_out_share(
    witness: Witness, spec: Spec, method: Method, family: str
) -> None:
    """On a scale-out cluster, registering an unknown address returns ERROR_INVALID_STATE."""
    client = await witness.connect()

    reply = await method.reply(
        witness, client, ip_address=NO_INTERFACE[family], **share_fields(witness, method)
    )

    spec.choice("AMB-5", f"{method}, unknown address, scale-out share: {reply}")
    await check_rejected(witness, spec, method.rule("sofs-ip-unknown"), reply, INVALID_STATE)
    checks = "checks addresses as for" if reply == INVALID_STATE else "does not check addresses as for"
    spec.choice("AMB-37", f"{method} {checks} a scale-out share")


@case("SWN-3.1.4.5-returns-success", needs=("version-2", "any-share"))
async def test_each_share(witness: Witness, spec: Spec) -> None:
    """RegisterEx for each share of the cluster returns ERROR_SUCCESS."""
    client = await witness.connect()
    for share in witness.expect.shares:
        reply = await REGISTER_EX.reply(witness, client, share_name=share.name)

        spec("SWN-3.1.4.5-returns-success").holds(
            succeeded(reply),
            expected="ERROR_SUCCESS (0x0) with a handle",
            observed=with_handle(reply),
            note=f"ShareName {share.name}",
        )
        await forget(witness, client, reply)


@case("SWN-3.1.4.5-share-unknown", needs=("version-2", "scale-out-share"), syntaxes="both")
@pytest.mark.parametrize("kind", ["invalid", *UNUSUAL])
async def test_unknown_share(witness: Witness, spec: Spec, kind: str) -> None:
    """On a scale-out cluster, RegisterEx with an unknown ShareName returns ERROR_INVALID_STATE."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, share_name=UNUSUAL.get(kind, UNKNOWN_SHARE))

    if kind == "invalid":
        spec.choice("AMB-4", f"unknown share, with scale-out shares: {reply}")
    await check_rejected(witness, spec, "SWN-3.1.4.5-share-unknown", reply, INVALID_STATE)


@case("SWN-3.1.4.5-share-unknown", needs=("version-2", "scale-out-share"))
@pytest.mark.parametrize("kind", HOSTILE)
async def test_hostile_share(witness: Witness, spec: Spec, kind: str) -> None:
    """RegisterEx with a huge or malformed ShareName is rejected; others are still served."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(
        witness, client, share_name=hostile_string(kind, scale_out_share(witness))
    )

    # A server may end the string at its first NUL. Then "nul-first" is an empty name (AMB-29), and
    # "nul-inside" is the name of a share.
    shortened = [SUCCESS] if kind.startswith("nul-") else []
    allowed = [INVALID_STATE, *runtime_refusals(kind), *shortened]
    try:
        await check_rejected(witness, spec, "SWN-3.1.4.5-share-unknown", reply, *allowed)
    finally:
        await witness.check_still_serving(spec)


@case("SWN-3.1.4.5-share-unknown", needs=("version-2", "scale-out-share"))
async def test_other_spellings_of_share_name(witness: Witness, spec: Spec) -> None:
    """RegisterEx with an empty ShareName or other spellings of a share's name; record the results."""
    client, name = await witness.connect(), scale_out_share(witness)
    replies = {}
    for text in ("", name.lower(), name.upper(), f"{name} ", rf"\{name}", rf"\\{witness.net_name}\{name}"):
        replies[text] = await REGISTER_EX.reply(witness, client, share_name=text)
        await forget(witness, client, replies[text])

    spec.choice("AMB-29", f"empty ShareName: {replies['']}")
    await require_scale_out(witness, spec)
    for text, reply in replies.items():
        spec("SWN-3.1.4.5-share-unknown").record(f"ShareName {quoted(text)}: {reply}")


async def without_scale_out(witness: Witness, variant: Callable[[str], Awaitable[Witness]]) -> Witness:
    """A cluster without scale-out shares: the target, or its variant ``no-sofs`` if the target has some."""
    if not any(share.scale_out for share in witness.expect.shares):
        return witness
    plain = await variant("no-sofs")
    await plain.interfaces()  # that it serves calls is known before the case sends anything unusual
    return plain


@case("SWN-3.1.4.5-no-sofs-ignore-share", needs=("version-2", "no-scale-out-share"))
async def test_share_is_ignored_without_scale_out(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """On a cluster without scale-out shares, RegisterEx with an unknown ShareName succeeds."""
    plain = await without_scale_out(witness, variant)
    client, name, share = await plain.connect(), plain.client_name(), "XXXXInvalidShareNameXXXX"

    reply = await REGISTER_EX.reply(plain, client, client_computer_name=name, share_name=share)

    spec("SWN-3.1.4.5-no-sofs-ignore-share").allows(reply, SUCCESS)
    spec.choice("AMB-4", f"unknown share, no scale-out share: {reply}")
    if succeeded(reply) and plain.cluster is not None and plain.cluster.can(Capability.MOVE_SHARE):
        call = client.async_notify(reply.response.context)
        how = ""
        try:
            sent = await plain.cluster.move_share(share, plain.nodes[-1].name, client=name)
            how = f"sent {sent.how}"
            await wait_until_events_arrive(plain, plain.cluster)
            outcome = str(await outcome_of(call, plain.profile.expect.quiet_time))
        except ControllerError as problem:
            outcome = f"the cluster finds no client to notify ({problem})"
        spec("SWN-3.1.4.5-no-sofs-ignore-share").record(f"move of the ignored share: {outcome}", how)
        spec.choice("AMB-4", f"a move of the ignored share: {outcome}")


@case("SWN-3.1.4.2-non-sofs-ip-unchecked", needs=("no-scale-out-share",))
async def test_unknown_address_without_scale_out(
    witness: Witness, spec: Spec, variant: Callable[[str], Awaitable[Witness]]
) -> None:
    """On a cluster without scale-out shares, Register with an unknown address; record the result."""
    plain = await without_scale_out(witness, variant)
    client = await plain.connect()

    reply = await REGISTER.reply(plain, client, ip_address=NO_INTERFACE["ipv4"])

    spec("SWN-3.1.4.2-non-sofs-ip-unchecked").record(reply)
    spec.choice("AMB-5", f"Register, unknown address, no scale-out share: {reply}")
    await plain.check_still_serving(spec)


@case("SWN-3.1.4.5-non-sofs-share-ip-unchecked", needs=("version-2", "plain-share"))
async def test_unknown_address_on_a_plain_share(witness: Witness, spec: Spec) -> None:
    """RegisterEx for a share that is not scale-out with an unknown address; record the result."""
    plain = plain_share(witness)
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, share_name=plain, ip_address=NO_INTERFACE["ipv4"])

    spec("SWN-3.1.4.5-non-sofs-share-ip-unchecked").record(reply)
    spec.choice("AMB-5", f"RegisterEx, unknown address, share that is not scale-out: {reply}")
    await witness.check_still_serving(spec)


@case("SWN-3.1.4.5-null-share-ip-check", needs=("version-2",))
async def test_unknown_address_without_a_share(witness: Witness, spec: Spec) -> None:
    """RegisterEx with a NULL ShareName and an unknown address; record the result."""
    client = await witness.connect()

    reply = await REGISTER_EX.reply(witness, client, share_name=None, ip_address=NO_INTERFACE["ipv4"])

    spec("SWN-3.1.4.5-null-share-ip-check").record(reply)
    spec.choice("AMB-5", f"RegisterEx, unknown address, NULL ShareName: {reply}")
    await witness.check_still_serving(spec)
