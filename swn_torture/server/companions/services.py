"""Makes the companion services that the configuration asks for: ClusAPI, and shares over SMB.

The modules are imported only when they are needed, because importing impacket takes time.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.stubdata.syntax import NDR32, NDR64

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerInterface
    from swn_torture.server.companions.cluster_access import ClusterAccess
    from swn_torture.server.companions.file_service import FileService


class CompanionServices:
    """Makes the companion services of the nodes of a cluster.

    Args:
        cluster: the cluster that the services use.
    """

    def __init__(self, cluster: ClusterAccess) -> None:
        self._cluster = cluster
        self._files: dict[str, FileService] = {}
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    def interfaces(self, node: str) -> list[ServerInterface]:
        """Return new RPC interfaces for the witness port of a node."""
        config = self._cluster.config
        if not config.clusapi:
            return []
        from swn_torture.server.companions.clusapi.endpoint import ClusapiEndpoint

        syntaxes = (NDR64, NDR32) if config.ndr64 else (NDR32,)
        return [ClusapiEndpoint(self._cluster, node, syntaxes, config.rpc.reply_byte_order)]

    def files(self, node: str) -> FileService | None:
        """Return the file service of a node, or None without SMB. A restarted node gets the same one."""
        config = self._cluster.config
        if config.smb_port is None:
            return None
        from swn_torture.server.companions.file_service import FileService

        if node not in self._files:
            self._files[node] = FileService(node, config, self._cluster.shares, self._root(), config.smb_port)
        return self._files[node]

    def clear(self) -> None:
        """Remove the temporary directory of the shares."""
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    def _root(self) -> Path:
        if self._cluster.config.share_root is not None:
            return Path(self._cluster.config.share_root)
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="swn-torture-shares-")
        return Path(self._directory.name)
