"""Security contexts: how they are established, and calls without one (MS-RPCE 3.3.1.5.2)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, SUCCESS, also_needs, case, faults, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import outcome_of_error, refuses_bind
from swn_torture.casekit.protocol import (
    NDR32,
    SECURITY_CONTEXT_MULTIPLEXING,
    WITNESS,
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    Opnum,
    WitnessClient,
)
from swn_torture.casekit.steps.callers import NOT_SERVED, EveryMethod, served
from swn_torture.casekit.steps.octets import contexts, outcome_of_pdu, send_octets
from swn_torture.casekit.steps.registering import registrations_of, show_registrations
from swn_torture.casekit.transport import (
    AuthenticationError,
    AuthLevel,
    AuthType,
    BindNakReason,
    BindRefused,
    Request,
    RpcError,
    SecTrailer,
    initiator,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Outcome, Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.transport import Credentials, RpcClient
    from swn_torture.casekit.witness import Witness

each_service = pytest.mark.parametrize(
    "service",
    [AuthType.NTLM, AuthType.SPNEGO, pytest.param(AuthType.KERBEROS, marks=also_needs("kerberos"))],
    ids=lambda value: value.name.lower(),
)
#: With Kerberos, the KDC rejects a wrong password, and not the server.
each_service_with_password = pytest.mark.parametrize(
    "service", [AuthType.NTLM, AuthType.SPNEGO], ids=lambda value: value.name.lower()
)
each_level = pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)


# Accepted authentication
# ----------------------------------------------------------------------------------------------------------


@case("RPC-AUTH-bind-levels", syntaxes="both")
@each_service
@each_level
async def test_levels(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """At PKT_INTEGRITY and PKT_PRIVACY a call succeeds; its response is protected at the same level."""
    rule = spec("RPC-AUTH-bind-levels")
    try:
        client = await witness.connect(level=level, auth_type=service)
    except BindRefused as refused:
        rule.holds(condition=False, expected="bind_ack", observed=outcome_of_error(refused))
        raise spec.stop() from refused
    call = client.start(GetInterfaceListRequest())

    outcome = await outcome_of(call, witness.expect.reply_deadline)

    # The client accepts only a response with a matching verifier: success includes that.
    if not rule.allows(outcome, SUCCESS, note="with a verifier that matches"):
        raise spec.stop()
    meta = call.call.response_meta
    assert meta is not None
    for pdu in meta.pdus:
        found = None if pdu.trailer is None else pdu.trailer.auth_level
        rule.equal(found, int(level), note="auth_level of the response")
    if level == AuthLevel.PRIVACY:
        octets = witness.transcript.stream(client.rpc.number, "received")
        readable = any(pdu.stub in octets for pdu in meta.pdus)
        rule.holds(
            not readable,
            expected="encrypted stub data in the response",
            observed="plain stub data" if readable else "encrypted stub data",
        )


@case("RPC-AUTH-three-leg")
@pytest.mark.parametrize(
    ("service", "last"),
    [
        (AuthType.NTLM, "auth3"),
        (AuthType.SPNEGO, "alter_context"),
        pytest.param(AuthType.KERBEROS, "alter_context", marks=also_needs("kerberos")),
    ],
    ids=["ntlm", "spnego", "kerberos"],
)
async def test_last_leg(witness: Witness, spec: Spec, service: AuthType, last: str) -> None:
    """NTLM is completed by auth3, SPNEGO and Kerberos by alter_context: the first request succeeds."""
    client = await witness.connect(auth_type=service)

    outcome = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    spec("RPC-AUTH-three-leg").allows(outcome, SUCCESS, note=f"{service.name}, completed by {last}")


@case("RPC-AUTH-three-leg", needs=("ntlm",))
async def test_other_last_leg(witness: Witness, spec: Spec) -> None:
    """Complete NTLM by alter_context instead of auth3; record the result of the first request."""
    rpc = await witness.rpc()
    context = initiator(AuthType.NTLM, witness.credentials, host=witness.net_name, level=witness.level)
    entry = rpc.core.add_security(AuthType.NTLM, witness.level, context)
    proposed = contexts(witness.syntax)
    try:
        answer = await rpc.exchange(rpc.core.bind(proposed, security=entry, token=context.step(b"")))
        last = rpc.core.bind(proposed, security=entry, token=context.step(answer.auth_value), alter=True)
        await rpc.exchange(last)
        call = WitnessClient(rpc, witness.syntax).start(GetInterfaceListRequest())
        outcome = await outcome_of(call, witness.expect.reply_deadline)
    except RpcError as error:
        outcome = outcome_of_error(error)

    spec("RPC-AUTH-three-leg").record(outcome, "NTLM, completed by alter_context")
    await witness.check_still_serving(spec)


@case("SWN-B3-accepted-services")
async def test_services(witness: Witness, spec: Spec) -> None:
    """Bind with NTLM, SPNEGO and Kerberos, and call; record the results."""
    for service in (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS):
        result = ""
        why_not = witness.facts.not_offered(service)
        if why_not and witness.facts.offers(service) is False:
            why_not = "not offered"
        elif not why_not:
            try:
                client = await witness.connect(auth_type=service)
                call = client.start(GetInterfaceListRequest())
                result = str(await outcome_of(call, witness.expect.reply_deadline))
            except AuthenticationError as error:
                why_not = f"no security context ({error})"
            except RpcError as error:
                result = str(outcome_of_error(error))
        if not result:
            answer = await _exchange(await witness.rpc(), service)
            result = f"{why_not}; a bind with an invalid token: {answer}"
        spec("SWN-B3-accepted-services").record(result, f"{service.name} ({int(service)})")
    await witness.check_still_serving(spec)


async def _two_users(witness: Witness, spec: Spec) -> tuple[WitnessClient, dict[str, int]]:
    """A connection with a security context for each of two users.

    Returns:
        The client, and the auth_context_id of each user by name.

    Raises:
        NotTestable: the server does not confirm SecurityContextMultiplexing.
    """
    rpc = await witness.rpc()
    bound = await rpc.bind(
        WITNESS, transfer=(witness.syntax,), features=SECURITY_CONTEXT_MULTIPLEXING, **witness.logon()
    )
    if not (bound.features or 0) & SECURITY_CONTEXT_MULTIPLEXING:
        raise NotTestable("the server does not confirm SecurityContextMultiplexing")
    try:
        second = await rpc.alter_context(**witness.logon(credentials=witness.second_credentials))
    except RpcError as error:
        spec("RPC-AUTH-multiplexed-contexts").allows(
            outcome_of_error(error), SUCCESS, note="alter_context with a second security context"
        )
        raise spec.stop() from None
    assert bound.security is not None
    assert second.security is not None
    return WitnessClient(rpc, witness.syntax), {
        witness.credentials.username: bound.security.id,
        witness.second_credentials.username: second.security.id,
    }


@case("RPC-AUTH-multiplexed-contexts", needs=("second-account",))
async def test_two_users_on_one_connection(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Two users share a connection: the server attributes each call to the user of its security context."""
    deadline = witness.expect.reply_deadline
    client, users = await _two_users(witness, spec)
    rule = spec("RPC-AUTH-multiplexed-contexts")
    address = await witness.address_of(0)

    # Alternate between the contexts, so that each is used after the other.
    names: dict[str, str] = {}
    for user, context in [*users.items()] * 2:
        request = witness.registration(ip_address=address)
        outcome = await outcome_of(client.start(request, security=context), deadline)
        rule.allows(outcome, SUCCESS, note=f"Register as {user}, security context {context}")
        names[str(request.client_computer_name)] = user

    if cluster.can(Capability.LIST_REGISTRATIONS):
        for view in await registrations_of(cluster, *names):
            if view.account is not None:
                # NTLM: DOMAIN\user; Kerberos: user@REALM.
                rule.equal(
                    view.account.rpartition("\\")[2].partition("@")[0].casefold(),
                    names[view.client_computer_name].casefold(),
                    note="account of the registration as the cluster lists it",
                )


