"""The two ends of a security context: handshake, and what protection notices."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swn_torture.dcerpc.errors import AuthenticationError, BadSignature
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType, effective_level

WITNESS = Credentials("witness", "Passw0rd!", "SWNTEST", "CLIENT1")
ACCEPTOR = Acceptor({"witness": "Passw0rd!"}, "SWNTEST", "node1.swn.test")

HEADER = bytes.fromhex("05000003100000004800100001000000") + bytes.fromhex("1000000000000000")
BODY = b"sixteen octets.." * 2
TRAILER = bytes.fromhex("0a05000001000000")

SIGNED = [AuthLevel.CALL, AuthLevel.PKT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY]
PROVIDERS = [AuthType.NTLM, AuthType.SPNEGO]


def shake(caller: SecurityContext, answerer: SecurityContext) -> int:
    """Pass tokens until neither end has one to send; return how many went."""
    token, legs = caller.step(b""), 0
    while token:
        legs += 1
        caller, answerer = answerer, caller
        token = caller.step(token)
    return legs


def pair(
    auth_type: int = AuthType.NTLM, level: int = AuthLevel.INTEGRITY, credentials: Credentials = WITNESS
) -> tuple[SecurityContext, SecurityContext]:
    caller = initiator(auth_type, credentials, host="node1.swn.test", level=level)
    answerer = ACCEPTOR.new(auth_type, level)
    shake(caller, answerer)
    return caller, answerer


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, *SIGNED])
@pytest.mark.parametrize(("auth_type", "legs"), [(AuthType.NTLM, 3), (AuthType.SPNEGO, 4)])
def test_handshake_completes_and_names_the_caller(auth_type: AuthType, legs: int, level: AuthLevel) -> None:
    caller = initiator(auth_type, WITNESS, host="node1", level=level)
    answerer = ACCEPTOR.new(auth_type, level)
    assert shake(caller, answerer) == legs
    assert caller.complete
    assert answerer.complete
    assert answerer.principal == "SWNTEST\\witness"
    assert caller.principal is None


@pytest.mark.parametrize("level", SIGNED)
@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_protection_both_ways(auth_type: AuthType, level: AuthLevel) -> None:
    caller, answerer = pair(auth_type, level)
    for sender, receiver in [(caller, answerer), (answerer, caller)] * 3:
        body, signature = sender.protect(level, HEADER, BODY, TRAILER)
        assert len(signature) == sender.signature_size(level) == 16
        assert (body == BODY) == (level != AuthLevel.PRIVACY)
        assert receiver.unprotect(level, HEADER, body, TRAILER, signature) == BODY


@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_below_packet_level_nothing_is_added(auth_type: AuthType) -> None:
    caller, answerer = pair(auth_type, AuthLevel.CONNECT)
    assert caller.signature_size(AuthLevel.CONNECT) == 0
    assert caller.protect(AuthLevel.CONNECT, HEADER, BODY, TRAILER) == (BODY, b"")
    assert answerer.unprotect(AuthLevel.CONNECT, HEADER, BODY, TRAILER, b"") == BODY


@pytest.mark.parametrize("header_signing", [True, False])
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
def test_every_flipped_octet_is_noticed(level: AuthLevel, *, header_signing: bool) -> None:
    """NTLM with extended session security covers header, body, trailer and its own 16 octets, always.

    PFC_SUPPORT_HEADER_SIGN makes no difference to it: that is what Windows, Samba and impacket do.
    """
    size = len(HEADER) + len(BODY) + len(TRAILER) + 16
    for at in range(size):
        # A fresh pair each time: after one bad signature the two ends no longer agree on anything.
        caller, answerer = pair(level=level)
        caller.header_signing = answerer.header_signing = header_signing
        body, signature = caller.protect(level, HEADER, BODY, TRAILER)
        pdu = bytearray(HEADER + body + TRAILER + signature)
        pdu[at] ^= 0x01
        head, rest = bytes(pdu[: len(HEADER)]), bytes(pdu[len(HEADER) :])
        with pytest.raises(BadSignature):
            answerer.unprotect(
                level, head, rest[: len(BODY)], rest[len(BODY) : len(BODY) + 8], rest[len(BODY) + 8 :]
            )


@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("auth_type", PROVIDERS)
class TestSequence:
    def test_replay_is_noticed(self, auth_type: AuthType, level: AuthLevel) -> None:
        caller, answerer = pair(auth_type, level)
        body, signature = caller.protect(level, HEADER, BODY, TRAILER)
        answerer.unprotect(level, HEADER, body, TRAILER, signature)
        with pytest.raises(BadSignature):
            answerer.unprotect(level, HEADER, body, TRAILER, signature)

    def test_nothing_is_believed_after_a_bad_signature(self, auth_type: AuthType, level: AuthLevel) -> None:
        caller, answerer = pair(auth_type, level)
        first, second = (caller.protect(level, HEADER, BODY, TRAILER) for _ in range(2))
        with pytest.raises(BadSignature):
            answerer.unprotect(level, HEADER, first[0], TRAILER, bytes(16))
        # The sequence numbers would match again.
        with pytest.raises(BadSignature, match="after a bad signature"):
            answerer.unprotect(level, HEADER, second[0], TRAILER, second[1])

    def test_reorder_is_noticed(self, auth_type: AuthType, level: AuthLevel) -> None:
        caller, answerer = pair(auth_type, level)
        caller.protect(level, HEADER, BODY, TRAILER)
        body, signature = caller.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            answerer.unprotect(level, HEADER, body, TRAILER, signature)

    def test_reflection_is_noticed(self, auth_type: AuthType, level: AuthLevel) -> None:
        caller, _ = pair(auth_type, level)
        body, signature = caller.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            caller.unprotect(level, HEADER, body, TRAILER, signature)

    def test_another_sessions_key_is_noticed(self, auth_type: AuthType, level: AuthLevel) -> None:
        caller, _ = pair(auth_type, level)
        _, answerer = pair(auth_type, level)
        body, signature = caller.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            answerer.unprotect(level, HEADER, body, TRAILER, signature)

    @pytest.mark.parametrize("signature", [b"", bytes(15), bytes(16), b"\1" + bytes(15), bytes(17)])
    def test_no_verifier_of_another_make_passes(
        self, auth_type: AuthType, level: AuthLevel, signature: bytes
    ) -> None:
        caller, answerer = pair(auth_type, level)
        body, _ = caller.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            answerer.unprotect(level, HEADER, body, TRAILER, signature)


@settings(max_examples=30)
@given(bodies=st.lists(st.binary(max_size=200), max_size=8), level=st.sampled_from(SIGNED))
def test_any_stream_of_bodies_comes_through(bodies: list[bytes], level: AuthLevel) -> None:
    caller, answerer = pair(AuthType.SPNEGO, level)
    sent = [caller.protect(level, HEADER, body, TRAILER) for body in bodies]
    assert [answerer.unprotect(level, HEADER, body, TRAILER, sig) for body, sig in sent] == bodies


def test_an_incomplete_context_protects_nothing() -> None:
    caller = initiator(AuthType.NTLM, WITNESS, host="node1")
    with pytest.raises(AuthenticationError, match="not complete"):
        caller.protect(AuthLevel.INTEGRITY, HEADER, BODY, TRAILER)
    with pytest.raises(AuthenticationError, match="not complete"):
        caller.unprotect(AuthLevel.INTEGRITY, HEADER, BODY, TRAILER, bytes(16))
    with pytest.raises(AuthenticationError, match="not complete"):
        caller.signature_size(AuthLevel.INTEGRITY)


def test_sealing_that_was_not_negotiated_is_refused() -> None:
    caller, answerer = pair(level=AuthLevel.INTEGRITY)
    with pytest.raises(AuthenticationError, match="level 6"):
        caller.protect(AuthLevel.PRIVACY, HEADER, BODY, TRAILER)
    with pytest.raises(AuthenticationError, match="level 6"):
        answerer.unprotect(AuthLevel.PRIVACY, HEADER, BODY, TRAILER, bytes(16))


def test_unknown_level_is_refused() -> None:
    caller, _ = pair()
    with pytest.raises(AuthenticationError, match="level 7 is unknown"):
        caller.protect(7, HEADER, BODY, TRAILER)


@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_initiator_takes_no_empty_token_after_its_first_step(auth_type: AuthType) -> None:
    caller = initiator(auth_type, WITNESS, host="node1")
    caller.step(b"")
    with pytest.raises(AuthenticationError, match="empty token"):
        caller.step(b"")


@pytest.mark.parametrize("auth_type", PROVIDERS)
@settings(max_examples=60)
@given(token=st.binary(min_size=1, max_size=120))
def test_garbage_to_an_initiator_is_an_authentication_error(auth_type: AuthType, token: bytes) -> None:
    caller = initiator(auth_type, WITNESS, host="node1")
    caller.step(b"")
    with pytest.raises(AuthenticationError):
        caller.step(token)
    assert not caller.complete


def test_a_server_cannot_declare_an_initiator_authenticated() -> None:
    """A bare accept-completed is SPNEGO for "done"; no mechanism has done anything yet."""
    caller = initiator(AuthType.SPNEGO, WITNESS, host="node1")
    caller.step(b"")
    with pytest.raises(AuthenticationError):
        caller.step(bytes.fromhex("a1073005a0030a0100"))
    assert not caller.complete


def test_unknown_provider() -> None:
    with pytest.raises(AuthenticationError, match="no security provider"):
        initiator(0x44, WITNESS, host="node1")


def test_kerberos_without_the_extra_names_it() -> None:
    try:
        import gssapi  # type: ignore[import-not-found, unused-ignore]  # noqa: F401
    except ImportError:
        with pytest.raises(AuthenticationError, match=r"swn-torture\[kerberos\]"):
            initiator(AuthType.KERBEROS, WITNESS, host="node1")
    else:
        pytest.skip("the extra is installed")


def test_credentials_keep_the_password_to_themselves() -> None:
    assert "Passw0rd!" not in repr(WITNESS)


def test_levels_and_types_tolerate_any_octet() -> None:
    for value in range(256):
        assert AuthLevel.of(value) == value
        assert AuthType.of(value) == value
    assert AuthLevel.of(6) is AuthLevel.PRIVACY


@pytest.mark.parametrize(
    ("level", "effective"), [(0, 2), (1, 1), (2, 2), (3, 5), (4, 5), (5, 5), (6, 6), (99, 99)]
)
def test_effective_levels(level: int, effective: int) -> None:
    assert effective_level(level) == effective
