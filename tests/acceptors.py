"""Acceptors that offer fewer authentication services than the reference."""

from __future__ import annotations

from typing_extensions import override

from swn_torture.dcerpc.security.acceptor import Acceptor
from swn_torture.dcerpc.security.levels import AuthType


class NtlmOnly(Acceptor):
    """Offers NTLM."""

    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset({AuthType.NTLM})


class SpnegoOnly(Acceptor):
    """Offers SPNEGO."""

    @property
    @override
    def auth_types(self) -> frozenset[AuthType]:
        return frozenset({AuthType.SPNEGO})
