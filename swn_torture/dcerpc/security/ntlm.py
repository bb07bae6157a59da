"""NTLM and SPNEGO on top of pyspnego, with the parts that its public interface does not offer.

The classes of pyspnego cannot be used unchanged:

* Its NTLM acceptor reads accounts only from a file that an environment variable names. It also computes the
  NTLMv2 response from the parsed attribute pairs plus four zero octets. Samba's and impacket's clients do not
  send these octets, so it rejects both.
* Its NTLM initiator takes the workstation from the environment or the host name, and has no anonymous logon.
  It returns flags that are the server's only, and leaves out the channel bindings when there are none.
* Its SPNEGO acceptor passes the optimistic token of an unsupported mechanism to a supported one.

So this module overrides single steps of these classes. The steps are private, and pyproject pins the minor
version; ``tests/dcerpc/test_pyspnego_internals.py`` fails when they change.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from spnego._context import ContextReq
from spnego._credential import Password
from spnego._negotiate import NegotiateProxy
from spnego._ntlm_raw.crypto import compute_response_v2, hmac_md5, ntowfv1, ntowfv2, rc4k
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvFlags,
    AvId,
    Challenge,
    FileTime,
    Negotiate,
    TargetInfo,
)
from spnego._ntlm_raw.messages import NegotiateFlags as Flags
from spnego.exceptions import BadMechanismError, InvalidTokenError, NegotiateOptions

from swn_torture.dcerpc.security.ntlm_messages import (
    CLIENT_VERSION,
    av_flags,
    challenge_octets,
    negotiate_message,
    new_initiator,
)
from swn_torture.dcerpc.security.ntlm_signatures import SigningProxy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spnego._context import ContextProxy, GSSMech
    from spnego._ntlm import _NTLMCredential
    from spnego.channel_bindings import GssChannelBindings

    from swn_torture.dcerpc.security.context import Credentials

_NEGOTIABLE = (
    Flags.unicode
    | Flags.oem
    | Flags.sign
    | Flags.seal
    | Flags.identity
    | Flags.version
    | Flags.key_exch
    | Flags.key_128
    | Flags.key_56
    | Flags.extended_session_security
)
"""The flags of a client that the acceptor returns; it ignores others (obsolete, connectionless, server's)."""

_ANSWERED = (
    Flags.request_target | Flags.ntlm | Flags.always_sign | Flags.target_info | Flags.target_type_domain
)
"""The flags that the acceptor always sets in its CHALLENGE."""

_SERVERS_CHOICE = Flags.target_info | Flags.version
"""The flags of a CHALLENGE that the initiator returns although its NEGOTIATE may lack them."""

_BEFORE_AV_PAIRS = 28
"""Octets of an NTLMv2_CLIENT_CHALLENGE before its AvPairs (MS-NLMP 2.2.2.7)."""

_NTPROOF_SIZE = 16
_SHORTEST_NTLMV2 = _NTPROOF_SIZE + 32  # NTProofStr, then MS-NLMP 2.2.2.7 with only AV_EOL


def _require_session_security(flags: int) -> None:
    """Reject NTLM without extended session security, because its signatures are only a CRC-32."""
    if not flags & Flags.extended_session_security:
        raise InvalidTokenError(
            context_msg="NTLM: the peer does not negotiate NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY"
        )


class NtlmInitiator(SigningProxy):
    """The client's end of NTLMv2. It takes nothing from the environment.

    Args:
        credentials: of the client, with its workstation; they may be anonymous.
        spn: service principal name of the server.
        context_req: the features to request.
    """

    def __init__(self, credentials: Credentials, spn: str, context_req: ContextReq) -> None:
        account = f"{credentials.domain}\\{credentials.username}"
        vars(self).update(new_initiator(account, credentials.password, context_req))
        self.spn = spn
        self._anonymous = credentials.anonymous
        self._workstation = credentials.workstation
        # LM_COMPAT_LEVEL in the environment may have changed these.
        self._lm, self._nt_v1, self._nt_v2 = False, False, True
        self._context_req = (self._context_req | Flags.extended_session_security) & ~Flags.lm_key

    def _step_initiate(
        self, in_token: bytes | None = None, *, channel_bindings: GssChannelBindings | None = None
    ) -> bytes:
        if self._temp_negotiate is None:
            self._temp_negotiate = negotiate_message(int(self._context_req))
            return self._temp_negotiate.pack()
        token = in_token or b""
        challenge = Challenge.unpack(token)
        _require_session_security(challenge.flags)
        assert self._credential is not None

        if self._anonymous:  # MS-NLMP 3.3.2: no NT response, one zero octet as LM response, a zero key
            self._mic_required = False
            nt_response, lm_response, exchange_key = b"", bytes(1), bytes(16)
        else:
            nt_response, lm_response, exchange_key = self._compute_response(
                challenge, self._credential, channel_bindings
            )
        session_key, encrypted_key = exchange_key, b""
        if challenge.flags & Flags.key_exch:
            session_key = secrets.token_bytes(16)
            encrypted_key = rc4k(exchange_key, session_key)
        authenticate = Authenticate(
            self._agreed(challenge) | (Flags.anonymous if self._anonymous else 0),
            lm_response,
            nt_response,
            domain_name=self._credential.domain,
            username=self._credential.username,
            workstation=self._workstation,
            encrypted_session_key=encrypted_key,
            version=CLIENT_VERSION,
        )
        if self._mic_required:
            authenticate.mic = self._calculate_mic(
                session_key, self._temp_negotiate.pack(), token, authenticate.pack()
            )
        self._session_key = session_key
        self._context_attr = authenticate.flags
        self._complete = True
        return authenticate.pack()

    def _agreed(self, challenge: Challenge) -> int:
        """Return the flags of both messages (MS-NLMP 2.2.2.5); those about TargetName are the server's."""
        flags = challenge.flags & (int(self._context_req) | _SERVERS_CHOICE)
        return flags & ~Flags.oem if flags & Flags.unicode else flags

    def _compute_response(
        self,
        challenge: Challenge,
        credential: _NTLMCredential,
        channel_bindings: GssChannelBindings | None,
    ) -> tuple[bytes, bytes, bytes]:
        """Return NTLMv2 response, LM response and key exchange key (MS-NLMP 3.1.5.1.2, 3.3.2)."""
        del channel_bindings  # DCE/RPC over TCP has no outer channel
        info, now = TargetInfo(), FileTime.now()
        offered = challenge.target_info  # unpacked each time
        if offered is not None:
            info = offered.copy()
            self._mic_required = AvId.timestamp in info
            if self._mic_required:
                now = info[AvId.timestamp]
                info[AvId.flags] = info.get(AvId.flags, AvFlags(0)) | AvFlags.mic
            info[AvId.channel_bindings] = bytes(16)
            info[AvId.target_name] = self.spn or ""
        nt_response, lm_response, key = compute_response_v2(
            ntowfv2(credential.username or "", credential.nt_hash, credential.domain),
            challenge.server_challenge,
            secrets.token_bytes(8),
            now,
            info,
        )
        return nt_response, bytes(24) if self._mic_required else lm_response, key


class Accounts:
    """The accounts of an acceptor. Names are compared without regard to case.

    Args:
        users: passwords by account name.
        domain: of the accounts without a domain of their own.
    """

    def __init__(self, users: Mapping[str, str], domain: str) -> None:
        self._domain = domain
        self._hashes: dict[tuple[str, str], tuple[str, bytes]] = {}
        for name, password in users.items():
            user_domain, _, user = name.rpartition("\\")
            principal = f"{user_domain or domain}\\{user}"
            self._hashes[user_domain.upper(), user.upper()] = (principal, ntowfv1(password))

    def find(self, user: str, domain: str) -> tuple[str, bytes]:
        """Return the principal and the NT hash of an account.

        An account without a domain of its own matches any domain of the client, as on a stand-alone server:
        clients send their workgroup, their machine name, or nothing.

        Raises:
            InvalidTokenError: there is no such account.
        """
        if not domain and "@" in user:
            user, _, domain = user.partition("@")
        for key in ((domain.upper(), user.upper()), ("", user.upper())):
            if key in self._hashes:
                return self._hashes[key]
        raise InvalidTokenError(context_msg=f"NTLM: no account {user!r} in domain {domain!r}")


class NtlmAcceptor(SigningProxy):
    """The server's end of NTLMv2, with accounts in memory.

    Args:
        accounts: the accounts that may log on.
        domain: NetBIOS name of the domain for the challenge.
        hostname: DNS name or plain name of this server.
        allow_anonymous: accept a logon with neither name nor response, with principal ``""``.
    """

    def __init__(
        self, accounts: Accounts, domain: str, hostname: str, *, allow_anonymous: bool = False
    ) -> None:
        # NTLMProxy does not accept the usage "accept" without a credential file. So it is made as an
        # initiator and changed before its first step.
        vars(self).update(new_initiator("-", None, ContextReq.default))
        self.usage = "accept"
        self._credential = None
        self._accounts = accounts
        self._domain = domain
        self._host = hostname
        self._allow_anonymous = allow_anonymous
        self._principal: str | None = None
        self._sent_challenge = b""
        self._seen_negotiate = b""
        self._seen_mic = False

    @property
    def client_principal(self) -> str | None:
        """The authenticated client, ``None`` before the authentication is complete."""
        return self._principal

    @property
    def _requires_mech_list_mic(self) -> bool:
        return self._seen_mic

    def _step_accept_negotiate(self, token: bytes) -> bytes:
        negotiate = Negotiate.unpack(token)
        _require_session_security(negotiate.flags)
        flags = negotiate.flags & _NEGOTIABLE | _ANSWERED
        if flags & Flags.unicode:
            flags &= ~Flags.oem
        elif not flags & Flags.oem:  # MS-NLMP 2.2.2.5: an error
            raise InvalidTokenError(context_msg="NTLM: the peer offers neither Unicode nor OEM strings")
        challenge = Challenge.unpack(challenge_octets(flags, self._domain, self._host))
        self._temp_negotiate, self._temp_challenge = negotiate, challenge
        # The MIC covers the octets sent; a message that is packed again may differ.
        self._seen_negotiate, self._sent_challenge = token, challenge.pack()
        return self._sent_challenge

    def _step_accept_authenticate(self, token: bytes, channel_bindings: GssChannelBindings | None) -> None:
        del channel_bindings  # DCE/RPC over TCP has no outer channel
        assert self._temp_challenge is not None
        auth = Authenticate.unpack(token)
        flags = auth.flags & self._temp_challenge.flags
        if flags & (Flags.sign | Flags.seal):
            # Samba's client clears the flag for an anonymous logon, which signs nothing.
            _require_session_security(flags)
        user, domain = auth.user_name or "", auth.domain_name or ""
        response = auth.nt_challenge_response or b""
        if not user and not response and (auth.lm_challenge_response or b"\0") == b"\0":
            if not self._allow_anonymous:
                raise InvalidTokenError(context_msg="NTLM: anonymous logon is not allowed here")
            principal, exchange_key = "", bytes(16)
        else:
            principal, nt_hash = self._accounts.find(user, domain)
            exchange_key = self._check_response(ntowfv2(user, nt_hash, domain), response)
        session_keys = self._session_keys(flags, exchange_key, auth.encrypted_random_session_key or b"")
        self._session_key = session_keys[0]
        if response:
            self._session_key = self._check_mic(session_keys, token, auth, response)
        self._context_attr = flags
        self._principal = principal
        self._complete = True

    def _check_response(self, response_key: bytes, response: bytes) -> bytes:
        """Return the key exchange key of a correct NTLMv2 response (MS-NLMP 3.3.2)."""
        if len(response) < _SHORTEST_NTLMV2:
            raise InvalidTokenError(
                context_msg=f"NTLM: response of {len(response)} octets, NTLMv2 has {_SHORTEST_NTLMV2} or more"
            )
        assert self._temp_challenge is not None
        # Over the octets received, because clients differ in what follows AV_EOL.
        proof = hmac_md5(response_key, self._temp_challenge.server_challenge + response[_NTPROOF_SIZE:])
        if not hmac.compare_digest(proof, response[:_NTPROOF_SIZE]):
            raise InvalidTokenError(context_msg="NTLM: response does not match the password")
        return hmac_md5(response_key, proof)

    def _session_keys(self, flags: int, exchange_key: bytes, encrypted: bytes) -> list[bytes]:
        """Return the session keys that the client may use, the more likely one first."""
        if not flags & Flags.key_exch:
            return [exchange_key]
        if len(encrypted) == 16:
            keys = [rc4k(exchange_key, encrypted)]
        elif flags & (Flags.sign | Flags.seal):
            raise InvalidTokenError(
                context_msg=f"NTLM: EncryptedRandomSessionKey has {len(encrypted)} octets, not 16"
            )
        else:
            keys = []
        # Without signing and sealing MS-NLMP 3.1.5.1.2 exchanges no key, but Samba's client does.
        return keys if flags & (Flags.sign | Flags.seal) else [*keys, exchange_key]

    def _check_mic(self, keys: list[bytes], token: bytes, auth: Authenticate, response: bytes) -> bytes:
        """Check the MIC over the three messages, if the client says that it sends one (MS-NLMP 2.2.2.1).

        Returns:
            The session key of the MIC; the first key without a MIC.
        """
        if not av_flags(response[_NTPROOF_SIZE + _BEFORE_AV_PAIRS :]) & AvFlags.mic.value:
            return keys[0]
        mic = auth.mic
        if mic is None:
            raise InvalidTokenError(context_msg="NTLM: AUTHENTICATE announces a MIC but does not contain one")
        # At 72, after the version field; some clients omit that field.
        at = 72 if token[72:88] == mic else 64
        zeroed = token[:at] + bytes(16) + token[at + 16 :]
        for key in keys:
            expected = hmac_md5(key, self._seen_negotiate + self._sent_challenge + zeroed)
            if hmac.compare_digest(expected, mic):
                self._seen_mic = True
                return key
        raise InvalidTokenError(context_msg="NTLM: MIC does not match the messages exchanged")


class SpnegoNegotiation(NegotiateProxy):
    """SPNEGO with exactly the given mechanisms, the first one preferred (RFC 4178).

    Args:
        usage: ``initiate`` or ``accept``.
        mechanisms: a new context for each mechanism.
        context_req: the features requested of the mechanisms. With ``dce_style`` mechListMICs are exchanged.
            Only an acceptor that uses the initiator's first mechanism does without, if that one sent no MIC.
    """

    def __init__(
        self, usage: str, mechanisms: Mapping[GSSMech, ContextProxy], context_req: ContextReq
    ) -> None:
        for context in mechanisms.values():
            context._is_wrapped = True  # noqa: SLF001  NegotiateProxy does this with its own contexts
        super().__init__(
            # Not used, because the mechanisms have their own. Without it NegotiateProxy opens a credential
            # cache.
            Password("-", "-"),
            context_req=context_req,
            usage=usage,
            options=NegotiateOptions.use_negotiate,
            _negotiate_contexts=dict(mechanisms),
        )
        self._mechanisms = dict(mechanisms)

    def _preferred_mech_list(self) -> list[GSSMech]:
        return list(self._mechanisms)

    def _rebuild_context_list(
        self, mech_types: list[str] | None = None, channel_bindings: GssChannelBindings | None = None
    ) -> list[str]:
        if mech_types is not None:
            # The base class would select its preferred context, even if the client does not offer it.
            self._available_contexts = {
                mech: context
                for mech, context in self._mechanisms.items()
                if any(self._is_same_mech(mech, oid) for oid in mech_types)
            }
            if not self._available_contexts:
                raise BadMechanismError(
                    context_msg=f"SPNEGO: none of the offered mechanisms {mech_types} is supported"
                )
        return super()._rebuild_context_list(mech_types, channel_bindings)

    def _step_spnego_input(
        self, in_token: bytes | None = None, channel_bindings: GssChannelBindings | None = None
    ) -> tuple[bytes | None, bytes | None, bool]:
        first = not self._init_sent
        token, mic, is_spnego = super()._step_spnego_input(in_token, channel_bindings)
        optimistic = self.usage == "accept" and first and is_spnego and bool(self._mech_list)
        if optimistic and not self._is_same_mech(self._chosen_mech, self._mech_list[0]):
            # RFC 4178 4.2.1: the optimistic token belongs to the mechanism that the initiator prefers.
            token = None
        return token, mic, is_spnego

    @property
    def _accepts_first_choice(self) -> bool:
        """Whether this acceptor uses the mechanism that the initiator prefers."""
        return (
            self.usage == "accept"
            and bool(self._mech_list)
            and self._is_same_mech(self._chosen_mech, self._mech_list[0])
        )

    def _step_spnego_output(
        self, out_token: bytes | None = None, out_mic: bytes | None = None
    ) -> bytes | None:
        if not self._accepts_first_choice or self._mech_sent or self._context.complete:
            return super()._step_spnego_output(out_token, out_mic)
        # accept-incomplete, as Windows and Samba answer; request-mic is for another choice (RFC 4178 5).
        required, self._mic_required = self._mic_required, False
        try:
            return super()._step_spnego_output(out_token, out_mic)
        finally:
            self._mic_required = required

    def _step_spnego_mic(self, in_mic: bytes | None = None) -> bytes | None:
        if not in_mic and self._context.complete and self._accepts_first_choice and not self._mic_sent:
            # RFC 4178 5: optional then. NTLM with a MIC of its own still needs one, as in Samba.
            self._mic_required = self._requires_mech_list_mic
        if self._context.complete and not self._context.context_attr & ContextReq.integrity:
            # RFC 4178 5: no mechListMIC if the mechanism cannot sign, as NTLM at level connect. Without
            # NTLMSSP_NEGOTIATE_SIGN the base class would send a constant, which Samba's client rejects.
            self._mic_required = False
            return None
        return super()._step_spnego_mic(in_mic)
