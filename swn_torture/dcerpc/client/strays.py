"""Answers whose call_id belongs to nothing that a connection has sent."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.pdu.bind import BindAck
from swn_torture.dcerpc.pdu.header import HEADER_SIZE
from swn_torture.dcerpc.pdu.pdus import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from swn_torture.dcerpc.client.call import Call, PendingResult
    from swn_torture.dcerpc.pdu.pdus import Pdu

_TIMEOUT: Final = 1.0
"""Seconds that a call still waits for its own answer after such an answer."""


class SentIds:
    """The call_ids that a connection has sent."""

    def __init__(self) -> None:
        self._ids: set[int] = set()
        self._ending: WeakSet[Call | PendingResult[BindAck]] = WeakSet()

    def add(self, call_id: int) -> None:
        """Record a call_id."""
        self._ids.add(call_id)

    def add_octets(self, octets: bytes) -> None:
        """Record the call_id in octets. They need not be a PDU: an id too many only hides a wrong answer."""
        if len(octets) >= HEADER_SIZE:
            self._ids |= {int.from_bytes(octets[12:16], "little"), int.from_bytes(octets[12:16], "big")}

    def end_calls(self, pdu: Pdu, waiting: Iterable[Call | PendingResult[BindAck]]) -> None:
        """End what waits for an answer, after a short time, if a bind_ack or response has an unknown call_id.

        Args:
            pdu: a PDU that answers nothing.
            waiting: what has no answer yet.
        """
        if not isinstance(pdu, BindAck | Response) or pdu.call_id in self._ids:
            return
        error = RemoteProtocolError(
            f"a {pdu.ptype.name.lower()} with call_id {pdu.call_id}, which nothing that was sent has",
            field="call_id",
            offset=12,
            octets=pdu.pack(),
        )
        for each in waiting:
            if each in self._ending:
                continue  # one of many such answers
            self._ending.add(each)
            asyncio.get_running_loop().call_later(_TIMEOUT, each.set_result, error)
