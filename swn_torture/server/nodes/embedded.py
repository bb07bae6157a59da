"""A reference cluster inside this process, in a thread with its own event loop.

For tests: a test connects to the cluster over real sockets, with or without an event loop.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.admin import AdminServer
from swn_torture.server.nodes.cluster import ReferenceCluster

if TYPE_CHECKING:
    from types import TracebackType

    from swn_torture.server.activity.log import ActivityLog
    from swn_torture.server.nodes.parts import Parts

_START = 30.0
"""Maximum start time of a cluster in seconds. It takes milliseconds, but the machine can be busy."""


@dataclass(frozen=True, slots=True)
class EmbeddedNode:
    """The name, addresses and ports of one node."""

    name: str
    address: str
    addresses: tuple[str, ...]
    port: int
    epm_port: int
    smb_port: int | None = None


class EmbeddedCluster:
    """A cluster that runs inside a `with` block. An error of its thread is raised by the block.

    Args:
        config: its configuration.
        parts: the classes of its nodes.
        activity: observes the cluster; None for no observer.

    Attributes:
        nodes: the nodes with their addresses and ports.
        admin_address: the address of its administration.
        admin_port: the port of its administration.
        admin_token: the token that requests to it need.
    """

    def __init__(
        self,
        config: ClusterConfig | None = None,
        parts: Parts | None = None,
        activity: ActivityLog | None = None,
    ) -> None:
        self.config = config or ClusterConfig()
        self.nodes: tuple[EmbeddedNode, ...] = ()
        self.admin_address = self.config.admin_address
        self.admin_port = 0
        self.admin_token = ""
        self._parts = parts
        self._activity = activity
        self._ready = threading.Event()
        self._problem: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="reference cluster", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START):
            raise TimeoutError(f"the reference cluster did not start within {_START:g} s")
        if self._problem is not None:
            self._thread.join()
            raise self._problem
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        if self._problem is not None and error is None:
            raise self._problem

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as problem:  # noqa: BLE001 - the thread of the `with` block raises it
            self._problem = problem
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        async with (
            ReferenceCluster(self.config, self._parts, self._activity) as cluster,
            AdminServer(cluster, self.config.admin_address, self.config.admin_port, self._activity) as admin,
        ):
            self.admin_port = admin.port
            self.admin_token = admin.token
            self.nodes = tuple(
                EmbeddedNode(
                    node.name,
                    node.address,
                    tuple(str(address) for address in cluster.addresses_of(node.name)),
                    node.port,
                    node.epm_port,
                    node.smb_port,
                )
                for node in cluster.nodes.values()
            )
            self._ready.set()
            await self._stop.wait()
