"""The choices that the specifications leave to a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Final, Literal

from swn_torture.dcerpc.connection import MAX_FRAGMENT, MIN_FRAGMENT
from swn_torture.spec.breaks import Breaks
from swn_torture.stubdata.syntax import KEEP_CONNECTION_ON_ORPHAN, SECURITY_CONTEXT_MULTIPLEXING

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.dcerpc.server.interface import Caller
    from swn_torture.stubdata.syntax import SyntaxId

MAX_REQUEST: Final = 4 * 1024 * 1024
"""Octets of stub data in the largest request that a server accepts (MS-RPCE 3.3.3.5.4)."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The behaviour of a server where it may choose. The defaults follow the specification, then Windows.

    A value that does not follow the specification, because a known server does not, is marked with `Breaks`.

    Attributes:
        max_fragment: octets of the largest fragment to negotiate, and to accept: like Windows and Samba, the
            server accepts a fragment of this size even if a smaller size was negotiated.
        min_fragment: octets of the smallest fragment size to negotiate, whatever the client proposes.
        max_request: octets of stub data in the largest request.
        contexts_per_interface: the most presentation contexts of a connection, for each interface served
            (MS-RPCE 3.3.3.5.5).
        max_calls: the most calls of a connection that have no answer yet; a further one is answered with
            the fault RPC_S_SERVER_TOO_BUSY. The server chooses the number (MS-RPCE 3.3.1.5.8).
        max_security_contexts: the most security contexts of a connection (MS-RPCE note 104).
        features: bind-time features to confirm when the client proposes them (MS-RPCE 3.3.1.5.3). Each of
            them is optional.
        unasked_multiplexing: accept a second security context although the client has not proposed the
            feature. The client must not send one then; Windows and Samba accept it.
        multiplex: confirm PFC_CONC_MPX. Without it, a second request while one is pending is a protocol
            error.
        header_signing: confirm PFC_SUPPORT_HEADER_SIGN. A server whose security provider does not sign
            headers must not (MS-RPCE 3.3.1.5.2.2).
        equal_call_ids: accept a request with the same call_id as the request before, as Windows and Samba do.
        exact_minor_version: reject a client's lower minor version, as Samba does. That violates
            RPC-IF-minor-lower (C706 6.1.2).
        check_alloc_hint: reject a request whose alloc_hint is larger than its stub data, as MS-RPCE 2.2.2.6
            suggests. Windows and Samba do not.
        check_verification_trailer: reject a request that does not agree with its verification trailer, as
            Samba does. Without it, the server violates RPC-VT-must-process (MS-RPCE 2.2.2.13) and deviates
            from RPC-VT-search, a SHOULD.
        verify_cancel: check a verifier of a co_cancel or orphaned PDU and count it in the sequence (C706
            12.6.4.6 allows a verifier, MS-RPCE 2.2.2.12 does not). Samba ignores it.
        refuse_level_call: reject a bind at level call, as Samba does. MS-RPCE 2.2.1.1.8 treats it as level
            packet.
        access: returns the fault status for a caller of an interface, 0 to grant access.
        reply_byte_order: of responses.
        secondary_address: the port as text, as in Windows, or empty, as in Samba: a deviation from
            RPC-BIND-second-address, a SHOULD.
        management: serve the remote management interface, too.
        keep_alive: after this many seconds without a segment from a client, TCP probes it; the connection
            ends if it does not answer (MS-RPCE 3.3.3.2.1). The default is that of Windows (note 117). 0
            disables probes.
        linger: how many seconds a connection that is closed after an error still accepts octets, so that no
            TCP reset discards the last fault.
    """

    max_fragment: int = MAX_FRAGMENT
    min_fragment: int = MIN_FRAGMENT
    max_request: Annotated[int, Breaks(8 * 1024 * 1024, ("RPC-FRAG-request-too-large",))] = MAX_REQUEST
    contexts_per_interface: int = 4000
    max_calls: int = 4096
    max_security_contexts: int = 2048
    features: int = SECURITY_CONTEXT_MULTIPLEXING | KEEP_CONNECTION_ON_ORPHAN
    unasked_multiplexing: bool = True
    multiplex: bool = True
    header_signing: bool = True
    equal_call_ids: bool = True
    exact_minor_version: Annotated[bool, Breaks(value=True, requirements=("RPC-IF-minor-lower",))] = False
    check_alloc_hint: bool = False
    check_verification_trailer: Annotated[
        bool, Breaks(value=False, requirements=("RPC-VT-must-process", "RPC-VT-search"))
    ] = True
    verify_cancel: bool = True
    refuse_level_call: bool = False
    access: Callable[[SyntaxId, Caller], int] | None = None
    reply_byte_order: Literal["little", "caller"] = "little"
    secondary_address: Annotated[Literal["port", "empty"], Breaks("empty", ("RPC-BIND-second-address",))] = (
        "port"
    )
    management: bool = True
    keep_alive: float = 720.0
    linger: float = 1.0
