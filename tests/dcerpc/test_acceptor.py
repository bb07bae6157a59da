"""The server's end of authentication: accounts, tokens, and SPNEGO."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import AvFlags, AvId, Challenge, NegotiateFlags, TargetInfo

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from tests.dcerpc.impacket_client import ImpacketClient
from tests.examples import examples

USERS = {"witness": "Passw0rd!", "OTHER\\guest": "guest", "Ünï": "pässwörd"}
ACCEPTOR = Acceptor(USERS, "SWNTEST", "node1.swn.test")
PROVIDERS = [AuthType.NTLM, AuthType.SPNEGO]


def authenticate(
    credentials: Credentials,
    auth_type: int = AuthType.NTLM,
    *,
    acceptor: Acceptor = ACCEPTOR,
    level: int = AuthLevel.INTEGRITY,
) -> SecurityContext:
    """Authenticate a client; return the acceptor's end."""
    client, server = (
        initiator(auth_type, credentials, host="node1", level=level),
        acceptor.new(auth_type, level),
    )
    token = client.step(b"")
    while token:
        token = server.step(token)
        if token:
            token = client.step(token)
    return server


@pytest.mark.parametrize("auth_type", PROVIDERS)
class TestAccounts:
    @pytest.mark.parametrize("domain", ["SWNTEST", "swntest", "", "WORKGROUP"])
    def test_an_account_without_a_domain_matches_any_domain(self, auth_type: AuthType, domain: str) -> None:
        assert (
            authenticate(Credentials("WITNESS", "Passw0rd!", domain), auth_type).principal
            == "SWNTEST\\witness"
        )

    def test_a_user_principal_name_has_user_and_domain(self, auth_type: AuthType) -> None:
        assert authenticate(Credentials("guest@other", "guest"), auth_type).principal == "OTHER\\guest"

    def test_an_account_with_a_domain_matches_only_this_domain(self, auth_type: AuthType) -> None:
        assert authenticate(Credentials("guest", "guest", "OTHER"), auth_type).principal == "OTHER\\guest"
        with pytest.raises(AuthenticationError, match="no account 'guest' in domain 'SWNTEST'"):
            authenticate(Credentials("guest", "guest", "SWNTEST"), auth_type)

    def test_names_and_passwords_may_have_non_ascii_letters(self, auth_type: AuthType) -> None:
        assert authenticate(Credentials("üNÏ", "pässwörd"), auth_type).principal == "SWNTEST\\Ünï"

    @pytest.mark.parametrize("password", ["", "passw0rd!", "Passw0rd!\0", "x" * 300])
    def test_a_wrong_password_is_rejected(self, auth_type: AuthType, password: str) -> None:
        with pytest.raises(AuthenticationError, match="does not match the password"):
            authenticate(Credentials("witness", password, "SWNTEST"), auth_type)

    def test_an_unknown_user_is_rejected(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="no account 'nobody'"):
            authenticate(Credentials("nobody", "Passw0rd!", "SWNTEST"), auth_type)

    def test_a_hash_can_replace_the_password(self, auth_type: AuthType) -> None:
        # MD4 of the UTF-16 of "Passw0rd!"; the LM half is not used by NTLMv2.
        by_hash = Credentials("witness", f"{0:032x}:fc525c9683e8fe067095ba2ddc971889", "SWNTEST")
        assert authenticate(by_hash, auth_type).principal == "SWNTEST\\witness"

    def test_an_anonymous_logon_needs_permission(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="anonymous"):
            authenticate(Credentials("", ""), auth_type)
        anonymous_allowed = Acceptor(USERS, allow_anonymous=True)
        assert authenticate(Credentials("", ""), auth_type, acceptor=anonymous_allowed).principal == ""

    def test_an_empty_name_with_a_password_is_not_anonymous(self, auth_type: AuthType) -> None:
        anonymous_allowed = Acceptor(USERS, allow_anonymous=True)
        with pytest.raises(AuthenticationError, match="no account ''"):
            authenticate(Credentials("", "secret"), auth_type, acceptor=anonymous_allowed)


def test_the_environment_does_not_change_ntlm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTLM_USER_FILE", "/nonexistent")
    monkeypatch.setenv("NETBIOS_COMPUTER_NAME", "ELSEWHERE")
    monkeypatch.setenv("LM_COMPAT_LEVEL", "0")
    client, server = (
        initiator(10, Credentials("witness", "Passw0rd!", "", "CLIENT1"), host="x"),
        ACCEPTOR.new(10),
    )
    authenticate = client.step(server.step(client.step(b"")))
    assert "CLIENT1".encode("utf-16-le") in authenticate
    assert "ELSEWHERE".encode("utf-16-le") not in authenticate
    server.step(authenticate)
    assert server.principal == "SWNTEST\\witness"


def test_the_challenge_contains_the_names_of_the_server() -> None:
    challenge = ACCEPTOR.new(10).step(initiator(10, Credentials("u", "p"), host="x").step(b""))
    for name in ["SWNTEST", "NODE1", "node1.swn.test", "swn.test"]:
        assert name.encode("utf-16-le") in challenge


