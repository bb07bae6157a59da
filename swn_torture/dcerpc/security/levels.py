"""The authentication types and levels of a sec_trailer."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class AuthLevel(IntEnum):
    """Authentication levels: how PDUs are protected (MS-RPCE 2.2.1.1.8).

    A peer may send any octet as level. :meth:`of` keeps an unknown one as an ``int``.
    """

    DEFAULT = 0
    NONE = 1
    CONNECT = 2
    CALL = 3
    PKT = 4
    INTEGRITY = 5
    PRIVACY = 6

    @classmethod
    def of(cls, value: int) -> AuthLevel | int:
        """Return the member for ``value``, or ``value`` itself if it is unknown. Never raises."""
        try:
            return cls(value)
        except ValueError:
            return value


class AuthType(IntEnum):
    """Authentication types: the security providers (MS-RPCE 2.2.1.1.7).

    A peer may send any octet as type. :meth:`of` keeps an unknown one as an ``int``.
    """

    NONE = 0x00
    SPNEGO = 0x09
    NTLM = 0x0A
    SCHANNEL = 0x0E
    KERBEROS = 0x10
    NETLOGON = 0x44
    DEFAULT = 0xFF

    @classmethod
    def of(cls, value: int) -> AuthType | int:
        """Return the member for ``value``, or ``value`` itself if it is unknown. Never raises."""
        try:
            return cls(value)
        except ValueError:
            return value


_EFFECTIVE: Final[Mapping[int, int]] = {
    AuthLevel.DEFAULT: AuthLevel.CONNECT,
    AuthLevel.CALL: AuthLevel.INTEGRITY,
    AuthLevel.PKT: AuthLevel.INTEGRITY,
}


def effective_level(level: int) -> int:
    """Return the level that determines the protection of PDUs on a connection.

    ``DEFAULT`` means ``CONNECT``, and a connection-oriented transport treats ``CALL`` as ``PKT`` (MS-RPCE
    2.2.1.1.8). ``PKT`` protects like ``INTEGRITY``: the signatures of NTLM and Kerberos always cover the
    whole PDU, so Windows and Samba sign everything, too. The sec_trailer still contains the requested level.
    Unknown values are returned unchanged.
    """
    return _EFFECTIVE.get(level, level)
