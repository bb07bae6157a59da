"""The endpoint mapper and the remote management interface for cases (C706 Appendices O and Q).

Cases import these names from here, not from the rooms below.
"""

from swn_torture.dcerpc.client.management import inq_if_ids
from swn_torture.dcerpc.epm.messages import (
    EPM,
    NIL,
    EpmOpnum,
    EptStatus,
    InquiryType,
    LookupRequest,
    LookupResponse,
    MapRequest,
    MapResponse,
)
from swn_torture.dcerpc.epm.messages import NULL_HANDLE as NULL_SEARCH
from swn_torture.dcerpc.epm.towers import FloorProtocol, Tower
from swn_torture.dcerpc.mgmt import MGMT, MgmtOpnum

__all__ = [
    "EPM",
    "MGMT",
    "NIL",
    "NULL_SEARCH",
    "EpmOpnum",
    "EptStatus",
    "FloorProtocol",
    "InquiryType",
    "LookupRequest",
    "LookupResponse",
    "MapRequest",
    "MapResponse",
    "MgmtOpnum",
    "Tower",
    "inq_if_ids",
]