def test_every_challenge_is_different() -> None:
    negotiate = initiator(10, Credentials("u", "p"), host="x").step(b"")
    assert len({ACCEPTOR.new(10).step(negotiate)[24:32] for _ in range(20)}) == 20


class TestTokens:
    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_an_empty_first_token_is_rejected(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="empty token"):
            ACCEPTOR.new(auth_type).step(b"")

    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_an_empty_second_token_is_rejected(self, auth_type: AuthType) -> None:
        server = ACCEPTOR.new(auth_type)
        server.step(initiator(auth_type, Credentials("witness", "x"), host="x").step(b""))
        with pytest.raises(AuthenticationError, match="empty token"):
            server.step(b"")

    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_a_token_for_a_complete_context_is_rejected(self, auth_type: AuthType) -> None:
        server = authenticate(Credentials("witness", "Passw0rd!"), auth_type)
        with pytest.raises(AuthenticationError, match="complete already"):
            server.step(b"more")

    def test_a_failed_context_stays_failed(self) -> None:
        client, server = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        with pytest.raises(AuthenticationError):
            server.step(b"garbage")
        with pytest.raises(AuthenticationError, match="failed already"):
            server.step(client.step(b""))

    @examples(100)
    @given(
        auth_type=st.sampled_from(PROVIDERS), tokens=st.lists(st.binary(max_size=120), min_size=1, max_size=3)
    )
    def test_garbage_as_tokens_is_rejected(self, auth_type: AuthType, tokens: list[bytes]) -> None:
        server = ACCEPTOR.new(auth_type)
        for token in tokens:
            with pytest.raises(AuthenticationError):
                server.step(token)
        assert server.principal is None

    @examples(300)
    @given(data=st.data(), auth_type=st.sampled_from(PROVIDERS), last=st.booleans())
    def test_a_damaged_token_authenticates_nobody_else(
        self, data: st.DataObject, auth_type: AuthType, *, last: bool
    ) -> None:
        """A changed, cut or extended token gets an answer or AuthenticationError, never another principal."""
        client, server = (
            initiator(auth_type, Credentials("witness", "Passw0rd!"), host="x"),
            ACCEPTOR.new(auth_type),
        )
        token = bytearray(client.step(b""))
        if last:
            token = bytearray(client.step(server.step(bytes(token))))
        how = data.draw(st.sampled_from(["change", "cut", "append"]))
        if how == "change":
            for _ in range(data.draw(st.integers(1, 4))):
                token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del token[data.draw(st.integers(1, len(token) - 1)) :]
        else:
            token += data.draw(st.binary(min_size=1, max_size=40))
        try:
            server.step(bytes(token))
        except AuthenticationError:
            assert not server.complete
        assert server.principal in {None, "SWNTEST\\witness"}

    def test_every_octet_of_authenticate_is_covered_by_the_mic(self) -> None:
        """A changed octet that makes the token malformed is an error, too."""
        client, probe = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        size = len(client.step(probe.step(client.step(b""))))
        for at in range(size):
            client, server = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
            token = bytearray(client.step(server.step(client.step(b""))))
            assert len(token) == size
            token[at] ^= 0x04
            with pytest.raises(AuthenticationError):
                server.step(bytes(token))

    def test_a_session_key_of_another_size_is_rejected(self) -> None:
        client, server = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        token = bytearray(client.step(server.step(client.step(b""))))
        token[52:54] = (8).to_bytes(2, "little")  # EncryptedRandomSessionKeyFields.Len (MS-NLMP 2.2.1.3)
        with pytest.raises(AuthenticationError, match="EncryptedRandomSessionKey has 8 octets, not 16"):
            server.step(bytes(token))

    def test_an_announced_mic_must_be_present(self) -> None:
        """impacket's client copies the flag for the MIC from the challenge, but sends no MIC."""
        client, server = ImpacketClient("witness", "Passw0rd!"), ACCEPTOR.new(10)
        challenge = Challenge.unpack(server.step(client.negotiate()))
        assert challenge.target_info is not None
        info = TargetInfo([(AvId.flags, AvFlags.mic), *challenge.target_info.items()])
        misleading = Challenge(
            challenge.flags, challenge.server_challenge, target_name="SWNTEST", target_info=info
        )
        with pytest.raises(AuthenticationError, match="announces a MIC but does not contain one"):
            server.step(client.authenticate(misleading.pack()))

    def test_a_challenge_without_key_exchange(self) -> None:
        """Without a key exchange, the key from the password is the session key (MS-NLMP 3.1.5.1.2)."""
        client, server = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        challenge = Challenge.unpack(server.step(client.step(b"")))
        challenge.flags &= ~NegotiateFlags.key_exch
        acceptor = server._proxy  # type: ignore[attr-defined]
        acceptor._temp_challenge, acceptor._sent_challenge = challenge, challenge.pack()
        assert server.step(client.step(challenge.pack())) == b""
        body, signature = client.protect(AuthLevel.INTEGRITY, b"head", b"body", b"tail")
        assert server.unprotect(AuthLevel.INTEGRITY, b"head", body, b"tail", signature) == b"body"

    def test_ntlmv1_is_rejected(self) -> None:
        from impacket import ntlm

        server = ACCEPTOR.new(10)
        negotiate = ntlm.getNTLMSSPType1("", "", signingRequired=True, use_ntlmv2=False)
        challenge = server.step(negotiate.getData())
        authenticate, _ = ntlm.getNTLMSSPType3(
            negotiate, challenge, "witness", "Passw0rd!", "", use_ntlmv2=False
        )
        with pytest.raises(AuthenticationError, match="24 octets"):
            server.step(authenticate.getData())

    def test_extended_session_security_is_required(self) -> None:
        negotiate = bytearray(initiator(10, Credentials("witness", "Passw0rd!"), host="x").step(b""))
        negotiate[14] &= ~0x08  # NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY is 0x00080000
        with pytest.raises(AuthenticationError, match="EXTENDED_SESSIONSECURITY"):
            ACCEPTOR.new(10).step(bytes(negotiate))

    @pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_a_level_that_the_client_has_not_negotiated(self, level: AuthLevel) -> None:
        """Without NTLMSSP_NEGOTIATE_SIGN pyspnego would compare with a constant."""
        client = ImpacketClient("witness", "Passw0rd!", sign=level == AuthLevel.PRIVACY)
        server = ACCEPTOR.new(10, level)
        challenge = server.step(client.negotiate())
        with pytest.raises(AuthenticationError, match=f"without the features of level {level:d}"):
            server.step(client.authenticate(challenge))

    def test_unsupported_authentication_types_are_rejected(self) -> None:
        for auth_type in (AuthType.KERBEROS, AuthType.SCHANNEL, 0x63):
            with pytest.raises(AuthenticationError, match="not supported"):
                ACCEPTOR.new(auth_type)


