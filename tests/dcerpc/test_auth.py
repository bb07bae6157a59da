"""The two ends of a security context: exchange of tokens, and protection of PDUs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.dcerpc.errors import AuthenticationError, BadSignature
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType, effective_level
from tests.examples import examples

WITNESS = Credentials("witness", "Passw0rd!", "SWNTEST", "CLIENT1")
ACCEPTOR = Acceptor({"witness": "Passw0rd!"}, "SWNTEST", "node1.swn.test")

HEADER = bytes.fromhex("05000003100000004800100001000000") + bytes.fromhex("1000000000000000")
BODY = b"sixteen octets.." * 2
TRAILER = bytes.fromhex("0a05000001000000")

SIGNED = [AuthLevel.CALL, AuthLevel.PKT, AuthLevel.INTEGRITY, AuthLevel.PRIVACY]
PROVIDERS = [AuthType.NTLM, AuthType.SPNEGO]


def exchange_tokens(client: SecurityContext, server: SecurityContext) -> int:
    """Pass tokens until neither end has one to send; return their number."""
    token, legs = client.step(b""), 0
    while token:
        legs += 1
        client, server = server, client
        token = client.step(token)
    return legs


def pair(
    auth_type: int = AuthType.NTLM, level: int = AuthLevel.INTEGRITY, credentials: Credentials = WITNESS
) -> tuple[SecurityContext, SecurityContext]:
    client = initiator(auth_type, credentials, host="node1.swn.test", level=level)
    server = ACCEPTOR.new(auth_type, level)
    exchange_tokens(client, server)
    return client, server


@pytest.mark.parametrize("level", [AuthLevel.CONNECT, *SIGNED])
@pytest.mark.parametrize(("auth_type", "legs"), [(AuthType.NTLM, 3), (AuthType.SPNEGO, 4)])
def test_the_exchange_completes_with_a_principal(auth_type: AuthType, legs: int, level: AuthLevel) -> None:
    client = initiator(auth_type, WITNESS, host="node1", level=level)
    server = ACCEPTOR.new(auth_type, level)
    assert exchange_tokens(client, server) == legs
    assert client.complete
    assert server.complete
    assert server.principal == "SWNTEST\\witness"
    assert client.principal is None


@pytest.mark.parametrize("level", SIGNED)
@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_pdus_are_protected_in_both_directions(auth_type: AuthType, level: AuthLevel) -> None:
    client, server = pair(auth_type, level)
    for sender, receiver in [(client, server), (server, client)] * 3:
        body, signature = sender.protect(level, HEADER, BODY, TRAILER)
        assert len(signature) == sender.signature_size(level) == 16
        assert (body == BODY) == (level != AuthLevel.PRIVACY)
        assert receiver.unprotect(level, HEADER, body, TRAILER, signature) == BODY


@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_connect_level_adds_no_verifier(auth_type: AuthType) -> None:
    client, server = pair(auth_type, AuthLevel.CONNECT)
    assert client.signature_size(AuthLevel.CONNECT) == 0
    assert client.protect(AuthLevel.CONNECT, HEADER, BODY, TRAILER) == (BODY, b"")
    assert server.unprotect(AuthLevel.CONNECT, HEADER, BODY, TRAILER, b"") == BODY


@pytest.mark.parametrize("header_signing", [True, False])
@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
def test_every_changed_octet_is_a_bad_signature(level: AuthLevel, *, header_signing: bool) -> None:
    """NTLM with extended session security always covers header, body, sec_trailer and its own 16 octets.

    PFC_SUPPORT_HEADER_SIGN makes no difference, as in Windows, Samba and impacket.
    """
    size = len(HEADER) + len(BODY) + len(TRAILER) + 16
    for at in range(size):
        # A new pair each time, because nothing can be verified after a bad signature.
        client, server = pair(level=level)
        client.header_signing = server.header_signing = header_signing
        body, signature = client.protect(level, HEADER, BODY, TRAILER)
        pdu = bytearray(HEADER + body + TRAILER + signature)
        pdu[at] ^= 0x01
        head, rest = bytes(pdu[: len(HEADER)]), bytes(pdu[len(HEADER) :])
        with pytest.raises(BadSignature):
            server.unprotect(
                level, head, rest[: len(BODY)], rest[len(BODY) : len(BODY) + 8], rest[len(BODY) + 8 :]
            )


@pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
@pytest.mark.parametrize("auth_type", PROVIDERS)
class TestSequence:
    def test_a_repeated_pdu_is_a_bad_signature(self, auth_type: AuthType, level: AuthLevel) -> None:
        client, server = pair(auth_type, level)
        body, signature = client.protect(level, HEADER, BODY, TRAILER)
        server.unprotect(level, HEADER, body, TRAILER, signature)
        with pytest.raises(BadSignature):
            server.unprotect(level, HEADER, body, TRAILER, signature)

    def test_nothing_is_accepted_after_a_bad_signature(self, auth_type: AuthType, level: AuthLevel) -> None:
        client, server = pair(auth_type, level)
        first, second = (client.protect(level, HEADER, BODY, TRAILER) for _ in range(2))
        with pytest.raises(BadSignature):
            server.unprotect(level, HEADER, first[0], TRAILER, bytes(16))
        # The sequence number of the second PDU is the expected one.
        with pytest.raises(BadSignature, match="after a bad signature"):
            server.unprotect(level, HEADER, second[0], TRAILER, second[1])

    def test_a_reordered_pdu_is_a_bad_signature(self, auth_type: AuthType, level: AuthLevel) -> None:
        client, server = pair(auth_type, level)
        client.protect(level, HEADER, BODY, TRAILER)
        body, signature = client.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            server.unprotect(level, HEADER, body, TRAILER, signature)

    def test_a_pdu_sent_back_to_its_sender_is_a_bad_signature(
        self, auth_type: AuthType, level: AuthLevel
    ) -> None:
        client, _ = pair(auth_type, level)
        body, signature = client.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            client.unprotect(level, HEADER, body, TRAILER, signature)

    def test_the_key_of_another_session_is_a_bad_signature(
        self, auth_type: AuthType, level: AuthLevel
    ) -> None:
        client, _ = pair(auth_type, level)
        _, server = pair(auth_type, level)
        body, signature = client.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            server.unprotect(level, HEADER, body, TRAILER, signature)

    @pytest.mark.parametrize("signature", [b"", bytes(15), bytes(16), b"\1" + bytes(15), bytes(17)])
    def test_a_made_up_verifier_is_a_bad_signature(
        self, auth_type: AuthType, level: AuthLevel, signature: bytes
    ) -> None:
        client, server = pair(auth_type, level)
        body, _ = client.protect(level, HEADER, BODY, TRAILER)
        with pytest.raises(BadSignature):
            server.unprotect(level, HEADER, body, TRAILER, signature)


@examples(30)
@given(bodies=st.lists(st.binary(max_size=200), max_size=8), level=st.sampled_from(SIGNED))
def test_any_bodies_arrive_unchanged(bodies: list[bytes], level: AuthLevel) -> None:
    client, server = pair(AuthType.SPNEGO, level)
    sent = [client.protect(level, HEADER, body, TRAILER) for body in bodies]
    assert [server.unprotect(level, HEADER, body, TRAILER, sig) for body, sig in sent] == bodies


def test_an_incomplete_context_cannot_protect() -> None:
    client = initiator(AuthType.NTLM, WITNESS, host="node1")
    with pytest.raises(AuthenticationError, match="not complete"):
        client.protect(AuthLevel.INTEGRITY, HEADER, BODY, TRAILER)
    with pytest.raises(AuthenticationError, match="not complete"):
        client.unprotect(AuthLevel.INTEGRITY, HEADER, BODY, TRAILER, bytes(16))
    with pytest.raises(AuthenticationError, match="not complete"):
        client.signature_size(AuthLevel.INTEGRITY)


def test_sealing_must_be_negotiated() -> None:
    client, server = pair(level=AuthLevel.INTEGRITY)
    with pytest.raises(AuthenticationError, match="level 6"):
        client.protect(AuthLevel.PRIVACY, HEADER, BODY, TRAILER)
    with pytest.raises(AuthenticationError, match="level 6"):
        server.unprotect(AuthLevel.PRIVACY, HEADER, BODY, TRAILER, bytes(16))


def test_an_unknown_level_is_rejected() -> None:
    client, _ = pair()
    with pytest.raises(AuthenticationError, match="level 7 is unknown"):
        client.protect(7, HEADER, BODY, TRAILER)


@pytest.mark.parametrize("auth_type", PROVIDERS)
def test_an_initiator_rejects_an_empty_second_token(auth_type: AuthType) -> None:
    client = initiator(auth_type, WITNESS, host="node1")
    client.step(b"")
    with pytest.raises(AuthenticationError, match="empty token"):
        client.step(b"")


@pytest.mark.parametrize("auth_type", PROVIDERS)
@examples(60)
@given(token=st.binary(min_size=1, max_size=120))
def test_an_initiator_rejects_garbage(auth_type: AuthType, token: bytes) -> None:
    client = initiator(auth_type, WITNESS, host="node1")
    client.step(b"")
    with pytest.raises(AuthenticationError):
        client.step(token)
    assert not client.complete


def test_a_server_cannot_complete_spnego_without_ntlm() -> None:
    """A server sends accept-completed without a token before NTLM has authenticated anybody."""
    client = initiator(AuthType.SPNEGO, WITNESS, host="node1")
    client.step(b"")
    with pytest.raises(AuthenticationError):
        client.step(bytes.fromhex("a1073005a0030a0100"))
    assert not client.complete


def test_an_initiator_for_an_unknown_provider() -> None:
    with pytest.raises(AuthenticationError, match="no security provider"):
        initiator(0x44, WITNESS, host="node1")


def test_kerberos_without_the_extra_explains_how_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(AuthenticationError, match=r"swn-torture\[kerberos\]"):
        initiator(AuthType.KERBEROS, WITNESS, host="node1")


def test_the_repr_of_credentials_hides_the_password() -> None:
    assert "Passw0rd!" not in repr(WITNESS)


def test_levels_and_types_keep_unknown_octets() -> None:
    for value in range(256):
        assert AuthLevel.of(value) == value
        assert AuthType.of(value) == value
    assert AuthLevel.of(6) is AuthLevel.PRIVACY


@pytest.mark.parametrize(
    ("level", "effective"), [(0, 2), (1, 1), (2, 2), (3, 5), (4, 5), (5, 5), (6, 6), (99, 99)]
)
def test_effective_level_of_each_level(level: int, effective: int) -> None:
    assert effective_level(level) == effective
