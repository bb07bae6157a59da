"""Security contexts: how they are built, and that nothing is served without (MS-RPCE 3.3.1.5.2)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import CLOSED, case, faults, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.outcome import ending_of, refuses_bind
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
from swn_torture.casekit.steps.listeners import SUCCESS
from swn_torture.casekit.steps.octets import answer_to, contexts, outcome_of_pdu
from swn_torture.casekit.steps.registering import listed, show_listed
from swn_torture.casekit.transport import (
    AuthenticationError,
    AuthLevel,
    AuthType,
    BindNakReason,
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
    "service", [AuthType.NTLM, AuthType.SPNEGO], ids=lambda value: value.name.lower()
)
each_level = pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)


# What is served
# ----------------------------------------------------------------------------------------------------------


@case("RPC-AUTH-bind-levels", syntaxes="both")
@each_service
@each_level
async def test_levels(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """At integrity and privacy calls are served, and responses are protected at the level of the request."""
    client = await witness.connect(level=level, auth_type=service)
    call = client.start(GetInterfaceListRequest())

    outcome = await outcome_of(call, witness.expect.reply_deadline)

    rule = spec("RPC-AUTH-bind-levels")
    # The client takes no response without a verifier that matches: success says that, too.
    if not rule.allows(outcome, SUCCESS, note="with a verifier that matches"):
        raise spec.stop()
    answered = call.call.response_meta
    assert answered is not None
    for pdu in answered.pdus:
        found = None if pdu.trailer is None else pdu.trailer.auth_level
        rule.equal(found, int(level), note="auth_level of the response")
    if level == AuthLevel.PRIVACY:
        wire = witness.transcript.stream(client.rpc.number, "received")
        readable = any(pdu.stub in wire for pdu in answered.pdus)
        rule.holds(
            not readable,
            expected="the stub data of the response cannot be read on the wire",
            observed="they can be read" if readable else "they cannot be read",
        )


@case("RPC-AUTH-three-leg")
@pytest.mark.parametrize(
    ("service", "last"),
    [(AuthType.NTLM, "auth3"), (AuthType.SPNEGO, "alter_context")],
    ids=["ntlm", "spnego"],
)
async def test_last_leg(witness: Witness, spec: Spec, service: AuthType, last: str) -> None:
    """NTLM is completed by auth3, SPNEGO by alter_context: the first request behind it is served."""
    client = await witness.connect(auth_type=service)

    outcome = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    spec("RPC-AUTH-three-leg").allows(outcome, SUCCESS, note=f"{service.name}, completed by {last}")


@case("RPC-AUTH-three-leg")
async def test_other_last_leg(witness: Witness, spec: Spec) -> None:
    """NTLM is completed by alter_context, as clients ought not to: whether a request is served then."""
    rpc = await witness.rpc()
    context = initiator(AuthType.NTLM, witness.credentials, host=witness.net_name, level=AuthLevel.INTEGRITY)
    entry = rpc.core.add_security(AuthType.NTLM, AuthLevel.INTEGRITY, context)
    proposed = contexts(witness.syntax)
    try:
        answer = await rpc.exchange(rpc.core.bind(proposed, security=entry, token=context.step(b"")))
        last = rpc.core.bind(proposed, security=entry, token=context.step(answer.auth_value), alter=True)
        await rpc.exchange(last)
        call = WitnessClient(rpc, witness.syntax).start(GetInterfaceListRequest())
        outcome = await outcome_of(call, witness.expect.reply_deadline)
    except RpcError as error:
        outcome = ending_of(error)

    spec("RPC-AUTH-three-leg").record(outcome, "NTLM, completed by alter_context")
    await witness.check_still_serving(spec)


@case("SWN-B3-accepted-services", "RPC-AUTH-spn-cifs")
async def test_services(witness: Witness, spec: Spec) -> None:
    """Whether NTLM, SPNEGO and Kerberos are accepted, the latter with a ticket for cifs/<cluster name>."""
    for service in (AuthType.NTLM, AuthType.SPNEGO, AuthType.KERBEROS):
        try:
            client = await witness.connect(auth_type=service)
            notified = str(
                await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)
            )
        except AuthenticationError as error:
            bare = await _exchange(await witness.rpc(), service)
            notified = f"no ticket could be had ({error}); a bind with a token that is none: {bare}"
        except RpcError as error:
            notified = str(ending_of(error))
        spec("SWN-B3-accepted-services").record(notified, f"{service.name} ({int(service)})")
    spec("RPC-AUTH-spn-cifs").record(notified, f"cifs/{witness.profile.spn_host or witness.net_name}")
    await witness.check_still_serving(spec)


async def _two_users(witness: Witness, spec: Spec) -> tuple[WitnessClient, dict[str, int]]:
    """A connection shared by two users, and the security context of each by name."""
    rpc = await witness.rpc()
    bound = await rpc.bind(
        WITNESS, transfer=(witness.syntax,), features=SECURITY_CONTEXT_MULTIPLEXING, **witness.logon()
    )
    if not (bound.features or 0) & SECURITY_CONTEXT_MULTIPLEXING:
        raise NotTestable("SecurityContextMultiplexing is not agreed to")
    try:
        second = await rpc.alter_context(**witness.logon(credentials=witness.second_credentials))
    except RpcError as error:
        spec("RPC-AUTH-multiplexed-contexts").allows(
            ending_of(error), SUCCESS, note="alter_context with a second security context"
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
    """Two users share a connection, each in a security context: each call is the right user's."""
    deadline = witness.expect.reply_deadline
    client, users = await _two_users(witness, spec)
    rule = spec("RPC-AUTH-multiplexed-contexts")
    address = await witness.address_of(0)

    # Back and forth, so that each context is used after the other.
    names: dict[str, str] = {}
    for user, context in [*users.items()] * 2:
        request = witness.registration(ip_address=address)
        outcome = await outcome_of(client.start(request, security=context), deadline)
        rule.allows(outcome, SUCCESS, note=f"Register as {user}, security context {context}")
        names[str(request.client_computer_name)] = user

    if cluster.can(Capability.LIST_REGISTRATIONS):
        for view in await listed(cluster, *names):
            if view.account is not None:
                rule.equal(
                    view.account.rpartition("\\")[2].casefold(),
                    names[view.client_computer_name].casefold(),
                    note="whose registration the cluster says it is",
                )


