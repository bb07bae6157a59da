r"""The errors of this package.

.. code-block:: text

    RpcError
    ├── LocalProtocolError      the caller asked for something that is not possible, or not in this state
    ├── RemoteProtocolError     the peer broke the protocol
    │   └── BadSignature        the verifier of a PDU does not match the PDU
    ├── AuthenticationError     a security provider rejects a token, or cannot be used
    ├── BindRefused             the server sent a bind_nak
    ├── ContextRefused          the server accepted no presentation context of the interface
    ├── Fault                   the server answered the call with a fault PDU
    ├── ConnectionLost          the transport connection ended, by FIN or by RST
    └── DeadlineExceeded        nothing arrived in time; also a TimeoutError

The names follow h11: a *local* error is a mistake of this code or of its caller, a *remote* error is a
finding.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from swn_torture.dcerpc.status import describe_status
from swn_torture.stubdata.fields import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class RpcError(Exception):
    """Base class of all errors of this package."""


class LocalProtocolError(RpcError):
    """The caller asked for something that a PDU cannot express, or that is not possible in this state."""


class RemoteProtocolError(RpcError):
    """The peer broke the protocol.

    Attributes:
        problem: what is wrong, in one clause.
        field: the dotted name of the wrong field, or ``None``.
        offset: where the field begins, in octets from the start of the PDU or of its stub data, or ``None``.
        octets: the PDU or its stub data, as far as it was read.
    """

    def __init__(
        self, problem: str, *, field: str | None = None, offset: int | None = None, octets: bytes = b""
    ) -> None:
        self.problem = problem
        self.field = field
        self.offset = offset
        self.octets = octets
        where = f"{field}: " if field else ""
        at = "" if offset is None else f" (at octet {offset})"
        super().__init__(f"{where}{problem}{at}")


@contextmanager
def stub_data_of_peer(stub: bytes) -> Iterator[None]:
    """Report a DecodeError in stub data of the peer as RemoteProtocolError, with its field and offset.

    Raises:
        RemoteProtocolError: the block raised DecodeError.
    """
    try:
        yield
    except DecodeError as error:
        raise RemoteProtocolError(
            error.problem, field=error.field, offset=error.offset, octets=stub
        ) from error


class BadSignature(RemoteProtocolError):  # noqa: N818  the usual name
    """A PDU does not match its verifier: it was changed, replayed, reordered or signed with another key."""


class AuthenticationError(RpcError):
    """A security provider rejects the token it was given, or cannot be used."""


class ProtectionUnavailable(AuthenticationError):  # noqa: N818  the usual form of these names
    """The logon succeeded, but the security context was negotiated without what its level needs."""


class BindRefused(RpcError):  # noqa: N818  the usual name
    """The server answered a bind or alter_context with a bind_nak (C706 12.6.4.5, MS-RPCE 2.2.2.9).

    Attributes:
        reason: the 16-bit reject reason (MS-RPCE 2.2.2.5).
        versions: the protocol versions that the server reports as supported, as (major, minor).
    """

    def __init__(self, reason: int, text: str = "", versions: Sequence[tuple[int, int]] = ()) -> None:
        self.reason = reason
        self.versions = tuple(versions)
        super().__init__(f"bind_nak, reason {text or reason}")


class ContextRefused(RpcError):  # noqa: N818  the usual name
    """The server accepted none of the proposed presentation contexts.

    Attributes:
        results: (result, reason) of each proposed element, in the proposed order.
    """

    def __init__(self, problem: str, results: Sequence[tuple[int, int]] = ()) -> None:
        self.results = tuple(results)
        super().__init__(problem)


class Fault(RpcError):  # noqa: N818  the usual name
    """The server answered a call with a fault PDU (C706 12.6.4.7).

    Attributes:
        status: the 32-bit status.
        flags: the ``pfc_flags`` of the fault PDU.
        call_id: of the call that the fault answers.
        context_id: the presentation context id in the fault; 0 when the call was not dispatched.
    """

    def __init__(self, status: int, flags: int = 0, call_id: int = 0, context_id: int = 0) -> None:
        self.status = status
        self.flags = flags
        self.call_id = call_id
        self.context_id = context_id
        super().__init__(f"fault {describe_status(status)}")

    @property
    def did_not_execute(self) -> bool:
        """Whether the server reports that it did not execute the call (PFC_DID_NOT_EXECUTE)."""
        return bool(self.flags & 0x20)


class ConnectionLost(RpcError):  # noqa: N818  the usual name
    """The connection ended.

    Attributes:
        reset: ``True`` for a TCP reset, ``False`` for a FIN.
    """

    def __init__(self, problem: str = "", *, reset: bool = False) -> None:
        self.reset = reset
        super().__init__(problem or ("connection reset by peer" if reset else "connection closed by peer"))


class DeadlineExceeded(RpcError, TimeoutError):  # noqa: N818  the usual name
    """Nothing arrived within the time allowed."""
