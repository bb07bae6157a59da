"""NTLM and SPNEGO on top of pyspnego, with what its public interface leaves out.

pyspnego's own classes cannot serve here as they are:

* its NTLM acceptor reads accounts only from a file named by an environment variable, and recomputes the
  NTLMv2 response from parsed attribute pairs plus four zero octets, which Samba's and impacket's clients do
  not send, so that both are refused;
* its NTLM initiator takes the workstation from the environment or the host name and knows no anonymous logon;
* its SPNEGO acceptor hands the optimistic token of a mechanism it does not serve to the one it does serve.

So this module overrides single steps of them. Those are private (pyproject pins the minor version):
``tests/dcerpc/test_acceptor.py`` notices when they change.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from spnego._context import ContextReq
from spnego._credential import NTLMHash, Password
from spnego._negotiate import NegotiateProxy
from spnego._ntlm import NTLMProxy
from spnego._ntlm_raw.crypto import hmac_md5, ntowfv1, ntowfv2, rc4k
from spnego._ntlm_raw.messages import (
    Authenticate,
    AvFlags,
    AvId,
    Challenge,
    FileTime,
    Negotiate,
    NTClientChallengeV2,
    TargetInfo,
    Version,
)
from spnego._ntlm_raw.messages import NegotiateFlags as Flags
from spnego.exceptions import BadMechanismError, InvalidTokenError, NegotiateOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spnego._context import ContextProxy, GSSMech
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
"""What of a client's flags the acceptor echoes; the rest is obsolete, connectionless or not the client's."""

_ANSWERED = (
    Flags.request_target | Flags.ntlm | Flags.always_sign | Flags.target_info | Flags.target_type_domain
)
"""What the acceptor always sets in its CHALLENGE."""

_NTPROOF_SIZE = 16
_SHORTEST_NTLMV2 = _NTPROOF_SIZE + 32  # NTProofStr, then MS-NLMP 2.2.2.7 with nothing but the closing AV_EOL


def _require_session_security(flags: int) -> None:
    """Refuse signatures that are a plain CRC-32, which NTLM has without extended session security."""
    if not flags & Flags.extended_session_security:
        raise InvalidTokenError(
            context_msg="NTLM: peer does not negotiate NTLMSSP_NEGOTIATE_EXTENDED_SESSIONSECURITY"
        )


class NtlmInitiator(NTLMProxy):
    """The calling end of NTLMv2: explicit workstation, anonymous if asked, nothing from the environment."""

    def __init__(self, credentials: Credentials, spn: str, context_req: ContextReq) -> None:
        # The hash, not the password: of a password NTLMProxy would also reckon the LM hash, which NTLMv2 has
        # no use for and which, in pure Python, costs more than all the rest of the logon.
        account = NTLMHash(
            f"{credentials.domain}\\{credentials.username}", nt_hash=ntowfv1(credentials.password).hex()
        )
        super().__init__(account, context_req=context_req, usage="initiate")
        self.spn = spn
        self._anonymous = credentials.anonymous
        self._workstation = credentials.workstation
        # LM_COMPAT_LEVEL in the environment may have turned these.
        self._lm, self._nt_v1, self._nt_v2 = False, False, True
        self._context_req = (self._context_req | Flags.extended_session_security) & ~Flags.lm_key

    def _step_initiate(
        self, in_token: bytes | None = None, *, channel_bindings: GssChannelBindings | None = None
    ) -> bytes:
        if self._temp_negotiate is None:
            return super()._step_initiate(in_token)
        token = in_token or b""
        challenge = Challenge.unpack(token)
        _require_session_security(challenge.flags)
        assert self._credential is not None

        if self._anonymous:  # MS-NLMP 3.3.2: no response, one zero octet for LM, a key of zeros
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
            challenge.flags | (Flags.anonymous if self._anonymous else 0),
            lm_response,
            nt_response,
            domain_name=self._credential.domain,
            username=self._credential.username,
            workstation=self._workstation,
            encrypted_session_key=encrypted_key,
            version=Version.get_current(),
        )
        if self._mic_required:
            authenticate.mic = self._calculate_mic(
                session_key, self._temp_negotiate.pack(), token, authenticate.pack()
            )
        self._session_key = session_key
        self._context_attr = authenticate.flags
        self._complete = True
        return authenticate.pack()


class Accounts:
    """The users an acceptor knows, names compared without regard to case."""

    def __init__(self, users: Mapping[str, str], domain: str) -> None:
        self._domain = domain
        self._hashes: dict[tuple[str, str], tuple[str, bytes]] = {}
        for name, password in users.items():
            user_domain, _, user = name.rpartition("\\")
            principal = f"{user_domain or domain}\\{user}"
            self._hashes[user_domain.upper(), user.upper()] = (principal, ntowfv1(password))

    def find(self, user: str, domain: str) -> tuple[str, bytes]:
        """Return the principal and the NT hash of an account.

        A user without a domain of its own is found whatever domain the client claims, as on a stand-alone
        server: clients send their workgroup, their machine name, or nothing.

        Raises:
            InvalidTokenError: no such account.
        """
        if not domain and "@" in user:
            user, _, domain = user.partition("@")
        for key in ((domain.upper(), user.upper()), ("", user.upper())):
            if key in self._hashes:
                return self._hashes[key]
        raise InvalidTokenError(context_msg=f"NTLM: no account {user!r} in domain {domain!r}")


class NtlmAcceptor(NTLMProxy):
    """The answering end of NTLMv2 with accounts in memory.

    Args:
        accounts: who may log on.
        domain: NetBIOS name of the domain in the challenge.
        hostname: DNS or plain name of this server.
        allow_anonymous: whether a logon with neither name nor response is let in, with principal ``""``.
    """

    def __init__(
        self, accounts: Accounts, domain: str, hostname: str, *, allow_anonymous: bool = False
    ) -> None:
        # NTLMProxy refuses to be an acceptor without its credential file. An initiator needs none, so the
        # base is made as one and turned round before its first step.
        super().__init__(NTLMHash("-"), usage="initiate")
        self.usage = "accept"
        self._credential = None
        self._accounts = accounts
        self._domain = domain
        self._host = hostname
        self._allow_anonymous = allow_anonymous
        self._principal: str | None = None
        self._sent_challenge = b""
        self._seen_negotiate = b""

    @property
    def client_principal(self) -> str | None:
        """Who called, once that is proved."""
        return self._principal

    def _step_accept_negotiate(self, token: bytes) -> bytes:
        negotiate = Negotiate.unpack(token)
        _require_session_security(negotiate.flags)
        flags = negotiate.flags & _NEGOTIABLE | _ANSWERED
        if flags & Flags.unicode:
            flags &= ~Flags.oem
        computer, _, dns_domain = self._host.partition(".")
        info = TargetInfo()
        info[AvId.nb_domain_name] = self._domain
        info[AvId.nb_computer_name] = computer.upper()[:15]
        if dns_domain:
            info[AvId.dns_domain_name] = dns_domain
        info[AvId.dns_computer_name] = self._host  # impacket fails without it
        info[AvId.timestamp] = FileTime.now()  # makes clients protect the exchange with a MIC
        challenge = Challenge(
            flags,
            secrets.token_bytes(8),
            target_name=self._domain,
            target_info=info,
            version=Version.get_current() if flags & Flags.version else None,
        )
        self._temp_negotiate, self._temp_challenge = negotiate, challenge
        # The MIC is over the octets exchanged, which a message packed anew need not equal.
        self._seen_negotiate, self._sent_challenge = token, challenge.pack()
        return self._sent_challenge

    def _step_accept_authenticate(self, token: bytes, channel_bindings: GssChannelBindings | None) -> None:
        del channel_bindings  # a DCE/RPC association has no outer channel to be bound to
        assert self._temp_challenge is not None
        auth = Authenticate.unpack(token)
        flags = auth.flags & self._temp_challenge.flags
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
        """Return the key exchange key that a right NTLMv2 response yields (MS-NLMP 3.3.2)."""
        if len(response) < _SHORTEST_NTLMV2:
            raise InvalidTokenError(
                context_msg=f"NTLM: response of {len(response)} octets, NTLMv2 has {_SHORTEST_NTLMV2} or more"
            )
        assert self._temp_challenge is not None
        # Over the octets as they came: whether anything follows AV_EOL differs from client to client.
        proof = hmac_md5(response_key, self._temp_challenge.server_challenge + response[_NTPROOF_SIZE:])
        if not hmac.compare_digest(proof, response[:_NTPROOF_SIZE]):
            raise InvalidTokenError(context_msg="NTLM: response does not match the password")
        return hmac_md5(response_key, proof)

    def _session_keys(self, flags: int, exchange_key: bytes, encrypted: bytes) -> list[bytes]:
        """Return the keys that the client may mean, the likelier first."""
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
        # Without signing and sealing MS-NLMP 3.1.5.1.2 exchanges no key; Samba's client does nonetheless.
        return keys if flags & (Flags.sign | Flags.seal) else [*keys, exchange_key]

    def _check_mic(self, keys: list[bytes], token: bytes, auth: Authenticate, response: bytes) -> bytes:
        """Compare the MIC over the three messages, if the client says it made one (MS-NLMP 2.2.2.1).

        Returns:
            The session key with which it was made; the first one if none was.
        """
        info = NTClientChallengeV2.unpack(response[_NTPROOF_SIZE:]).av_pairs
        if not info.get(AvId.flags, AvFlags(0)) & AvFlags.mic:
            return keys[0]
        mic = auth.mic
        if mic is None:
            raise InvalidTokenError(context_msg="NTLM: AUTHENTICATE promises a MIC and has no room for it")
        # After the version field at 72; some clients leave that field out.
        at = 72 if token[72:88] == mic else 64
        zeroed = token[:at] + bytes(16) + token[at + 16 :]
        for key in keys:
            expected = hmac_md5(key, self._seen_negotiate + self._sent_challenge + zeroed)
            if hmac.compare_digest(expected, mic):
                return key
        raise InvalidTokenError(context_msg="NTLM: MIC does not match the messages exchanged")


class SpnegoNegotiation(NegotiateProxy):
    """SPNEGO among exactly the mechanisms given, the first one preferred (RFC 4178).

    Args:
        usage: ``initiate`` or ``accept``.
        mechanisms: one fresh context each.
        context_req: what was asked of the mechanisms; with ``dce_style`` mechListMICs are always exchanged.
    """

    def __init__(
        self, usage: str, mechanisms: Mapping[GSSMech, ContextProxy], context_req: ContextReq
    ) -> None:
        for context in mechanisms.values():
            context._is_wrapped = True  # noqa: SLF001  what NegotiateProxy does with contexts it makes itself
        super().__init__(
            # Never used: the mechanisms have theirs. Without it NegotiateProxy looks for a credential cache.
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
            # The base class would choose its own favourite among contexts it is given, offered or not.
            self._available_contexts = {
                mech: context
                for mech, context in self._mechanisms.items()
                if any(self._is_same_mech(mech, oid) for oid in mech_types)
            }
            if not self._available_contexts:
                raise BadMechanismError(
                    context_msg=f"SPNEGO: none of the offered mechanisms {mech_types} is served"
                )
        return super()._rebuild_context_list(mech_types, channel_bindings)

    def _step_spnego_input(
        self, in_token: bytes | None = None, channel_bindings: GssChannelBindings | None = None
    ) -> tuple[bytes | None, bytes | None, bool]:
        first = not self._init_sent
        token, mic, is_spnego = super()._step_spnego_input(in_token, channel_bindings)
        optimistic = self.usage == "accept" and first and is_spnego and bool(self._mech_list)
        if optimistic and not self._is_same_mech(self._chosen_mech, self._mech_list[0]):
            # RFC 4178 4.2.1: such a token is made for the initiator's own favourite.
            token = None
        return token, mic, is_spnego

    def _step_spnego_mic(self, in_mic: bytes | None = None) -> bytes | None:
        if self._context.complete and not self._context.context_attr & ContextReq.integrity:
            # RFC 4178 5: no mechListMIC where the mechanism cannot sign, as NTLM at level connect. Without
            # NTLMSSP_NEGOTIATE_SIGN the base class would send a constant, which Samba's client refuses.
            self._mic_required = False
            return None
        return super()._step_spnego_mic(in_mic)