@case("RPC-AUTH-multiplexed-contexts", needs=("second-account", "two-nodes", Capability.MOVE_CLIENT))
async def test_two_users_wait(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """Two users wait on one connection: each hears of its own event, in its own security context."""
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
        # The client takes no response in another security context than that of the request.
        outcome = await outcome_of(call, expect.event_deadline)
        spec("RPC-AUTH-multiplexed-contexts").allows(outcome, SUCCESS, note="AsyncNotify at its event")


# What is refused
# ----------------------------------------------------------------------------------------------------------


async def _exchange(
    rpc: RpcClient, auth_type: int, level: int = AuthLevel.INTEGRITY, *, alter: bool = False
) -> Outcome:
    """How a bind or alter_context is answered whose token no provider has made."""
    pdu = dataclasses.replace(
        rpc.core.bind(contexts(NDR32), alter=alter),
        trailer=SecTrailer(auth_type, level, 0, 77),
        auth_value=b"NTLMSSP\0" + bytes(24),
    )
    try:
        return outcome_of_pdu(await rpc.exchange(pdu))
    except RpcError as error:
        return ending_of(error)


#: Authentication types that no document gives to anybody.
UNKNOWN_TYPES = (2, 50, 99, 254)


@case("RPC-AUTH-unknown-type")
@pytest.mark.parametrize("auth_type", UNKNOWN_TYPES)
async def test_unknown_type_at_bind(witness: Witness, spec: Spec, auth_type: int) -> None:
    """A bind with an authentication type that nobody knows is refused for that reason."""
    rpc = await witness.rpc()

    answer = await _exchange(rpc, auth_type)

    spec("RPC-AUTH-unknown-type").allows(
        answer, refuses_bind(BindNakReason.AUTHENTICATION_TYPE_NOT_RECOGNIZED)
    )
    await witness.check_still_serving(spec)


@case("RPC-AUTH-unknown-type")
@pytest.mark.parametrize("level", [AuthLevel.NONE, AuthLevel.INTEGRITY], ids=["plain", "protected"])
async def test_unknown_type_at_alter_context(witness: Witness, spec: Spec, level: AuthLevel) -> None:
    """An alter_context with an authentication type that nobody knows is refused: by which status."""
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
    """A bind with a service that witness is not meant for: how it is answered."""
    answer = await _exchange(await witness.rpc(), service)

    spec("SWN-B3-auth-service").record(answer, f"{service.name} ({int(service)})")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-low-level-refused")
@pytest.mark.parametrize("level", [0, 1, 7, 255])
async def test_levels_that_are_none(witness: Witness, spec: Spec, level: int) -> None:
    """A bind with a token whose level is none that protects or authenticates: how it is answered."""
    answer = await _exchange(await witness.rpc(), AuthType.NTLM, level)

    spec("RPC-AUTH-low-level-refused").record(answer, f"auth_level {level} in a bind")
    await witness.check_still_serving(spec)


_WRONG: dict[str, Callable[[Credentials], Credentials]] = {
    "wrong-password": lambda right: dataclasses.replace(right, password=right.password + "x"),
    "empty-password": lambda right: dataclasses.replace(right, password=""),
    "unknown-user": lambda right: dataclasses.replace(right, username="nobody-is-called-so"),
}


@case("RPC-AUTH-wrong-password", "SWN-3.1.4-enforce-security")
@pytest.mark.parametrize(
    "level",
    [AuthLevel.CONNECT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY],
    ids=lambda value: value.name.lower(),
)
@each_service
async def test_wrong_credentials(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """With a wrong password or as an unknown user no method is served, however the refusal looks."""
    methods = await EveryMethod.of(witness)
    rule = spec("RPC-AUTH-wrong-password", "SWN-3.1.4-enforce-security")

    for wrong, change in _WRONG.items():
        outcomes = await methods.called(
            auth_type=service, level=level, credentials=change(witness.credentials)
        )
        for method, outcome in outcomes.items():
            rule.holds(not served(outcome), expected=NOT_SERVED, observed=outcome, note=f"{method}, {wrong}")

    if cluster.can(Capability.LIST_REGISTRATIONS):
        found = await methods.traces(cluster)
        rule.holds(not found, expected="none listed", observed=show_listed(found), note="registrations left")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-wrong-password")
@pytest.mark.parametrize("verifier", [b"", bytes(16)], ids=["none", "zeros"])
@each_service
async def test_unfinished_context(witness: Witness, spec: Spec, service: AuthType, verifier: bytes) -> None:
    """A request in a security context whose last leg never came is not served."""
    rpc = await witness.rpc()
    context = initiator(service, witness.credentials, host=witness.net_name, level=AuthLevel.INTEGRITY)
    entry = rpc.core.add_security(service, AuthLevel.INTEGRITY, context)
    await rpc.exchange(rpc.core.bind(contexts(NDR32), security=entry, token=context.step(b"")))
    request = Request(call_id=rpc.core.next_call_id(), opnum=Opnum.GET_INTERFACE_LIST)
    if verifier:
        trailer = SecTrailer(service, AuthLevel.INTEGRITY, 0, entry.id)
        request = dataclasses.replace(request, trailer=trailer, auth_value=verifier)

    outcome = await answer_to(rpc, request.pack(), timeout=witness.expect.reply_deadline)

    spec("RPC-AUTH-wrong-password").allows(outcome, faults(), CLOSED)
    await witness.check_still_serving(spec)
