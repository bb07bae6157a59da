"""The answering end: who is let in, and what it makes of other people's clients."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spnego._ntlm_raw.messages import AvFlags, AvId, Challenge, NegotiateFlags, TargetInfo

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.context import Credentials, SecurityContext
from swn_torture.dcerpc.security.initiator import initiator
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from tests.dcerpc.impacket_client import ImpacketClient

USERS = {"witness": "Passw0rd!", "OTHER\\guest": "guest", "Ünï": "pässwörd"}
ACCEPTOR = Acceptor(USERS, "SWNTEST", "node1.swn.test")
PROVIDERS = [AuthType.NTLM, AuthType.SPNEGO]


def log_on(
    credentials: Credentials,
    auth_type: int = AuthType.NTLM,
    *,
    acceptor: Acceptor = ACCEPTOR,
    level: int = AuthLevel.INTEGRITY,
) -> SecurityContext:
    """Authenticate to an acceptor; return its end."""
    caller, answerer = (
        initiator(auth_type, credentials, host="node1", level=level),
        acceptor.new(auth_type, level),
    )
    token = caller.step(b"")
    while token:
        token = answerer.step(token)
        if token:
            token = caller.step(token)
    return answerer


@pytest.mark.parametrize("auth_type", PROVIDERS)
class TestAccounts:
    @pytest.mark.parametrize("domain", ["SWNTEST", "swntest", "", "WORKGROUP"])
    def test_a_plain_name_is_found_in_any_domain(self, auth_type: AuthType, domain: str) -> None:
        assert log_on(Credentials("WITNESS", "Passw0rd!", domain), auth_type).principal == "SWNTEST\\witness"

    def test_a_user_principal_name_is_taken_apart(self, auth_type: AuthType) -> None:
        assert log_on(Credentials("guest@other", "guest"), auth_type).principal == "OTHER\\guest"

    def test_a_qualified_name_is_found_in_its_domain_only(self, auth_type: AuthType) -> None:
        assert log_on(Credentials("guest", "guest", "OTHER"), auth_type).principal == "OTHER\\guest"
        with pytest.raises(AuthenticationError, match="no account 'guest' in domain 'SWNTEST'"):
            log_on(Credentials("guest", "guest", "SWNTEST"), auth_type)

    def test_names_and_passwords_beyond_ascii(self, auth_type: AuthType) -> None:
        assert log_on(Credentials("üNÏ", "pässwörd"), auth_type).principal == "SWNTEST\\Ünï"

    @pytest.mark.parametrize("password", ["", "passw0rd!", "Passw0rd!\0", "x" * 300])
    def test_wrong_password(self, auth_type: AuthType, password: str) -> None:
        with pytest.raises(AuthenticationError, match="does not match the password"):
            log_on(Credentials("witness", password, "SWNTEST"), auth_type)

    def test_unknown_user(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="no account 'nobody'"):
            log_on(Credentials("nobody", "Passw0rd!", "SWNTEST"), auth_type)

    def test_hash_instead_of_password(self, auth_type: AuthType) -> None:
        # MD4 of the UTF-16 of "Passw0rd!"; the LM half is not used by NTLMv2.
        by_hash = Credentials("witness", f"{0:032x}:fc525c9683e8fe067095ba2ddc971889", "SWNTEST")
        assert log_on(by_hash, auth_type).principal == "SWNTEST\\witness"

    def test_anonymous_only_if_allowed(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="anonymous"):
            log_on(Credentials("", ""), auth_type)
        open_house = Acceptor(USERS, allow_anonymous=True)
        assert log_on(Credentials("", ""), auth_type, acceptor=open_house).principal == ""

    def test_a_user_that_forgets_the_response_is_not_anonymous(self, auth_type: AuthType) -> None:
        open_house = Acceptor(USERS, allow_anonymous=True)
        with pytest.raises(AuthenticationError, match="no account ''"):
            log_on(Credentials("", "secret"), auth_type, acceptor=open_house)


def test_nothing_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NTLM_USER_FILE", "/nonexistent")
    monkeypatch.setenv("NETBIOS_COMPUTER_NAME", "ELSEWHERE")
    monkeypatch.setenv("LM_COMPAT_LEVEL", "0")
    caller, answerer = (
        initiator(10, Credentials("witness", "Passw0rd!", "", "CLIENT1"), host="x"),
        ACCEPTOR.new(10),
    )
    authenticate = caller.step(answerer.step(caller.step(b"")))
    assert "CLIENT1".encode("utf-16-le") in authenticate
    assert "ELSEWHERE".encode("utf-16-le") not in authenticate
    answerer.step(authenticate)
    assert answerer.principal == "SWNTEST\\witness"


def test_challenge_tells_the_servers_names() -> None:
    challenge = ACCEPTOR.new(10).step(initiator(10, Credentials("u", "p"), host="x").step(b""))
    for name in ["SWNTEST", "NODE1", "node1.swn.test", "swn.test"]:
        assert name.encode("utf-16-le") in challenge


def test_challenges_differ() -> None:
    negotiate = initiator(10, Credentials("u", "p"), host="x").step(b"")
    assert len({ACCEPTOR.new(10).step(negotiate)[24:32] for _ in range(20)}) == 20


class TestTokens:
    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_empty_token(self, auth_type: AuthType) -> None:
        with pytest.raises(AuthenticationError, match="empty token"):
            ACCEPTOR.new(auth_type).step(b"")

    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_empty_token_later(self, auth_type: AuthType) -> None:
        answerer = ACCEPTOR.new(auth_type)
        answerer.step(initiator(auth_type, Credentials("witness", "x"), host="x").step(b""))
        with pytest.raises(AuthenticationError, match="empty token"):
            answerer.step(b"")

    @pytest.mark.parametrize("auth_type", PROVIDERS)
    def test_token_after_the_end(self, auth_type: AuthType) -> None:
        answerer = log_on(Credentials("witness", "Passw0rd!"), auth_type)
        with pytest.raises(AuthenticationError, match="complete already"):
            answerer.step(b"more")

    def test_a_failed_context_stays_failed(self) -> None:
        caller, answerer = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        with pytest.raises(AuthenticationError):
            answerer.step(b"garbage")
        with pytest.raises(AuthenticationError, match="failed already"):
            answerer.step(caller.step(b""))

    @settings(max_examples=100)
    @given(
        auth_type=st.sampled_from(PROVIDERS), tokens=st.lists(st.binary(max_size=120), min_size=1, max_size=3)
    )
    def test_garbage(self, auth_type: AuthType, tokens: list[bytes]) -> None:
        answerer = ACCEPTOR.new(auth_type)
        for token in tokens:
            with pytest.raises(AuthenticationError):
                answerer.step(token)
        assert answerer.principal is None

    @settings(max_examples=300)
    @given(data=st.data(), auth_type=st.sampled_from(PROVIDERS), last=st.booleans())
    def test_damaged_tokens(self, data: st.DataObject, auth_type: AuthType, *, last: bool) -> None:
        """Whatever is changed, cut off or appended: an answer or AuthenticationError, never somebody else."""
        caller, answerer = (
            initiator(auth_type, Credentials("witness", "Passw0rd!"), host="x"),
            ACCEPTOR.new(auth_type),
        )
        token = bytearray(caller.step(b""))
        if last:
            token = bytearray(caller.step(answerer.step(bytes(token))))
        how = data.draw(st.sampled_from(["change", "cut", "append"]))
        if how == "change":
            for _ in range(data.draw(st.integers(1, 4))):
                token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
        elif how == "cut":
            del token[data.draw(st.integers(1, len(token) - 1)) :]
        else:
            token += data.draw(st.binary(min_size=1, max_size=40))
        try:
            answerer.step(bytes(token))
        except AuthenticationError:
            assert not answerer.complete
        assert answerer.principal in {None, "SWNTEST\\witness"}

    def test_every_octet_of_authenticate_is_covered_by_the_mic(self) -> None:
        """Except where flipping makes it no AUTHENTICATE at all, which is refused, too."""
        caller, probe = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        size = len(caller.step(probe.step(caller.step(b""))))
        for at in range(size):
            caller, answerer = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
            token = bytearray(caller.step(answerer.step(caller.step(b""))))
            assert len(token) == size
            token[at] ^= 0x04
            with pytest.raises(AuthenticationError):
                answerer.step(bytes(token))

    def test_an_encrypted_session_key_of_another_size(self) -> None:
        caller, answerer = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        token = bytearray(caller.step(answerer.step(caller.step(b""))))
        token[52:54] = (8).to_bytes(2, "little")  # EncryptedRandomSessionKeyFields.Len (MS-NLMP 2.2.1.3)
        with pytest.raises(AuthenticationError, match="EncryptedRandomSessionKey has 8 octets, not 16"):
            answerer.step(bytes(token))

    def test_a_mic_that_is_promised_has_to_be_there(self) -> None:
        """Impacket's client repeats what the challenge says of the client, and has no room for a MIC."""
        client, answerer = ImpacketClient("witness", "Passw0rd!"), ACCEPTOR.new(10)
        challenge = Challenge.unpack(answerer.step(client.negotiate()))
        assert challenge.target_info is not None
        info = TargetInfo([(AvId.flags, AvFlags.mic), *challenge.target_info.items()])
        misleading = Challenge(
            challenge.flags, challenge.server_challenge, target_name="SWNTEST", target_info=info
        )
        with pytest.raises(AuthenticationError, match="promises a MIC and has no room for it"):
            answerer.step(client.authenticate(misleading.pack()))

    def test_a_server_that_exchanges_no_key(self) -> None:
        """Then what the password yields is the key (MS-NLMP 3.1.5.1.2)."""
        caller, answerer = initiator(10, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(10)
        challenge = Challenge.unpack(answerer.step(caller.step(b"")))
        challenge.flags &= ~NegotiateFlags.key_exch
        acceptor = answerer._proxy  # type: ignore[attr-defined]
        acceptor._temp_challenge, acceptor._sent_challenge = challenge, challenge.pack()
        assert answerer.step(caller.step(challenge.pack())) == b""
        body, signature = caller.protect(AuthLevel.INTEGRITY, b"head", b"body", b"tail")
        assert answerer.unprotect(AuthLevel.INTEGRITY, b"head", body, b"tail", signature) == b"body"

    def test_ntlmv1_is_refused(self) -> None:
        from impacket import ntlm

        answerer = ACCEPTOR.new(10)
        negotiate = ntlm.getNTLMSSPType1("", "", signingRequired=True, use_ntlmv2=False)
        challenge = answerer.step(negotiate.getData())
        authenticate, _ = ntlm.getNTLMSSPType3(
            negotiate, challenge, "witness", "Passw0rd!", "", use_ntlmv2=False
        )
        with pytest.raises(AuthenticationError, match="24 octets"):
            answerer.step(authenticate.getData())

    def test_extended_session_security_is_required(self) -> None:
        negotiate = bytearray(initiator(10, Credentials("witness", "Passw0rd!"), host="x").step(b""))
        negotiate[14] &= ~0x08  # NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY is 0x00080000
        with pytest.raises(AuthenticationError, match="EXTENDED_SESSIONSECURITY"):
            ACCEPTOR.new(10).step(bytes(negotiate))

    @pytest.mark.parametrize("level", [AuthLevel.INTEGRITY, AuthLevel.PRIVACY])
    def test_a_level_the_client_has_not_negotiated(self, level: AuthLevel) -> None:
        """Without NTLMSSP_NEGOTIATE_SIGN pyspnego would "verify" a constant."""
        client = ImpacketClient("witness", "Passw0rd!", sign=level == AuthLevel.PRIVACY)
        answerer = ACCEPTOR.new(10, level)
        challenge = answerer.step(client.negotiate())
        with pytest.raises(AuthenticationError, match=f"what level {level:d} needs"):
            answerer.step(client.authenticate(challenge))

    def test_type_not_served(self) -> None:
        for auth_type in (AuthType.KERBEROS, AuthType.SCHANNEL, 0x63):
            with pytest.raises(AuthenticationError, match="not served"):
                ACCEPTOR.new(auth_type)


class TestSpnego:
    def offer(self, mechanisms: list[str], token: bytes | None = None) -> bytes:
        from spnego._spnego import NegTokenInit

        return NegTokenInit(mechanisms, mech_token=token).pack()

    KERBEROS, MS_KERBEROS, NTLM = "1.2.840.113554.1.2.2", "1.2.840.48018.1.2.2", "1.3.6.1.4.1.311.2.2.10"

    def test_optimistic_token_of_another_mechanism_is_skipped(self) -> None:
        """Windows offers Kerberos first, with a ticket, and goes on when NTLM is chosen (RFC 4178 4.2.1)."""
        from spnego._spnego import NegState, NegTokenResp, unpack_token

        answerer = ACCEPTOR.new(9)
        answer = unpack_token(answerer.step(self.offer([self.MS_KERBEROS, self.NTLM], b"\x60\x03not")))
        assert isinstance(answer, NegTokenResp)
        assert (answer.supported_mech, answer.neg_state) == (self.NTLM, NegState.request_mic)
        assert not answer.response_token
        negotiate = initiator(10, Credentials("witness", "Passw0rd!"), host="x").step(b"")
        assert b"NTLMSSP\0\2" in answerer.step(NegTokenResp(response_token=negotiate).pack())

    @pytest.mark.parametrize("offered", [[KERBEROS], [MS_KERBEROS, KERBEROS], ["1.2.3"], []])
    def test_nothing_in_common(self, offered: list[str]) -> None:
        with pytest.raises(AuthenticationError):
            ACCEPTOR.new(9).step(self.offer(offered, b"token"))

    @pytest.mark.parametrize("first", [True, False])
    def test_a_client_cannot_declare_itself_authenticated(self, *, first: bool) -> None:
        """accept-completed (RFC 4178 4.2.2) from the client, before NTLM has seen a password."""
        answerer = ACCEPTOR.new(9)
        if not first:
            answerer.step(initiator(9, Credentials("witness", "x"), host="x").step(b""))
        with pytest.raises(AuthenticationError):
            answerer.step(bytes.fromhex("a1073005a0030a0100"))
        assert not answerer.complete
        assert answerer.principal is None

    def test_a_mechanism_that_cannot_sign_exchanges_no_mic(self) -> None:
        """Samba's client at level connect asks for no NTLMSSP_NEGOTIATE_SIGN (RFC 4178 5)."""
        from spnego._spnego import NegState, NegTokenResp, unpack_token

        client = ImpacketClient("witness", "Passw0rd!", sign=False)
        answerer = ACCEPTOR.new(9, AuthLevel.CONNECT)
        challenge = unpack_token(answerer.step(self.offer([self.NTLM], client.negotiate())))
        authenticate = client.authenticate(challenge.response_token)
        answer = unpack_token(answerer.step(NegTokenResp(response_token=authenticate).pack()))
        assert (answer.neg_state, answer.mech_list_mic) == (NegState.accept_complete, None)
        assert answerer.principal == "SWNTEST\\witness"

    def test_tampered_list_of_mechanisms_is_noticed(self) -> None:
        """A man in the middle takes an offer out; mechListMIC is over the list as each end saw it."""
        caller, answerer = initiator(9, Credentials("witness", "Passw0rd!"), host="x"), ACCEPTOR.new(9)
        init = caller.step(b"")
        ntlm = init[init.index(b"NTLMSSP\0") :]
        challenge = answerer.step(self.offer([self.NTLM, self.KERBEROS], ntlm))
        with pytest.raises(AuthenticationError):
            answerer.step(caller.step(challenge))


class TestPrivateParts:
    """What swn_torture/dcerpc/ntlm.py overrides or calls in pyspnego: a version that moves it fails here."""

    def test_steps_have_the_signatures_we_override(self) -> None:
        from spnego._negotiate import NegotiateProxy
        from spnego._ntlm import NTLMProxy

        def names(function: Any) -> list[str]:
            return list(inspect.signature(function).parameters)

        assert names(NTLMProxy._step_initiate) == ["self", "in_token", "channel_bindings"]
        assert names(NTLMProxy._step_accept_negotiate) == ["self", "token"]
        assert names(NTLMProxy._step_accept_authenticate) == ["self", "token", "channel_bindings"]
        assert names(NTLMProxy._compute_response) == ["self", "challenge", "credential", "channel_bindings"]
        assert names(NTLMProxy._calculate_mic) == [
            "self", "session_key", "negotiate", "challenge", "authenticate",
        ]  # fmt: skip
        assert names(NegotiateProxy._preferred_mech_list) == ["self"]
        assert names(NegotiateProxy._rebuild_context_list) == ["self", "mech_types", "channel_bindings"]
        assert names(NegotiateProxy._step_spnego_input) == ["self", "in_token", "channel_bindings"]
        assert names(NegotiateProxy._step_spnego_mic) == ["self", "in_mic"]
        assert names(NegotiateProxy._is_same_mech) == ["mech", "oid"]

    def test_state_we_set_is_state_the_library_keeps(self) -> None:
        from spnego import ContextReq
        from spnego._credential import Password
        from spnego._negotiate import NegotiateProxy
        from spnego._ntlm import NTLMProxy

        ntlm = vars(NTLMProxy(Password("u", "p"), context_req=ContextReq.default))
        assert set(ntlm) >= {
            "usage", "spn", "_credential", "_lm", "_nt_v1", "_nt_v2", "_context_req", "_context_attr",
            "_mic_required", "_session_key", "_complete", "_temp_negotiate", "_temp_challenge", "_is_wrapped",
        }  # fmt: skip
        spnego = vars(NegotiateProxy(Password("u", "p")))
        assert set(spnego) >= {"_init_sent", "_mech_list", "_mic_required", "_available_contexts"}

    def test_the_reason_for_it_still_holds(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
        """When stock pyspnego lets impacket's client in, most of ntlm.py can go."""
        import spnego
        from spnego.exceptions import SpnegoError

        users = tmp_path / "users"
        users.write_text("SWNTEST:witness:Passw0rd!\n")
        monkeypatch.setenv("NTLM_USER_FILE", str(users))
        stock = spnego.server(protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
        client = ImpacketClient("witness", "Passw0rd!")
        challenge = stock.step(client.negotiate())
        assert challenge is not None
        with pytest.raises(SpnegoError, match="Invalid NTLM response"):
            stock.step(client.authenticate(challenge))
