"""What a CTDB cluster was like at `open`, what the controller changed since then, and how it is restored.

CTDB takes a command while it moves addresses or recovers its databases, and lets it fail: `ctdb reloadips`
ends with "Failed to disable takeover runs". So `CtdbChanges.restore` repeats all of its steps until the
cluster itself shows that nothing is left undone.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from swn_torture.control.base import ControllerError, NotHealthy
from swn_torture.control.ctdb.output import parse_tunables

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from swn_torture.control.ctdb.cluster import CtdbCluster, CtdbView
    from swn_torture.control.ctdb.hangs import CtdbHangs
    from swn_torture.control.step import Step

_ATTEMPT_SECONDS: Final = 45.0
"""Seconds that one attempt to restore may take; CTDB checks the health of a node every 15 s."""
_PAUSE_SECONDS: Final = 1.0

_HOLD: Final = {"IPAllocAlgorithm": 2, "NoIPFailback": 1}
"""The variables with which CTDB gives a node only addresses that no other node hosts (ctdb-tunables(7))."""
_DEFAULTS: Final = {"IPAllocAlgorithm": 2, "NoIPFailback": 0}
_TUNABLES_FILE: Final = "/etc/ctdb/ctdb.tunables"

# Variable -> its default. CTDB notices a node that stopped sending after the product of the first two.
_KEEPALIVE: Final = {"KeepaliveInterval": 5, "KeepaliveLimit": 5}
# What follows: an election, a recovery of the databases, a takeover of addresses and their event scripts.
_STEPS: Final = {"ElectionTimeout": 3, "RecoverTimeout": 30, "TakeoverTimeout": 9, "EventScriptTimeout": 30}


class CtdbChanges:
    """The state of the cluster at `open`, and the changes of the controller.

    Args:
        cluster: the nodes.
        hangs: finds and ends the processes that keep a node from serving again.

    Attributes:
        initial_hosts: public address -> PNN of its host at `open`.
        used: whether the controller has changed anything since `open` or `restore`.
        changed_at: when the last change began whose effect is waited for, in seconds of `time.monotonic`.
        takeover_off: whether NoIPTakeover is set, so that CTDB moves no address.
    """

    def __init__(self, cluster: CtdbCluster, hangs: CtdbHangs) -> None:
        self.initial_hosts: Mapping[str, int | None] = {}
        self.used = False
        self.changed_at: float | None = None
        self.takeover_off = False
        self._cluster = cluster
        self._hangs = hangs
        self._tunables: Mapping[str, int] = _DEFAULTS
        self._held = False
        self._added: dict[str, set[str]] = defaultdict(set)
        """Node -> addresses that the controller added to it, and must remove."""
        self._removed: dict[str, set[str]] = defaultdict(set)
        """Node -> addresses that the controller removed from it, and must add."""

    async def remember(self, view: CtdbView) -> None:
        """Store the state of the cluster, before any change."""
        self.initial_hosts = view.hosts
        self._tunables = {**_DEFAULTS, **await self._cluster.tunables(view.seen_from)}

    def state(self) -> dict[str, Any]:
        """What `remember` stored, as values for JSON."""
        return {"hosts": dict(self.initial_hosts), "variables": dict(self._tunables)}

    def recall(self, state: Mapping[str, Any], undo: Sequence[Step]) -> None:
        """Take over the changes of a process that was killed.

        Args:
            state: the `state` of that process.
            undo: the calls that undo its changes.
        """
        self.used = self._held = True
        self.initial_hosts = state.get("hosts", self.initial_hosts)
        self._tunables = state.get("variables", self._tunables)
        for step in undo:
            if step.call == "remove_address":
                self._added[step.arguments[0]].add(step.arguments[1])
            elif step.call == "add_address":
                self._removed[step.arguments[0]].add(step.arguments[1])

    @property
    def event_limit(self) -> float:
        """Seconds within which the cluster must show the effect of any event.

        Twice what CTDB needs to notice a node that stopped sending, and the time-outs of what follows.
        """
        found = {**_KEEPALIVE, **_STEPS, **self._tunables}
        detection = found["KeepaliveInterval"] * found["KeepaliveLimit"]
        return 2.0 * detection + sum(found[name] for name in _STEPS)

    @property
    def fails_back(self) -> bool:
        """Whether CTDB gives addresses back to a node that returns to service."""
        return not self._held and not self._tunables["NoIPFailback"]

    async def hold_addresses(self) -> None:
        """Make CTDB leave every address where it is, as long as its host is in service, until `restore`.

        With IPAllocAlgorithm 0 the host of an address follows from its place in the list of all addresses, so
        a new address moves all others. With any algorithm, the next reallocation undoes `ctdb moveip` unless
        NoIPFailback is set.
        """
        self.used = True
        if not self._held:
            self._held = True
            await self._set_tunables(_HOLD)

    async def allow_takeover(self, *, allowed: bool) -> None:
        """Let CTDB give the addresses of a node to others when it goes out of service, or not."""
        self.used = True
        self.takeover_off = not allowed
        await self._set_tunables({"NoIPTakeover": 0 if allowed else 1})

    async def _set_tunables(self, values: Mapping[str, int]) -> None:
        """Set variables of CTDB; try again if a node does not accept them."""

        async def accepted() -> bool:
            for name, value in values.items():
                await self._cluster.set_tunable(name, value)
            return True

        await self._cluster.wait_until(accepted, time.monotonic() + self._cluster.settings.timeout)

    async def movable(self, view: CtdbView, node: str) -> frozenset[str]:
        """Return the addresses of a node that other nodes take over when it leaves the service."""
        if self.takeover_off:
            return frozenset()
        return await self._cluster.movable_addresses(view, node)

    async def until_seen(
        self,
        what: str,
        change: Callable[[], Awaitable[object]],
        seen: Callable[[], Awaitable[bool]],
        limit: float | None = None,
    ) -> None:
        """Change the cluster, and return when it shows the effect; see `CtdbCluster.until_seen`.

        Args:
            what: the effect, for the error.
            change: runs the commands; it can be repeated.
            seen: whether the effect is there.
            limit: seconds to wait; by default `event_limit`.

        Raises:
            EffectNotSeen: the effect is not there after the limit.
        """
        self.used = True
        self.changed_at = time.monotonic()
        await self._cluster.until_seen(what, change, seen, limit or self.event_limit)

    def record_added(self, node: str, address: str) -> None:
        """Note that the controller adds an address to a node."""
        self.used = True
        self._removed[node].discard(address)
        if address not in self.initial_hosts:
            self._added[node].add(address)

    def record_removed(self, node: str, address: str) -> None:
        """Note that the controller removes an address from a node."""
        self.used = True
        self._added[node].discard(address)
        if address in self.initial_hosts:
            self._removed[node].add(address)

    async def restore(self, timeout: float) -> None:
        """Undo all changes; repeat what fails until nothing is left undone.

        Args:
            timeout: seconds to try.

        Raises:
            NotHealthy: something is left undone after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            problems = await self._attempt(min(deadline, time.monotonic() + _ATTEMPT_SECONDS))
            if not problems:
                break
            if time.monotonic() >= deadline:
                raise NotHealthy(
                    f"the cluster is not restored after {timeout:g} s. Left undone: {'; '.join(problems)}. "
                    "To try it again: swn-torture cluster restore --target PROFILE. "
                    "`ctdb status` and `ctdb ip all` on a node show the state"
                )
            await asyncio.sleep(_PAUSE_SECONDS)
        self.used = self.takeover_off = self._held = False
        self._added.clear()
        self._removed.clear()

    async def _attempt(self, deadline: float) -> list[str]:
        """Run all steps once; return what is left undone."""
        cluster = self._cluster
        # First, because with NoIPTakeover CTDB tries to place the addresses again and again. Each of these
        # takeover runs cancels the health checks of the nodes, so that none of them becomes healthy.
        await _failures(self._restore_tunables())
        problems = await _failures(*(cluster.return_to_service(node, deadline) for node in cluster.names))
        if problems:
            return problems
        try:
            await self._restore_tunables()
            await self._restore_addresses()
            await self.wait_healthy(deadline)
            return await self._move_to_initial_hosts() or await self._wrong_addresses()
        except ControllerError as problem:
            return [str(problem)]

    async def _restore_tunables(self) -> None:
        await self._cluster.set_tunable("NoIPTakeover", 0)
        if self._held:
            for name in _HOLD:
                await self._cluster.set_tunable(name, self._tunables[name])
        elif not self.used:
            await asyncio.gather(*map(self._release_addresses, self._cluster.names))

    async def _release_addresses(self, node: str) -> None:
        """Undo `hold_addresses` of a process that was killed, on one node.

        At its start, CTDB reads its variables from a file. So what the file has is what they were.
        """
        live = await self._cluster.tunables(node)
        if any(live.get(name) != value for name, value in _HOLD.items()):
            return
        file = await self._cluster.run_on(node, "cat", _TUNABLES_FILE, check=False)
        configured = {**_DEFAULTS, **parse_tunables(file.text)}
        if file.code == 0:
            for name in _HOLD:
                await self._cluster.run_on(node, "ctdb", "setvar", name, str(configured[name]))

    async def _restore_addresses(self) -> None:
        """Remove the added addresses, add the removed ones, and let CTDB move addresses where necessary."""
        for node, addresses in self._added.items():
            for address in addresses.intersection(await self._cluster.own_addresses(node)):
                await self._cluster.run_on(node, "ctdb", "delip", address)
        view = await self._cluster.view()
        # Without own changes, the caller wants to undo those of another process, which are not known.
        if any(self._removed.values()) or not self.used:
            await self._cluster.run_on(view.seen_from, "ctdb", "reloadips", "all")
        await self._cluster.run_on(view.seen_from, "ctdb", "ipreallocate")

    async def _move_to_initial_hosts(self) -> list[str]:
        """Move every address to its first host; return the addresses that another node still hosts."""
        if not self.used:
            return []  # where another process found them is not known
        view = await self._cluster.view()
        for address, pnn in self._misplaced(view).items():
            await self._cluster.run_on(view.seen_from, "ctdb", "moveip", address, str(pnn))
        left = self._misplaced(await self._cluster.view())
        return [f"{address} is not where it was, at the node with PNN {pnn}" for address, pnn in left.items()]

    def _misplaced(self, view: CtdbView) -> dict[str, int]:
        """The addresses that another node than at `open` hosts, with the PNN of that first node."""
        return {
            address: pnn
            for address, pnn in self.initial_hosts.items()
            if pnn is not None and view.hosts.get(address) != pnn
        }

    async def _wrong_addresses(self) -> list[str]:
        """Return the changes of the addresses of nodes that are not undone."""
        problems = []
        for node in {*self._added, *self._removed}:
            own = set(await self._cluster.own_addresses(node))
            problems += [f"{node} still has the added address {each}" for each in self._added[node] & own]
            problems += [f"{node} lacks the address {each}" for each in self._removed[node] - own]
        return problems

    # Waiting for nodes in service

    async def wait_healthy(self, deadline: float) -> None:
        """Return when every node is OK and serves, every address is hosted, and no recovery runs.

        Raises:
            NotHealthy: the cluster is in another state at the deadline.
        """

        async def healthy() -> bool:
            return (await self._cluster.view()).healthy

        await self._cluster.wait_until(healthy, deadline)
        await asyncio.gather(*(self.wait_for_node(node, deadline) for node in self._cluster.names))

    async def wait_for_node(self, node: str, deadline: float) -> None:
        """Return when a node is in service and its witness service answers.

        Raises:
            NotHealthy: it is not at the deadline.
        """
        await self._cluster.wait_until(lambda: self.in_service(node), deadline)
        await self._cluster.wait_until(lambda: self._hangs.serves(node), deadline)

    async def in_service(self, node: str) -> bool:
        """Whether a node is OK as seen by itself and by the others, and hosts addresses again."""
        cluster = self._cluster
        views = (await cluster.view(), await cluster.view_from(node))
        pnn = cluster.pnn(views[0], node)
        if any(cluster.flags(view, node) or None in view.hosts.values() for view in views):
            return False
        hosts_again = pnn in views[0].hosts.values() or pnn not in self.initial_hosts.values()
        return (hosts_again or not self.fails_back) and not await cluster.in_recovery(views[0])


async def _failures(*steps: Awaitable[None]) -> list[str]:
    """Await all steps at the same time; return the texts of those that fail."""

    async def failure(step: Awaitable[None]) -> str:
        try:
            await step
        except ControllerError as problem:
            return str(problem)
        return ""

    return [text for text in await asyncio.gather(*map(failure, steps)) if text]