@case(
    "RPC-AUTH-multiplexed-contexts",
    needs=("second-account", "two-nodes", Capability.MOVE_CLIENT, "multiplexing"),
)
async def test_two_users_with_pending_async_notify(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Two users have AsyncNotify pending on one connection: each call completes at its own event."""
    expect = witness.expect
    client, users = await _two_users(witness, spec)
    address = await witness.address_of(0)
    calls = {}
    for user, context in users.items():
        request = witness.registration(ip_address=address)
        made = await outcome_of(client.start(request, security=context), expect.reply_deadline)
        if not spec("RPC-AUTH-multiplexed-contexts").allows(made, SUCCESS, note=f"Register as {user}"):
            raise spec.stop()
        notify = AsyncNotifyRequest(made.response.context)
        calls[str(request.client_computer_name)] = client.start(notify, security=context)

    for name, call in reversed(calls.items()):
        await cluster.move_client(name, witness.nodes[1].name)
        # The client accepts a response only in the security context of its request.
        outcome = await outcome_of(call, expect.event_deadline)
        # The registration of the other user may be too old after such a wait (AMB-14).
        if not spec("RPC-AUTH-multiplexed-contexts").allows(
            outcome, SUCCESS, note="AsyncNotify at its event"
        ):
            raise spec.stop()


# Rejected authentication
# ----------------------------------------------------------------------------------------------------------


async def _exchange(
    rpc: RpcClient, auth_type: int, level: int = AuthLevel.INTEGRITY, *, alter: bool = False
) -> Outcome:
    """The answer to a bind or alter_context with a token that no security provider made."""
    pdu = dataclasses.replace(
        rpc.core.bind(contexts(NDR32), alter=alter),
        trailer=SecTrailer(auth_type, level, 0, 77),
        auth_value=b"NTLMSSP\0" + bytes(24),
    )
    try:
        return outcome_of_pdu(await rpc.exchange(pdu))
    except RpcError as error:
        return outcome_of_error(error)


#: Values of auth_type that no specification assigns.
UNKNOWN_TYPES = (2, 50, 99, 254)


@case("RPC-AUTH-unknown-type")
@pytest.mark.parametrize("auth_type", UNKNOWN_TYPES)
async def test_unknown_type_at_bind(witness: Witness, spec: Spec, auth_type: int) -> None:
    """A bind with an unassigned auth_type gets bind_nak authentication_type_not_recognized (8)."""
    rpc = await witness.rpc()

    answer = await _exchange(rpc, auth_type)

    spec("RPC-AUTH-unknown-type").allows(
        answer, refuses_bind(BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED)
    )
    await witness.check_still_serving(spec)


@case("RPC-AUTH-unknown-type")
@pytest.mark.parametrize("level", [AuthLevel.NONE, None], ids=["plain", "protected"])
async def test_unknown_type_at_alter_context(witness: Witness, spec: Spec, level: AuthLevel | None) -> None:
    """An alter_context with an unassigned auth_type gets a fault, or bind_nak reason 8."""
    rpc = await witness.rpc()
    await rpc.bind(contexts(NDR32), **witness.logon(level=level))

    answer = await _exchange(rpc, UNKNOWN_TYPES[-1], alter=True)

    spec("RPC-AUTH-unknown-type").allows(
        answer, faults(), refuses_bind(BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED)
    )
    await witness.check_still_serving(spec)


@case("SWN-B3-auth-service")
@pytest.mark.parametrize(
    "service", [AuthType.SCHANNEL, AuthType.NETLOGON], ids=lambda value: value.name.lower()
)
async def test_other_services(witness: Witness, spec: Spec, service: AuthType) -> None:
    """Bind with authentication service Schannel or Netlogon; record the answer."""
    answer = await _exchange(await witness.rpc(), service)

    spec("SWN-B3-auth-service").record(answer, f"{service.name} ({int(service)})")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("level", [0, 1, 7, 255])
async def test_level_without_protection(witness: Witness, spec: Spec, level: int) -> None:
    """Bind with a token at auth_level 0 (default), 1 (none), 7 or 255 (undefined); record the answer."""
    answer = await _exchange(await witness.rpc(), witness.auth_type, level)

    spec("RPC-AUTH-low-level-refused").record(answer, f"auth_level {level} in a bind")
    await witness.check_still_serving(spec)


# Without tickets SPNEGO offers NTLM: a wrong password would be rejected by the KDC, and not by the server.
_WRONG: dict[str, Callable[[Credentials], Credentials]] = {
    "wrong-password": lambda valid: dataclasses.replace(valid, password=valid.password + "x", tickets=None),
    "empty-password": lambda valid: dataclasses.replace(valid, password="", tickets=None),
    "unknown-user": lambda valid: dataclasses.replace(valid, username="no-such-user", tickets=None),
}


@case("RPC-AUTH-wrong-password", "SWN-3.1.4-enforce-security")
@pytest.mark.parametrize(
    "level",
    [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY],
    ids=lambda value: value.name.lower(),
)
@each_service_with_password
async def test_wrong_credentials(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """With a wrong or empty password, or an unknown user name, no method is executed."""
    methods = await EveryMethod.prepare(witness)
    rule = spec("RPC-AUTH-wrong-password", "SWN-3.1.4-enforce-security")

    for wrong, change in _WRONG.items():
        outcomes = await methods.call_all(
            auth_type=service, level=level, credentials=change(witness.credentials)
        )
        for method, outcome in outcomes.items():
            rule.holds(not served(outcome), expected=NOT_SERVED, observed=outcome, note=f"{method}, {wrong}")

    if cluster.can(Capability.LIST_REGISTRATIONS):
        found = await methods.registrations_left(cluster)
        rule.holds(
            not found,
            expected="none listed",
            observed=show_registrations(found),
            note="registrations of rejected calls",
        )
    await witness.check_still_serving(spec)


@case("RPC-AUTH-wrong-password")
@pytest.mark.parametrize("verifier", [b"", bytes(16)], ids=["none", "zeros"])
@each_service
async def test_unfinished_context(witness: Witness, spec: Spec, service: AuthType, verifier: bytes) -> None:
    """A request in an incomplete security context gets a fault or a closed connection."""
    witness.require(service)
    rpc = await witness.rpc()
    context = initiator(service, witness.credentials, host=witness.net_name, level=witness.level)
    entry = rpc.core.add_security(service, witness.level, context)
    await rpc.exchange(rpc.core.bind(contexts(NDR32), security=entry, token=context.step(b"")))
    request = Request(call_id=rpc.core.next_call_id(), opnum=Opnum.GET_INTERFACE_LIST)
    if verifier:
        trailer = SecTrailer(service, witness.level, 0, entry.id)
        request = dataclasses.replace(request, trailer=trailer, auth_value=verifier)

    outcome = await send_octets(rpc, request.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-AUTH-wrong-password").allows(outcome, faults(), CLOSED)
    await witness.check_still_serving(spec)
