"""The choices that the documents leave to a server, each with a name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from swn_torture.dcerpc.connection import MAX_FRAGMENT, MIN_FRAGMENT
from swn_torture.stubdata.syntax import KEEP_CONNECTION_ON_ORPHAN, SECURITY_CONTEXT_MULTIPLEXING

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.dcerpc.server.interface import Caller
    from swn_torture.stubdata.syntax import SyntaxId

MAX_REQUEST: Final = 4 * 1024 * 1024
"""Octets of stub data beyond which a request is refused (MS-RPCE 3.3.3.5.4)."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server behaves where it may choose. The defaults follow the text, else Windows.

    Attributes:
        max_fragment: octets of the largest fragment, as negotiated and as taken: up to it a request is taken
            whatever was agreed, like Windows and Samba do.
        min_fragment: octets below which the negotiated size does not go, whatever is proposed.
        max_request: octets of stub data of a whole request.
        contexts_per_interface: presentation contexts of a connection per interface served (MS-RPCE
            3.3.3.5.5).
        max_security_contexts: per connection (MS-RPCE note 104).
        features: bind-time features that are confirmed when proposed (MS-RPCE 3.3.1.5.3).
        unasked_multiplexing: take a second security context on a connection whose client has not proposed the
            feature. Not to do so is an obligation of the client; Windows and Samba take it.
        multiplex: confirm PFC_CONC_MPX. Without it a second request while one is pending is a protocol error.
        header_signing: confirm PFC_SUPPORT_HEADER_SIGN.
        equal_call_ids: take a request whose call id equals that of the request before, as Windows and Samba
            do.
        exact_minor_version: refuse a client's lower minor version, as Samba does (C706 6.1.2 would not).
        check_alloc_hint: refuse a request whose alloc_hint exceeds its stub data, as MS-RPCE 2.2.2.6
            suggests. Neither Windows nor Samba does.
        check_verification_trailer: refuse a request that its verification trailer contradicts, as Samba does.
        verify_cancel: a verifier on co_cancel or orphaned counts and has to match (C706 12.6.4.6 allows for
            one, MS-RPCE 2.2.2.12 for none). Samba ignores it.
        refuse_level_call: refuse a bind at level call, as Samba does; MS-RPCE 2.2.1.1.8 takes it for packet.
        access: tells the fault status for a caller of an interface, 0 to let it in.
        reply_byte_order: of responses.
        secondary_address: the port as text, as Windows has it, or nothing, as Samba.
        management: serve the remote management interface, too.
        keep_alive: seconds of silence after which a client is probed and, if it does not answer, given up
            (MS-RPCE 3.3.3.2.1); the default is that of Windows (note 117). 0 is never.
        linger: seconds that a connection closed for an error still takes octets, so that the last fault is
            not lost in a TCP reset.
    """

    max_fragment: int = MAX_FRAGMENT
    min_fragment: int = MIN_FRAGMENT
    max_request: int = MAX_REQUEST
    contexts_per_interface: int = 4000
    max_security_contexts: int = 2048
    features: int = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN
    unasked_multiplexing: bool = True
    multiplex: bool = True
    header_signing: bool = True
    equal_call_ids: bool = True
    exact_minor_version: bool = False
    check_alloc_hint: bool = False
    check_verification_trailer: bool = True
    verify_cancel: bool = True
    refuse_level_call: bool = False
    access: Callable[[SyntaxId, Caller], int] | None = None
    reply_byte_order: Literal["little", "caller"] = "little"
    secondary_address: Literal["port", "empty"] = "port"
    management: bool = True
    keep_alive: float = 720.0
    linger: float = 1.0
