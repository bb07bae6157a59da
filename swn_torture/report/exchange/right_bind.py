"""What a right answer to a bind would have been: a bind_ack, or a bind_nak with the expected reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from swn_torture.dcerpc.pdu.bind import (
    AlterContext,
    AlterContextResp,
    BindAck,
    BindNak,
    BindNakReason,
    ContextResult,
)
from swn_torture.dcerpc.security.levels import AuthType
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from swn_torture.dcerpc.pdu.bind import Bind
    from swn_torture.dcerpc.pdu.pdus import Pdu

_VERSION = (5, 0)
#: Bind time feature negotiation (MS-RPCE 3.3.1.5.3): the first octets of the UUID.
_FEATURES = "6cb71c2c"
_ACCEPTS = re.compile(r"bind_ack|acceptance|provider_rejection")
_REASON = re.compile(r"bind_nak reason (\d+)")
_GROUP = re.compile(r"\bassoc_group_id 0x([0-9A-Fa-f]+)")


def right_bind_answer(bind: Bind, expected: Sequence[str]) -> Pdu | None:
    """A right answer to a bind; None where the expectation does not say which.

    Args:
        bind: the bind.
        expected: what the finding says is allowed, one entry each.
    """
    first = expected[0] if expected else ""
    if _ACCEPTS.match(first):
        group = _GROUP.search(first)
        return _bind_ack(bind, int(group[1], 16) if group else bind.assoc_group or 0x53F0)
    if isinstance(bind, AlterContext):
        reasons = [reason for each in expected if (reason := _REASON.match(each))]
        return BindNak(call_id=bind.call_id, reason=int(reasons[0][1])) if reasons else None
    if not first.startswith("bind_nak"):
        return None
    named = _REASON.match(first)
    if named is None and bind.version == _VERSION and not bind.assoc_group:
        return None
    # No reason says that a client must not join an association (C706 12.6.3.1).
    unknown = BindNakReason.NOT_SPECIFIED
    unnamed = unknown if bind.version == _VERSION else BindNakReason.PROTOCOL_VERSION_NOT_SUPPORTED
    return BindNak(call_id=bind.call_id, reason=int(named[1]) if named else unnamed)


def the_unusual(binds: Sequence[Bind]) -> Bind | None:
    """The one bind that differs from an ordinary one: a finding about a bind is about that; else None.

    Of several binds that join the same association it is the last.

    Args:
        binds: all binds whose answer is what the finding observed.
    """
    unusual = [bind for bind in binds if not is_ordinary(bind)]
    joins = {bind.assoc_group if is_ordinary(replace(bind, assoc_group=0)) else 0 for bind in unusual}
    return unusual[-1] if len(unusual) == 1 or (len(joins) == 1 and 0 not in joins) else None


def alike(binds: Sequence[Bind]) -> bool:
    """Whether binds differ in call_id and token only."""
    first = binds[0]
    return all(
        (type(bind), bind.contexts, bind.version, bind.assoc_group, bind.max_recv, bind.trailer is None)
        == (
            type(first),
            first.contexts,
            first.version,
            first.assoc_group,
            first.max_recv,
            first.trailer is None,
        )
        for bind in binds
    )


def is_ordinary(bind: Bind) -> bool:
    """Whether a bind proposes what every client proposes, so that a server accepts it."""
    return (
        bind.version == _VERSION
        and not bind.assoc_group
        and (bind.trailer is None or bind.trailer.auth_type in {*map(int, AuthType)})
        and all(context.abstract == WITNESS for context in bind.contexts)
        and all(
            transfer in {NDR32, NDR64} or str(transfer.uuid).startswith(_FEATURES)
            for context in bind.contexts
            for transfer in context.transfers
        )
    )


def _bind_ack(bind: Bind, group: int) -> BindAck:
    """Acceptance of the first syntax that this suite has, for each context that offers one."""
    refused, unknown = (2, 2), (2, 1)
    nothing = SyntaxId(UUID(int=0), 0, 0)
    offered = [transfer for context in bind.contexts for transfer in context.transfers]
    preferred = NDR64 if NDR64 in offered and NDR32 not in offered else NDR32
    results = []
    for context in bind.contexts:
        if not WITNESS.serves(context.abstract):
            results.append(ContextResult(*unknown, nothing))
        elif preferred in context.transfers:
            results.append(ContextResult(0, 0, preferred))
        elif any(str(transfer.uuid).startswith(_FEATURES) for transfer in context.transfers):
            results.append(ContextResult(3, 0, nothing))
        else:
            results.append(ContextResult(*refused, nothing))
    ack = BindAck(
        call_id=bind.call_id,
        results=tuple(results),
        max_xmit=min(5840, bind.max_recv),
        max_recv=min(5840, bind.max_xmit),
        assoc_group=group,
    )
    if isinstance(bind, AlterContext):
        return AlterContextResp(
            call_id=ack.call_id,
            results=ack.results,
            max_xmit=ack.max_xmit,
            max_recv=ack.max_recv,
            assoc_group=ack.assoc_group,
        )
    return replace(ack, secondary_address=b"49152\0")
