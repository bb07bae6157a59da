"""SPNEGO of a client that prefers Kerberos, has no ticket, and falls back to NTLM (RFC 4178 4.2, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from spnego import ContextReq
from spnego._context import GSSMech

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.dcerpc.security.ntlm import NtlmInitiator, SpnegoNegotiation
from swn_torture.dcerpc.security.providers import BASE_REQUEST, ProviderContext

if TYPE_CHECKING:
    from spnego._context import ContextProxy

    from swn_torture.casekit.witness import Witness


#: What is wrong with the mechListMIC of a client. The one of another list is as if someone had taken Kerberos
#: from the list of the client, so that NTLM is used.
FALSE_MICS: Final = ("changed", "of-other-list", "missing")


class FallingBack(SpnegoNegotiation):
    """The client's end of SPNEGO that offers Kerberos, then NTLM, and can use NTLM only.

    Args:
        witness: the target, with the account.
        token: what goes in the place of the AP-REQ; empty for no token at all.
        false: what is wrong with its mechListMIC, one of `FALSE_MICS`; empty for a valid one.
    """

    def __init__(self, witness: Witness, token: bytes = b"", false: str = "") -> None:
        request = BASE_REQUEST
        if witness.level == AuthLevel.PRIVACY:
            request |= ContextReq.confidentiality
        self._false = false
        ntlm = NtlmInitiator(witness.credentials, f"cifs/{witness.profile.host}", request)
        kerberos = cast("ContextProxy", _WithoutTicket(token))
        super().__init__("initiate", {GSSMech.kerberos: kerberos, GSSMech.ntlm: ntlm}, request)

    def context(self, level: int) -> ProviderContext:
        """Return it as a security context.

        Args:
            level: the authentication level.
        """
        return ProviderContext(self, "SPNEGO", level)

    @property
    def by_ntlm(self) -> bool:
        """Whether the server chose NTLM."""
        return self._chosen_mech == GSSMech.ntlm

    @property
    def confirmed(self) -> bool:
        """Whether the server sent a valid mechListMIC. A false one ends the exchange with an error."""
        return self._mic_recv

    def _step_spnego_mic(self, in_mic: bytes | None = None) -> bytes | None:
        if in_mic or self._mic_sent or not self._context.complete:
            return super()._step_spnego_mic(in_mic)
        # One signature at most: it takes the sequence number that the first request would have without it.
        if self._false == "missing":
            self._mic_sent = True
            return None
        offered = self._mech_list
        if self._false == "of-other-list":
            self._mech_list = [GSSMech.ntlm.value]
        mic = super()._step_spnego_mic()
        self._mech_list = offered
        return mic[:-1] + bytes([mic[-1] ^ 1]) if mic and self._false == "changed" else mic


class _WithoutTicket:
    """The mechanism Kerberos of a client without a ticket."""

    complete = False
    context_attr = ContextReq.none
    _requires_mech_list_mic = False

    def __init__(self, token: bytes) -> None:
        self._token = token or None

    def step(self, *_tokens: Any, **_more: Any) -> bytes | None:
        """Return the token of the client, if it has one."""
        return self._token
