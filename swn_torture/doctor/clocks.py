"""The clock of a node, from its NTLM challenge (MS-NLMP 2.2.2.1, MsvAvTimestamp)."""

from __future__ import annotations

import datetime as dt
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.dcerpc.transcript import Transcript

#: Kerberos rejects a ticket when the clocks differ by more than this, in seconds (RFC 4120, section 5.2.5).
LARGEST_S = 300.0

_CHALLENGE = b"NTLMSSP\0\x02\0\0\0"
_TARGET_INFO = 40
_TIMESTAMP, NB_COMPUTER, NB_DOMAIN, DNS_COMPUTER = 7, 1, 2, 3
_EPOCH = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


def challenge_fields(octets: Transcript | None) -> Mapping[int, bytes]:
    """The AV pairs of the first NTLM challenge that was received, by their AvId; none without one.

    Args:
        octets: the octets of a connection.
    """
    if octets is None:
        return {}
    received = b"".join(each.data for each in octets.entries if each.kind == "received")
    start = received.find(_CHALLENGE)
    if start < 0 or len(received) < start + _TARGET_INFO + 8:
        return {}
    message = received[start:]
    length, _, offset = struct.unpack_from("<HHI", message, _TARGET_INFO)
    pairs, info = {}, message[offset : offset + length]
    while len(info) >= 4:
        av_id, size = struct.unpack_from("<HH", info)
        if av_id == 0:
            break
        pairs[av_id] = info[4 : 4 + size]
        info = info[4 + size :]
    return pairs


def text_field(fields: Mapping[int, bytes], av_id: int) -> str:
    """A name in the challenge; empty without one."""
    return fields.get(av_id, b"").decode("utf-16-le", "replace")


def clock_of(fields: Mapping[int, bytes]) -> dt.datetime | None:
    """The time of the server when it made the challenge; None when it does not say it."""
    value = fields.get(_TIMESTAMP, b"")
    if len(value) != 8:
        return None
    (ticks,) = struct.unpack("<Q", value)
    try:
        return _EPOCH + dt.timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None