class TestSpnego:
    def offer(self, mechanisms: list[str], token: bytes | None = None) -> bytes:
        from spnego._spnego import NegTokenInit

        return NegTokenInit(mechanisms, mech_token=token).pack()

    KERBEROS, MS_KERBEROS, NTLM = "1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2", "1.3.6.1.4.1.311.2.2.10"

    def test_the_token_of_another_mechanism_is_skipped(self) -> None:
        """Windows offers Kerberos first, with a ticket, and continues with NTLM (RFC 4178 4.2.1)."""
        from spnego._spnego import NegState, NegTokenResp, unpack_token

        server = ACCEPTOR.new(9)
        answer = unpack_token(server.step(self.offer([self.MS_KERBEROS, self.NTLM], b"\x60\x03not")))
        assert isinstance(answer, NegTokenResp)
        assert (answer.supported_mech, answer.neg_state) == (self.NTLM, NegState.request_mic)
        assert not answer.response_token
        negotiate = initiator(10, Credentials("witness", "Passw0rd!"), host="x").step(b"")
        assert b"NTLMSSP\0\2" in server.step(NegTokenResp(response_token=negotiate).pack())

    @pytest.mark.parametrize("offered", [[KERBEROS], [MS_KERBEROS, KERBEROS], ["1.2.3"], []])
    def test_unsupported_mechanisms_are_rejected(self, offered: list[str]) -> None:
        with pytest.raises(AuthenticationError):
            ACCEPTOR.new(9).step(self.offer(offered, b"token"))

    @pytest.mark.parametrize("first", [True, False])
    def test_a_client_cannot_complete_spnego_without_ntlm(self, *, first: bool) -> None:
        """A client sends accept-completed (RFC 4178 4.2.2) before NTLM has authenticated it."""
        server = ACCEPTOR.new(9)
        if not first:
            server.step(initiator(9, Credentials("witness", "x"), host="x").step(b""))
        with pytest.raises(AuthenticationError):
            server.step(bytes.fromhex("a1073005a0030a0100"))
        assert not server.complete
        assert server.principal is None

    def test_a_mechanism_that_cannot_sign_exchanges_no_mic(self) -> None:
        """Samba's client at level connect does not set NTLMSSP_NEGOTIATE_SIGN (RFC 4178 5)."""
        from spnego._spnego import NegState, NegTokenResp, unpack_token

        client = ImpacketClient("witness", "Passw0rd!", sign=False)
        server = ACCEPTOR.new(9, AuthLevel.CONNECT)
        challenge = unpack_token(server.step(self.offer([self.NTLM], client.negotiate())))
        authenticate = client.authenticate(challenge.response_token)
        answer = unpack_token(server.step(NegTokenResp(response_token=authenticate).pack()))
        assert (answer.neg_state, answer.mech_list_mic) == (NegState.accept_complete, None)
        assert server.principal == "SWNTEST\\witness"

    def test_a_changed_list_of_mechanisms_is_rejected(self) -> None:
        """mechListMIC covers the list of mechanisms, so a changed list is an error."""
        client, server = initiator(9, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(9)
        init = client.step(b"")
        ntlm = init[init.index(b"NTLMSSP\0") :]
        challenge = server.step(self.offer([self.NTLM, self.KERBEROS], ntlm))
        with pytest.raises(AuthenticationError):
            server.step(client.step(challenge))
