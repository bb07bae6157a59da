"""The verification trailer for cases: its commands and their octets (MS-RPCE 2.2.2.13).

Cases import these names from here, not from the rooms below.
"""

from swn_torture.dcerpc.pdu.verification_trailer import (
    END,
    MUST_PROCESS,
    SIGNATURE,
    Command,
    VerificationTrailer,
    bitmask1,
    header2,
    pcontext,
    trailer,
)

__all__ = [
    "END",
    "MUST_PROCESS",
    "SIGNATURE",
    "Command",
    "VerificationTrailer",
    "bitmask1",
    "header2",
    "pcontext",
    "trailer",
]
