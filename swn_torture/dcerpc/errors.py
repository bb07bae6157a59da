r"""Everything that can go wrong in a DCE/RPC conversation.

.. code-block:: text

    RpcError
    ├── LocalProtocolError      we were asked to do what the protocol cannot express, or in the wrong state
    ├── RemoteProtocolError     the peer sent what no conforming peer sends
    │   └── BadSignature        ... a PDU whose verifier does not belong to it
    ├── AuthenticationError     a security provider refused a token, ours or the peer's
    ├── BindRefused             bind_nak: no association
    ├── ContextRefused          bind_ack without the presentation context we need
    ├── Fault                   the call was answered by a fault PDU
    ├── ConnectionLost          the transport connection went, by FIN or by RST
    └── DeadlineExceeded        nothing came in the time we were ready to wait; also a TimeoutError

The split follows h11: a *local* error is a mistake of this code or its caller, a *remote* one is a finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from swn_torture.dcerpc.status import describe_status

if TYPE_CHECKING:
    from collections.abc import Sequence


class RpcError(Exception):
    """Base of all errors of this package."""


class LocalProtocolError(RpcError):
    """We were asked for something that cannot be said on the wire or not in this state."""


class RemoteProtocolError(RpcError):
    """The peer broke the protocol.

    Attributes:
        problem: what is wrong, in one clause.
        field: the dotted name of the field at fault, or ``None``.
        offset: where it begins, in octets from the start of the PDU, or ``None``.
        octets: the PDU (as far as it was read), for the evidence.
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


class BadSignature(RemoteProtocolError):  # noqa: N818  the field's name
    """A PDU does not match its verifier: changed, replayed, reordered or signed with another key."""


class AuthenticationError(RpcError):
    """A security provider could not go on with the token it was given."""


class BindRefused(RpcError):  # noqa: N818  the field's name
    """The server answered bind or alter_context with bind_nak (C706 12.6.4.5, MS-RPCE 2.2.2.5).

    Attributes:
        reason: the 16-bit reject reason.
        versions: the protocol versions the server says it supports, as (major, minor).
    """

    def __init__(self, reason: int, text: str = "", versions: Sequence[tuple[int, int]] = ()) -> None:
        self.reason = reason
        self.versions = tuple(versions)
        super().__init__(f"bind_nak, reason {text or reason}")


class ContextRefused(RpcError):  # noqa: N818  the field's name
    """No presentation context that was asked for has been accepted.

    Attributes:
        results: (result, reason) per proposed element, in the proposed order.
    """

    def __init__(self, problem: str, results: Sequence[tuple[int, int]] = ()) -> None:
        self.results = tuple(results)
        super().__init__(problem)


class Fault(RpcError):  # noqa: N818  the field's name
    """A call was answered by a fault PDU (C706 12.6.4.7).

    Attributes:
        status: the 32-bit status.
        flags: the ``pfc_flags`` of the fault PDU.
        call_id: of the call it answers.
        context_id: the presentation context id in the fault; 0 when it arose before dispatch.
    """

    def __init__(self, status: int, flags: int = 0, call_id: int = 0, context_id: int = 0) -> None:
        self.status = status
        self.flags = flags
        self.call_id = call_id
        self.context_id = context_id
        super().__init__(f"fault {describe_status(status)}")

    @property
    def did_not_execute(self) -> bool:
        """Whether the server says that the call was not executed (PFC_DID_NOT_EXECUTE)."""
        return bool(self.flags & 0x20)


class ConnectionLost(RpcError):  # noqa: N818  the field's name
    """The connection went.

    Attributes:
        reset: ``True`` for a TCP reset, ``False`` for an orderly end of the stream.
    """

    def __init__(self, problem: str = "", *, reset: bool = False) -> None:
        self.reset = reset
        super().__init__(problem or ("connection reset by peer" if reset else "connection closed by peer"))


class DeadlineExceeded(RpcError, TimeoutError):  # noqa: N818  the field's name
    """Nothing came within the time we were ready to wait."""
