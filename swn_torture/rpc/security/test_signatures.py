"""Protected PDUs that are changed, replayed, reordered or unsigned (MS-RPCE 3.3.1.5.2.2)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit import CLOSED, SUCCESS, also_needs, case, faults, outcome_of
from swn_torture.casekit.cluster import Capability
from swn_torture.casekit.protocol import (
    SECURITY_CONTEXT_MULTIPLEXING,
    GetInterfaceListRequest,
    Opnum,
    WitnessClient,
)
from swn_torture.casekit.steps.callers import EveryMethod
from swn_torture.casekit.steps.listeners import listen
from swn_torture.casekit.steps.octets import contexts, request_octets, send_octets
from swn_torture.casekit.steps.registering import registrations_of, show_registrations
from swn_torture.casekit.transport import (
    CONNECT_TOKEN,
    AuthLevel,
    AuthType,
    PfcFlags,
    RpcError,
    SecTrailer,
    rewrite,
)
from swn_torture.casekit.witness import NotTestable

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.casekit import Spec
    from swn_torture.casekit.cluster import Controller
    from swn_torture.casekit.protocol import RegisterRequest
    from swn_torture.casekit.transport import Request
    from swn_torture.casekit.witness import Witness

each_service = pytest.mark.parametrize(
    "service",
    [AuthType.NTLM, AuthType.SPNEGO, pytest.param(AuthType.KERBEROS, marks=also_needs("kerberos"))],
    ids=lambda value: value.name.lower(),
)
each_level = pytest.mark.parametrize(
    "level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY], ids=lambda value: value.name.lower()
)
#: Octets of a request header and of the sec_trailer.
HEADER, TRAILER = 24, 8
#: Octets of a signature of NTLM: version, checksum, sequence number (MS-NLMP 2.2.2.9). That of Kerberos is
#: longer (RFC 4121 4.2.6): a head of 16 octets, whose end is the sequence number; checksum or sealed octets.
NTLM_SIGNATURE, KERBEROS_HEAD = 16, 16


def _flip(octets: bytes, offset: int) -> bytes:
    """Return the octets with one bit changed, at an offset from the start or (negative) from the end."""
    changed = bytearray(octets)
    changed[offset] ^= 0x01
    return bytes(changed)


def _signature(pdu: bytes) -> int:
    """The number of octets of the signature: 16 with NTLM, more with Kerberos."""
    return int.from_bytes(pdu[10:12], "little")


def _by_ntlm(pdu: bytes) -> bool:
    return _signature(pdu) == NTLM_SIGNATURE


def _sequence_number(pdu: bytes) -> int:
    """The last octet of the sequence number in the signature, counted from the end of the PDU."""
    return -4 if _by_ntlm(pdu) else -_signature(pdu) + KERBEROS_HEAD - 1


def _cut(pdu: bytes, left: int) -> bytes:
    """Return a PDU with the first ``left`` octets of its signature."""
    gone = _signature(pdu) - left
    return rewrite(pdu[:-gone], frag_length=len(pdu) - gone, auth_length=left)


async def _connect(witness: Witness, **connection: Any) -> WitnessClient:
    """Connect to an association with another open connection, so that registrations stay after a close."""
    other = await witness.connect()
    return await witness.connect(assoc_group=other.rpc.core.assoc_group, **connection)


async def _send_rejected(
    spec: Spec, rule: str, witness: Witness, client: WitnessClient, *octets: bytes, note: str = ""
) -> None:
    """Send a request that must not be executed; the answer has to be a fault or a closed connection."""
    answer = await send_octets(client.rpc, *octets, timeout=witness.expect.reply_deadline)
    spec(rule).allows(answer, faults(), CLOSED, note=note)


async def _check_registrations(
    spec: Spec, rule: str, cluster: Controller, count: int, *requests: RegisterRequest
) -> None:
    """Check, if the cluster lists registrations, that at most ``count`` came from these requests."""
    if cluster.can(Capability.LIST_REGISTRATIONS):
        views = await registrations_of(cluster, *(str(request.client_computer_name) for request in requests))
        spec(rule).holds(
            len(views) <= count,
            expected=f"{count or 'none'} listed",
            observed=show_registrations(views),
            note="registrations afterwards",
        )


async def _check_no_registrations(spec: Spec, rule: str, cluster: Controller, methods: EveryMethod) -> None:
    """Check, if the cluster lists registrations, that none came from the calls of ``methods``."""
    if cluster.can(Capability.LIST_REGISTRATIONS):
        views = await methods.registrations_left(cluster)
        spec(rule).holds(
            not views,
            expected="none listed",
            observed=show_registrations(views),
            note="registrations afterwards",
        )


async def _register(witness: Witness) -> RegisterRequest:
    """A Register request that succeeds if it is sent unchanged."""
    return witness.registration(ip_address=await witness.address_of(0))


# One PDU
# ----------------------------------------------------------------------------------------------------------

#: Changes of the verifier, or of octets that it covers at PKT_INTEGRITY and PKT_PRIVACY.
CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "first-stub-octet": lambda pdu: _flip(pdu, HEADER),
    "last-stub-octet": lambda pdu: _flip(pdu, -_signature(pdu) - TRAILER - 1),
    "checksum": lambda pdu: _flip(pdu, -_signature(pdu) + 6 if _by_ntlm(pdu) else -1),
    "sequence-number": lambda pdu: _flip(pdu, _sequence_number(pdu)),
    # A provider may look at the sequence number first, and report a gap before it has verified the checksum.
    "sequence-number-and-stub": lambda pdu: _flip(_flip(pdu, _sequence_number(pdu)), HEADER),
    "all-zero": lambda pdu: pdu[: -_signature(pdu)] + bytes(_signature(pdu)),
    "cut-in-half": lambda pdu: _cut(pdu, _signature(pdu) // 2),
    "one-octet": lambda pdu: _cut(pdu, 1),
}
#: Changes that a request without stub data can have, too: a verifier also covers the PDU that has none.
OF_VERIFIER = ("checksum", "sequence-number", "all-zero")


@case("RPC-AUTH-bad-signature")
@each_level
@each_service
async def test_changed_pdu(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """A changed octet or verifier of a protected call gets a fault or a close; a Register has no effect."""
    group = (await witness.connect()).rpc.core.assoc_group
    address = await witness.address_of(0)
    requests = {change: witness.registration(ip_address=address) for change in CHANGES}

    for change, request in requests.items():
        client = await witness.connect(level=level, auth_type=service, assoc_group=group)
        (octets,) = request_octets(client, request)
        await _send_rejected(
            spec,
            "RPC-AUTH-bad-signature",
            witness,
            client,
            CHANGES[change](octets),
            note=f"changed: {change}",
        )
        await client.rpc.close()
    for change in OF_VERIFIER:
        client = await witness.connect(level=level, auth_type=service)
        (octets,) = request_octets(client, GetInterfaceListRequest())
        note = f"changed: {change}, of GetInterfaceList, which has no stub data"
        await _send_rejected(
            spec, "RPC-AUTH-bad-signature", witness, client, CHANGES[change](octets), note=note
        )
        await client.rpc.close()

    await _check_registrations(spec, "RPC-AUTH-bad-signature", cluster, 0, *requests.values())
    await witness.check_still_serving(spec)


#: Changed values of fields of the request header and of the sec_trailer.
FIELDS: dict[str, dict[str, Any]] = {
    "opnum": {"opnum": Opnum.GET_INTERFACE_LIST},
    "call_id": {"call_id": 0x1234},
    "alloc_hint": {"alloc_hint": 0},
    "pfc_flags": {"flags": PfcFlags.FIRST | PfcFlags.LAST | PfcFlags.MAYBE},
    "p_cont_id": {"context_id": 5},
    "auth_type": {"auth_type": AuthType.KERBEROS},
    "auth_level": {"auth_level": AuthLevel.PKT},
    "auth_reserved": {"auth_reserved": 1},
    "auth_context_id": {"auth_context_id": 77},
}


def _changed(field: str, service: AuthType) -> dict[str, Any]:
    """The changed value of a field; another service than that of the connection."""
    if field == "auth_type" and service == AuthType.KERBEROS:
        return {field: AuthType.NTLM}
    return FIELDS[field]


async def _bound(
    witness: Witness, group: int, *, level: AuthLevel, service: AuthType, signing: bool
) -> WitnessClient:
    """A connection with presentation contexts 0 and 5 for witness, with or without header signing."""
    rpc = await witness.rpc()
    await rpc.bind(
        contexts(witness.syntax),
        header_signing=signing,
        assoc_group=group,
        **witness.logon(level=level, auth_type=service),
    )
    await rpc.alter_context(contexts(witness.syntax, first=5))
    return WitnessClient(rpc, witness.syntax)


@case("RPC-AUTH-header-signing-scope")
@each_level
@each_service
async def test_changed_header(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """With header signing, a Register with a changed header or sec_trailer is not executed."""
    group = (await witness.connect()).rpc.core.assoc_group
    address = await witness.address_of(0)
    requests = {field: witness.registration(ip_address=address) for field in FIELDS}

    for field, request in requests.items():
        client = await _bound(witness, group, level=level, service=service, signing=True)
        if not client.rpc.core.header_signing:
            raise NotTestable("the server does not confirm header signing")
        (octets,) = request_octets(client, request)
        await _send_rejected(
            spec,
            "RPC-AUTH-header-signing-scope",
            witness,
            client,
            rewrite(octets, **_changed(field, service)),
            note=f"changed: {field}",
        )
        await client.rpc.close()

    await _check_registrations(spec, "RPC-AUTH-header-signing-scope", cluster, 0, *requests.values())
    await witness.check_still_serving(spec)


@case("RPC-AUTH-header-signing-scope")
@each_service
async def test_changed_header_unsigned(witness: Witness, spec: Spec, service: AuthType) -> None:
    """Without header signing, change a header field of a Register; record the answer."""
    for field in ("opnum", "call_id", "auth_reserved"):
        client = await _bound(witness, 0, level=AuthLevel.INTEGRITY, service=service, signing=False)
        (octets,) = request_octets(client, await _register(witness))
        answer = await send_octets(
            client.rpc, rewrite(octets, **FIELDS[field]), timeout=witness.expect.reply_deadline
        )
        spec("RPC-AUTH-header-signing-scope").record(answer, f"changed: {field}, without header signing")
    await witness.check_still_serving(spec)


@case("RPC-AUTH-header-signing")
@each_level
@each_service
async def test_header_signing(witness: Witness, spec: Spec, service: AuthType, level: AuthLevel) -> None:
    """If bind_ack confirms header signing, GetInterfaceList with a signed header succeeds."""
    rpc = await witness.rpc()
    bound = await rpc.bind(contexts(witness.syntax), **witness.logon(level=level, auth_type=service))
    if not bound.bind_ack.flags & PfcFlags.SUPPORT_HEADER_SIGN:
        raise NotTestable(
            "bind_ack does not have PFC_SUPPORT_HEADER_SIGN: the security provider of the server does not "
            "sign headers, which MS-RPCE 3.3.1.5.2.2 allows"
        )
    client = WitnessClient(rpc, witness.syntax)

    outcome = await outcome_of(client.start(GetInterfaceListRequest()), witness.expect.reply_deadline)

    spec("RPC-AUTH-header-signing").allows(outcome, SUCCESS, note=f"GetInterfaceList, {service.name}")


# Replayed and reordered PDUs
# ----------------------------------------------------------------------------------------------------------


@case("RPC-AUTH-bad-signature")
@each_level
@each_service
async def test_replayed_pdu(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """A protected Register that is sent a second time, unchanged, is not executed again."""
    client = await _connect(witness, level=level, auth_type=service)
    request = await _register(witness)
    (octets,) = request_octets(client, request)
    first = await send_octets(client.rpc, octets, timeout=witness.expect.reply_deadline)

    await _send_rejected(
        spec, "RPC-AUTH-bad-signature", witness, client, octets, note=f"second time; first: {first}"
    )

    await _check_registrations(spec, "RPC-AUTH-bad-signature", cluster, 1, request)
    await witness.check_still_serving(spec)


@case("RPC-AUTH-bad-signature")
@pytest.mark.parametrize("earlier", ["sent-later", "never-sent"])
@each_level
async def test_pdu_out_of_sequence(
    witness: Witness, cluster: Controller, spec: Spec, level: AuthLevel, earlier: str
) -> None:
    """A protected Register that skips a sequence number is not executed."""
    client = await _connect(witness, level=level)
    # The call ids increase in the order of sending: only the sequence numbers are out of order.
    (skipped,) = request_octets(client, GetInterfaceListRequest(), call_id=50)
    request = await _register(witness)
    (octets,) = request_octets(client, request, call_id=40)
    later = (skipped,) if earlier == "sent-later" else ()

    await _send_rejected(spec, "RPC-AUTH-bad-signature", witness, client, octets, *later)

    await _check_registrations(spec, "RPC-AUTH-bad-signature", cluster, 0, request)
    await witness.check_still_serving(spec)


@case("RPC-AUTH-bad-signature", needs=("second-account",))
async def test_signature_of_other_user(witness: Witness, cluster: Controller, spec: Spec) -> None:
    """A Register signed by one user but with the auth_context_id of another is not executed."""
    client = await _connect(witness)
    if not client.rpc.core.features & SECURITY_CONTEXT_MULTIPLEXING:
        raise NotTestable("the server does not confirm SecurityContextMultiplexing")
    try:
        other = await client.rpc.alter_context(**witness.logon(credentials=witness.second_credentials))
    except RpcError as error:
        raise NotTestable(f"the server rejects a second security context on a connection: {error}") from error
    assert other.security is not None
    request = await _register(witness)
    (octets,) = request_octets(client, request)

    answer = await send_octets(
        client.rpc,
        rewrite(octets, auth_context_id=other.security.id),
        timeout=witness.expect.reply_deadline,
    )
    # A response to the rewritten request is in the other security context. It is shown as text, because it
    # does not decode as a response to the request that the client knows, which is no defect of its own.
    allowed = (faults(), CLOSED)
    spec("RPC-AUTH-bad-signature").holds(
        any(each.matches(answer) for each in allowed),
        expected=[str(each) for each in allowed],
        observed=str(answer),
    )

    await _check_registrations(spec, "RPC-AUTH-bad-signature", cluster, 0, request)
    await witness.check_still_serving(spec)


@case("RPC-AUTH-level-of-response-to-pending", needs=("two-nodes", Capability.MOVE_CLIENT))
@each_level
@each_service
async def test_response_to_a_pending_call(
    witness: Witness, cluster: Controller, spec: Spec, service: AuthType, level: AuthLevel
) -> None:
    """AsyncNotify completes after 20 other calls: the verifiers of all responses match."""
    expect = witness.expect
    client = await witness.connect(level=level, auth_type=service)
    listener = await listen(witness, client, version=1)
    call = listener.async_notify()

    count = 20 if client.rpc.core.multiplexed else 0
    between = [client.start(GetInterfaceListRequest()) for _ in range(count)]
    outcomes = [await outcome_of(each, expect.reply_deadline) for each in between]
    await cluster.move_client(listener.name, witness.nodes[1].name)
    completed = await listener.wait_for_notifications(expect.event_deadline)
    after = await outcome_of(client.start(GetInterfaceListRequest()), expect.reply_deadline)

    rule = spec("RPC-AUTH-level-of-response-to-pending")
    if between:
        rule.holds(
            outcomes == [SUCCESS] * len(between),
            expected=f"{SUCCESS}, with a verifier that matches",
            observed=", ".join({str(outcome) for outcome in outcomes}),
            note=f"{count} calls while AsyncNotify is pending",
        )
    rule.allows(completed, SUCCESS, note="AsyncNotify, at its event")
    meta = call.call.response_meta
    if meta is not None:
        rule.equal(meta.level, int(level), note="auth_level of its response")
    rule.allows(after, SUCCESS, note="the next call")


# Without a verifier
# ----------------------------------------------------------------------------------------------------------


@case("RPC-AUTH-missing-verifier")
@each_level
async def test_no_verifier(witness: Witness, cluster: Controller, spec: Spec, level: AuthLevel) -> None:
    """On a protected connection a request without verifier gets a fault or a close, for every method."""
    methods = await EveryMethod.prepare(witness)
    group = methods.registered_on.rpc.core.assoc_group

    for name, request in methods.requests.items():
        client = await witness.connect(level=level, assoc_group=group)
        await _send_rejected(
            spec,
            "RPC-AUTH-missing-verifier",
            witness,
            client,
            *request_octets(client, request, security="none"),
            note=name,
        )
        await client.rpc.close()

    await _check_no_registrations(spec, "RPC-AUTH-missing-verifier", cluster, methods)
    await witness.check_still_serving(spec)


@case("RPC-AUTH-missing-verifier")
@each_service
async def test_lowered_level(witness: Witness, cluster: Controller, spec: Spec, service: AuthType) -> None:
    """A Register with auth_level CONNECT in a protected security context is not executed."""
    client = await _connect(witness, auth_type=service)
    (entry,) = client.rpc.core.security.values()
    request = await _register(witness)

    def lower(_: int, pdu: Request) -> Request:
        trailer = SecTrailer(service, AuthLevel.CONNECT, len(padding), entry.id)
        return dataclasses.replace(pdu, padding=padding, trailer=trailer, auth_value=CONNECT_TOKEN)

    (plain,) = request_octets(client, request, security="none")
    padding = bytes(-(len(plain) - HEADER) % 16)
    await _send_rejected(
        spec,
        "RPC-AUTH-missing-verifier",
        witness,
        client,
        *request_octets(client, request, security="none", prepare=lower),
    )

    await _check_registrations(spec, "RPC-AUTH-missing-verifier", cluster, 0, request)
    await witness.check_still_serving(spec)


@case("RPC-AUTH-missing-verifier")
@pytest.mark.parametrize("missing", [0, 1, -1], ids=["first", "middle", "last"])
async def test_fragment_without_verifier(
    witness: Witness, cluster: Controller, spec: Spec, missing: int
) -> None:
    """A Register in fragments, one of them without verifier, is not executed."""
    client = await _connect(witness)
    request = await _register(witness)
    fragments = list(request_octets(client, request, call_id=9, chunk=48))
    plain = request_octets(client, request, call_id=9, chunk=48, security="none")
    assert len(fragments) > 2
    fragments[missing] = plain[missing]

    await _send_rejected(spec, "RPC-AUTH-missing-verifier", witness, client, *fragments)

    await _check_registrations(spec, "RPC-AUTH-missing-verifier", cluster, 0, request)
    await witness.check_still_serving(spec)
