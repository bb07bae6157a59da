"""impacket as a client of the reference: it calls every method, signed and sealed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR32
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.codec import decode_response, encode
from swn_torture.witness.constants import INTERFACE_UUID
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    GetInterfaceListRequest,
    RegisterExRequest,
    RegisterRequest,
    UnRegisterExRequest,
    UnRegisterRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CONFIG = ClusterConfig.from_mapping({"scan_interval": 0.01, "nodes": 2})


@pytest.fixture(scope="module")
def cluster() -> Iterator[EmbeddedCluster]:
    with EmbeddedCluster(CONFIG) as running:
        yield running


@pytest.mark.parametrize("level", [5, 6], ids=["signed", "sealed"])
def test_impacket_calls_every_method(cluster: EmbeddedCluster, level: int) -> None:
    from impacket.dcerpc.v5 import transport
    from impacket.uuid import uuidtup_to_bin

    node1, node2 = cluster.nodes
    connection = transport.DCERPCTransportFactory(f"ncacn_ip_tcp:{node1.address}[{node1.port}]")
    connection.set_credentials("witness", "Passw0rd!", "SWNTEST")
    rpc = connection.get_dce_rpc()
    rpc.set_auth_level(level)
    rpc.connect()
    rpc.bind(uuidtup_to_bin((str(INTERFACE_UUID), "1.1")))

    def ask(request: Any) -> Any:
        rpc.call(request.opnum, encode(request, NDR32))
        return decode_response(request.opnum, rpc.recv(), NDR32, allow_trailing=True)

    assert [i.group_name for i in ask(GetInterfaceListRequest()).interfaces] == ["NODE1", "NODE2"]
    first = ask(RegisterRequest(0x00010001, "SWNCLUSTER", node2.address, "IMPACKET"))
    second = ask(RegisterExRequest(0x00020000, "SWNCLUSTER", None, node2.address, "IMPACKET", 0, 0))
    assert (first.result, second.result) == (0, 0)
    assert ask(AsyncNotifyRequest(second.context)).result == Win32.ERROR_TIMEOUT
    assert ask(UnRegisterRequest(first.context)).result == 0
    assert ask(UnRegisterExRequest(second.context)).context.is_null
    rpc.disconnect()
