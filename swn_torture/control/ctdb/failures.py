"""How a node of a CTDB cluster fails, and when the cluster shows it.

- A killed ctdbd leaves its public addresses on the interface. They hide those of the node that takes them
  over. A machine without power has no addresses, so a crash removes them. A node that hangs keeps them, as in
  reality.
- Every failure is undone by `CtdbCluster.return_to_service`, which finds it in the cluster itself.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from swn_torture.control.base import EffectNotSeen, Failure
from swn_torture.control.ctdb.cluster import COMM_LENGTH

if TYPE_CHECKING:
    from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
    from swn_torture.control.ctdb.restore import CtdbChanges

_CUT_OFF: Final = frozenset({Failure.PARTITION, Failure.LINK_DOWN})
"""The failures after which the daemon of the node goes on, and sees the other nodes disconnected."""

_FLAGS: Final = {Failure.BAN: "banned", Failure.STOP: "stopped"}
_SUBCOMMANDS: Final = {
    # Seconds, longer than any case. `ctdb unban` ends it before.
    Failure.BAN: ("ban", "3600"),
    Failure.STOP: ("stop",),
}

# Each line: the process id, and the state of the process as in proc(5): T is stopped.
_STATES: Final = (
    'for pid in $(pgrep --ns $$ --nslist net -x "$0"); do sed -n "s/^State:[[:space:]]*/$pid /p" '
    "/proc/$pid/status; done"
)


class CtdbFailures:
    """Lets nodes fail, and waits until CTDB shows it.

    Args:
        cluster: the nodes.
        changes: what was changed, to undo it.
    """

    def __init__(self, cluster: CtdbCluster, changes: CtdbChanges) -> None:
        self._cluster = cluster
        self._changes = changes

    async def fail(self, node: str, how: Failure) -> None:
        """Make a node fail.

        A crash kills its processes, a hang stops them; power-off, partition and link-down run the commands of
        the settings. Returns when another node reports it as disconnected and its addresses have other hosts.
        After a partition the node may keep its addresses: the side with the leader hosts all of them. After a
        ban or a stop, CTDB reports the node as banned or stopped. The cluster does not notice that only the
        witness service hangs or loses a process; then the states of the processes show it.

        Args:
            node: its name as in the profile.
            how: the kind of failure.

        Raises:
            EffectNotSeen: CTDB does not show it in time, or no process of the witness service runs.
        """
        view = await self._cluster.view()
        if how in _FLAGS:
            await self._leave(view, node, how)
        elif how in {Failure.HANG_SERVICE, Failure.KILL_WORKER}:
            await self._harm_service(node, how)
        else:
            await self._disconnect(view, node, how)

    async def _leave(self, view: CtdbView, node: str, how: Failure) -> None:
        pnn, flag = self._cluster.pnn(view, node), _FLAGS[how]
        movable = await self._changes.movable(view, node)

        async def left() -> bool:
            now = await self._cluster.view()
            return (
                flag in self._cluster.flags(now, node)
                and pnn not in now.hosts.values()
                and all(now.hosts.get(address) is not None for address in movable)
            )

        await self._changes.until_seen(
            f"{node} is {flag} and hosts no address",
            lambda: self._cluster.run_on(node, "ctdb", *_SUBCOMMANDS[how]),
            left,
        )

    async def _disconnect(self, view: CtdbView, node: str, how: Failure) -> None:
        pnn = self._cluster.pnn(view, node)
        movable = frozenset() if how is Failure.PARTITION else await self._changes.movable(view, node)
        connected = (n for n in self._cluster.names if "disconnected" not in self._cluster.flags(view, n))
        observer = next((name for name in connected if name != node), None)

        async def noticed() -> bool:
            if observer is None:
                return True
            now = await self._cluster.view_from(observer)
            return (
                "disconnected" in self._cluster.flags(now, node)
                and all(now.hosts.get(address) not in {None, pnn} for address in movable)
                # The node that is cut off may notice it later than the others.
                and (how not in _CUT_OFF or not await self._cluster.in_majority(node))
            )

        await self._changes.until_seen(
            f"{node} is disconnected{' and other nodes host its addresses' if movable else ''}",
            lambda: self._make(node, how),
            noticed,
        )

    async def _make(self, node: str, how: Failure) -> None:
        settings = self._cluster.settings
        here = {
            Failure.POWER_OFF: settings.power_off,
            Failure.PARTITION: settings.partition,
            Failure.LINK_DOWN: settings.link_down,
        }
        there = {
            Failure.HANG: settings.hang,
            Failure.HANG_SERVICE: settings.hang_service,
            Failure.KILL_WORKER: settings.kill_worker,
        }
        if how in here:
            await self._cluster.run_here(here[how], node)
        elif how in there:
            await self._cluster.run_on(node, *there[how])
        else:
            await self._cluster.crash(node)

    async def _harm_service(self, node: str, how: Failure) -> None:
        """Stop all processes of the witness service, or kill the oldest one."""
        before = await self._workers(node)
        program = self._cluster.settings.witness_worker
        if not before:
            raise EffectNotSeen(
                f"no process {program} runs on {node}: Samba starts it when a client connects, and "
                "the profile may name another program (witness_worker)"
            )

        async def seen() -> bool:
            now = await self._workers(node)
            if how is Failure.KILL_WORKER:
                return bool(before.keys() - now.keys())
            return bool(now) and set(now.values()) == {"T"}

        what = f"a process {program} of {node} ends" if how is Failure.KILL_WORKER else f"{program} hangs"
        await self._changes.until_seen(what, lambda: self._make(node, how), seen)

    async def _workers(self, node: str) -> dict[str, str]:
        """The processes of the witness service of a node: process id -> letter of its state."""
        program = self._cluster.settings.witness_worker[:COMM_LENGTH]
        found = await self._cluster.run_on(node, "sh", "-c", _STATES, program, check=False)
        return dict(re.findall(r"^(\d+) (\S)", found.text, re.MULTILINE))
