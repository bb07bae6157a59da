"""What is the same in many logons by NTLM: made once, and kept.

pyspnego makes and reads the messages of NTLM by operations on enums, half a microsecond each. A client had
150 of them in a logon, and has 100 with the parts that this module keeps.
"""

from __future__ import annotations

import secrets
import struct
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from spnego._credential import NTLMHash
from spnego._ntlm_raw.crypto import ntowfv1
from spnego._ntlm_raw.messages import AvId, Challenge, FileTime, Negotiate, TargetInfo, Version
from spnego._ntlm_raw.messages import NegotiateFlags as Flags

from swn_torture.dcerpc.security.ntlm_signatures import SigningProxy

if TYPE_CHECKING:
    from spnego._context import ContextReq

_SERVER_VERSION = Version(6, 1)
"""The Version of a CHALLENGE if the client sets NTLMSSP_NEGOTIATE_VERSION. These are the numbers that Samba's
servers send: Windows 6.1, without a build."""

_NO_VERSION = Version(revision=0)
"""The same without that flag. The field is always there, and is zero then (MS-NLMP 2.2.1.2, 2.2.2.10)."""

CLIENT_VERSION = Version.get_current()
"""The Version of an AUTHENTICATE: that of the library, as in its NEGOTIATE."""

_FILETIME_OF_1970 = 116444736000000000
"""Units of 100 ns from 1601, where the time of NTLM begins."""


@lru_cache(maxsize=64)
def new_initiator(account: str, password: str | None, context_req: ContextReq) -> dict[str, Any]:
    """Return the attributes of a context before its first step; to make them takes a tenth of a logon.

    Args:
        account: its name, ``DOMAIN\\user``.
        password: ``None`` for an account without one.
        context_req: the features to request.
    """
    # The hash, not the password: for a password NTLMProxy also computes the LM hash. NTLMv2 does not use it,
    # and in pure Python it takes longer than the rest of the logon.
    credential = NTLMHash(account, nt_hash=None if password is None else ntowfv1(password).hex())
    return vars(SigningProxy(credential, context_req=context_req, usage="initiate"))


@lru_cache(maxsize=64)
def negotiate_message(flags: int) -> Negotiate:
    """Return the first message of an initiator. Nobody changes it."""
    return Negotiate(flags, version=CLIENT_VERSION)


def challenge_octets(flags: int, domain: str, host: str) -> bytes:
    """Return a CHALLENGE with a new ServerChallenge and the time of now (MS-NLMP 2.2.1.2).

    Args:
        flags: NegotiateFlags.
        domain: the NetBIOS name of the domain.
        host: DNS name or plain name of the server.
    """
    made = _challenge(flags, domain, host)
    now = (time.time_ns() // 100 + _FILETIME_OF_1970).to_bytes(8, "little")
    # The time is the last pair but MsvAvEOL.
    return made[:24] + secrets.token_bytes(8) + made[32:-12] + now + made[-4:]


@lru_cache(maxsize=64)
def _challenge(flags: int, domain: str, host: str) -> bytes:
    computer, _, dns_domain = host.partition(".")
    info = TargetInfo()
    info[AvId.nb_domain_name] = domain
    info[AvId.nb_computer_name] = computer.upper()[:15]
    info[AvId.dns_domain_name] = dns_domain  # empty for a plain name, as in Samba without a realm
    info[AvId.dns_computer_name] = host  # impacket fails without it
    info[AvId.timestamp] = FileTime.now()  # clients send a MIC then
    version = _SERVER_VERSION if flags & Flags.version else _NO_VERSION
    challenge = Challenge(flags, target_name=domain, target_info=info, version=version)
    challenge.flags = flags  # a version sets NTLMSSP_NEGOTIATE_VERSION, although this one is only zeros
    return bytes(challenge.pack())


def av_flags(pairs: bytes) -> int:
    """Return MsvAvFlags of these AV_PAIRs (MS-NLMP 2.2.2.1), 0 without one.

    pyspnego decodes every pair, names and times as well, which takes a twentieth of a logon.

    Raises:
        struct.error: a pair is cut short.
    """
    at = 0
    while at < len(pairs):
        av_id, size = struct.unpack_from("<HH", pairs, at)
        if av_id == AvId.eol:
            break
        if av_id == AvId.flags:
            (found,) = struct.unpack_from("<I", pairs, at + 4)
            return int(found)
        at += 4 + size
    return 0
