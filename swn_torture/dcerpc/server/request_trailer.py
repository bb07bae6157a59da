"""The server's check of the verification trailer in a request (MS-RPCE 2.2.2.13)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.verification_trailer import contradiction, find
from swn_torture.dcerpc.server.refusal import Where
from swn_torture.dcerpc.server.request_assembly import Rejection
from swn_torture.dcerpc.status import FaultStatus

if TYPE_CHECKING:
    from swn_torture.dcerpc.pdu.verification_trailer import ExpectedTrailer


def strip_trailer(stub: bytes, parameters_end: int, expected: ExpectedTrailer) -> bytes:
    """Check the verification trailer of a request, and return the stub data without it.

    Args:
        stub: stub data of the complete request, with or without a trailer.
        parameters_end: the octet after the in parameters, 0 if it is not known.
        expected: what the trailer must agree with.

    Raises:
        Rejection: the trailer is malformed or does not agree with the request.
    """
    try:
        found = find(stub, parameters_end)
        if found is None:
            return stub
        start, trailer = found
        problem = contradiction(trailer, expected)
    except RemoteProtocolError as error:
        raise Rejection(
            FaultStatus.RPC_X_BAD_STUB_DATA,
            str(error),
            context_id=expected.context_id,
            where=Where("verification_trailer", None, "MS-RPCE 2.2.2.13"),
        ) from error
    if problem is not None:
        raise Rejection(
            FaultStatus.ERROR_ACCESS_DENIED,
            problem,
            context_id=expected.context_id,
            where=Where("verification_trailer", None, "MS-RPCE 2.2.2.13.2 to 2.2.2.13.4"),
        )
    return stub[:start]
