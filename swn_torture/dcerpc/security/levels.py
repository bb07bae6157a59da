"""How a DCE/RPC association is protected: the authentication type and level of a security trailer."""

from __future__ import annotations

from enum import IntEnum


class AuthLevel(IntEnum):
    """How much of each PDU is protected (MS-RPCE 2.2.1.1.8).

    A peer may write any octet here: parse with :meth:`of`, which keeps an unknown one as a plain ``int``.
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
        """Return the member for ``value``, or ``value`` itself where there is none. Never raises."""
        try:
            return cls(value)
        except ValueError:
            return value


class AuthType(IntEnum):
    """Which security provider made the token of a security trailer (MS-RPCE 2.2.1.1.7).

    A peer may write any octet here: parse with :meth:`of`, which keeps an unknown one as a plain ``int``.
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
        """Return the member for ``value``, or ``value`` itself where there is none. Never raises."""
        try:
            return cls(value)
        except ValueError:
            return value


def effective_level(level: int) -> int:
    """Return the level that a connection-oriented association really runs at.

    ``DEFAULT`` means ``CONNECT``, and a connection-oriented transport turns ``CALL`` into ``PKT``
    (MS-RPCE 2.2.1.1.8). ``PKT`` itself is carried out as ``INTEGRITY``: NTLM and Kerberos have no signature
    that covers less than the whole PDU, so Windows and Samba sign everything, too. What is written on the
    wire stays the level that was asked for. Unknown values are returned as they came.
    """
    if level == AuthLevel.DEFAULT:
        return AuthLevel.CONNECT
    if level in {AuthLevel.CALL, AuthLevel.PKT}:
        return AuthLevel.INTEGRITY
    return level
