"""SPNEGO: the mechanism that is chosen, and the mechListMIC (RFC 4178)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, ClassVar, cast

from spnego._context import GSSMech
from spnego.exceptions import SpnegoError
from typing_extensions import override

from swn_torture.dcerpc.errors import AuthenticationError
from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.dcerpc.security.ntlm import SpnegoNegotiation
from swn_torture.faults.registry import violates

if TYPE_CHECKING:
    from spnego.channel_bindings import GssChannelBindings

    from swn_torture.dcerpc.security.context import SecurityContext
    from swn_torture.dcerpc.security.providers import ProviderContext


class _OtherNegotiation(Acceptor):
    """An acceptor with another negotiation."""

    negotiation: ClassVar[type[SpnegoNegotiation]]

    @override
    def new(self, auth_type: int, level: int | None = None) -> SecurityContext:
        context = super().new(auth_type, level)
        if auth_type == AuthType.SPNEGO:
            cast("ProviderContext", context)._proxy.__class__ = self.negotiation  # noqa: SLF001
        return context


class _NotVerifying(SpnegoNegotiation):
    @override
    def _step_spnego_mic(self, in_mic: bytes | None = None) -> bytes | None:
        if self._accepts_first_choice or not self._context.complete or self._mic_sent:
            return super()._step_spnego_mic(in_mic)
        if in_mic:
            # The signature counts, whatever it is: the next one has the next sequence number.
            with contextlib.suppress(SpnegoError):
                self.verify(b"", in_mic)
            self._reset_ntlm_crypto_state(outgoing=False)
        self._mic_required = True
        mic = super()._step_spnego_mic()
        self._mic_recv = True
        return mic


class _WithoutMic(SpnegoNegotiation):
    @override
    def _step_spnego_mic(self, in_mic: bytes | None = None) -> bytes | None:
        self._mic_sent = self._mic_sent or (self._context.complete and not self._accepts_first_choice)
        return super()._step_spnego_mic(in_mic)


class _FirstChoiceOnly(SpnegoNegotiation):
    @override
    def _rebuild_context_list(
        self, mech_types: list[str] | None = None, channel_bindings: GssChannelBindings | None = None
    ) -> list[str]:
        if mech_types and not self._is_same_mech(GSSMech.ntlm, mech_types[0]):
            raise AuthenticationError("the first choice of the client is not NTLM")
        return super()._rebuild_context_list(mech_types, channel_bindings)


class _EveryToken(SpnegoNegotiation):
    @override
    def _step_spnego_input(
        self, in_token: bytes | None = None, channel_bindings: GssChannelBindings | None = None
    ) -> tuple[bytes | None, bytes | None, bool]:
        return super(SpnegoNegotiation, self)._step_spnego_input(in_token, channel_bindings)


@violates("RPC-AUTH-wrong-password")
class MechListMicNotVerified(_OtherNegotiation):
    """With SPNEGO the server takes any mechListMIC of the client, and none."""

    negotiation = _NotVerifying


@violates("RPC-AUTH-three-leg")
class MechListMicNotSent(_OtherNegotiation):
    """With SPNEGO the server sends no mechListMIC, although it chose another mechanism than the client."""

    negotiation = _WithoutMic


@violates("RPC-AUTH-three-leg")
class FirstMechanismOnly(_OtherNegotiation):
    """With SPNEGO the server rejects a client whose first choice is not NTLM."""

    negotiation = _FirstChoiceOnly


@violates("RPC-AUTH-three-leg")
class OptimisticTokenTaken(_OtherNegotiation):
    """With SPNEGO the server takes the first token for one of NTLM, whatever mechanism it belongs to."""

    negotiation = _EveryToken
