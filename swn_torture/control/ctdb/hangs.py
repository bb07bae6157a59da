"""The processes of the witness service that answer nothing any more, and how they are ended.

A process of ``rpcd_witness`` can hang for ever. While it waits for the reply of ctdbd to one request, a
message of ctdbd arrives, and what handles the message sends a request of its own. That one reads the reply to
the first, and discards it ("Discarding mismatched ctdb reqid" in the log), so that the first wait never ends.
Samba goes on to give clients to this process: they connect, and get no answer. Seen with Samba 4.22 when
clients bind, or close a connection, at the moment at which CTDB tells its clients of moved addresses.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import ControllerError
from swn_torture.control.ctdb.cluster import COMM_LENGTH

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from swn_torture.control.ctdb.cluster import CtdbCluster

# Every process of Samba answers this message, unless it hangs. Prints the id of each that does not in 5 s.
# A process that was stopped by a signal is not asked: that is a failure which the suite itself causes. Nor is
# one that waits for events, as all do nearly always: asking takes a tenth of a second of the processor.
_UNANSWERED: Final = """\
command -v smbcontrol >/dev/null || exit 0
for pid in $(pgrep --ns $$ --nslist net -x "$0"); do
    grep -q "^State:[[:space:]]*T" "/proc/$pid/status" && continue
    case $(cat "/proc/$pid/wchan" 2>/dev/null) in *poll*) continue ;; esac
    smbcontrol -t 5 "$pid" ping 2>&1 | grep -q "No replies received" && echo "$pid" &
done
wait
"""


class CtdbHangs:
    """Finds processes that hang, and ends them.

    Args:
        cluster: the nodes.
    """

    def __init__(self, cluster: CtdbCluster) -> None:
        self._cluster = cluster
        self._ended: dict[str, tuple[str, ...]] = {}
        """Node -> what `serves` has ended, until `told_with_ended` tells it."""

    async def serves(self, node: str) -> bool:
        """Whether the witness service of a node answers.

        A process that hangs is ended then: Samba would give every try to it.

        Raises:
            ControllerError: the node does not answer, or the try did not end in time.
        """
        try:
            if await self._cluster.ready(node):
                return True
        except ControllerError:
            await self._end_and_keep(node)
            raise
        await self._end_and_keep(node)
        return False

    async def _end_and_keep(self, node: str) -> None:
        self._ended[node] = (*self._ended.get(node, ()), *await self._end_on(node))

    async def _end_on(self, node: str) -> tuple[str, ...]:
        """Kill the processes of a node that hang, unless the profile forbids it; return their ids."""
        pids = await self._on(node) if self._cluster.settings.end_hung_workers else ()
        if pids:
            await self._cluster.run_on(node, "kill", "-KILL", *pids, check=False)
        return pids

    async def found(self) -> dict[str, tuple[str, ...]]:
        """Return the ids of the processes that hang, by the name of their node; other nodes are left out."""
        return await self._of_each_node(self._on)

    async def _of_each_node(
        self, ask: Callable[[str], Awaitable[tuple[str, ...]]]
    ) -> dict[str, tuple[str, ...]]:
        names = self._cluster.names
        found = await asyncio.gather(*map(ask, names))
        return {name: pids for name, pids in zip(names, found, strict=True) if pids}

    async def _on(self, node: str) -> tuple[str, ...]:
        program = self._cluster.settings.witness_worker[:COMM_LENGTH]
        try:
            asked = await self._cluster.run_on(node, "sh", "-c", _UNANSWERED, program, check=False)
        except ControllerError:
            return ()  # the node is off or does not answer: it has no client that waits
        return tuple(re.findall(r"^\d+$", asked.text, re.MULTILINE))

    async def end(self) -> tuple[str, ...]:
        """Kill the processes that hang, unless the profile forbids it; Samba starts others at need.

        Returns:
            What was ended, each as text.
        """
        return self.told(await self._of_each_node(self._end_on))

    def told_with_ended(self, found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Return as text what hangs, and what `serves` has ended since the last call."""
        ended, self._ended = self._ended, {}
        every = {node: (*ended.get(node, ()), *found.get(node, ())) for node in {**found, **ended}}
        return self.told({node: pids for node, pids in every.items() if pids})

    def told(self, found: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        """Return what hangs as text, one for each node."""
        program = self._cluster.settings.witness_worker
        return tuple(
            f"{program} of {node} hangs (process {' and '.join(pids)}): it answers no message of Samba"
            for node, pids in found.items()
        )
