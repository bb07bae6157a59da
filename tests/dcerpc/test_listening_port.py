"""A client uses the first endpoint of a map at which a process listens."""

from __future__ import annotations

import asyncio
import socket

from swn_torture.dcerpc.epm.endpoint_mapper import TowerEndpoint
from swn_torture.dcerpc.epm.ports import listening_port
from swn_torture.dcerpc.epm.towers import Tower
from swn_torture.witness.constants import WITNESS

HERE = "127.0.0.1"


def closed_port() -> int:
    with socket.create_server((HERE, 0)) as server:
        return int(server.getsockname()[1])


def chosen(*ports: int) -> int:
    return asyncio.run(
        listening_port(HERE, [TowerEndpoint(HERE, port, Tower.of_tcp(WITNESS, port)) for port in ports])
    )


def test_endpoint_of_a_process_that_has_ended_is_skipped() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        assert chosen(closed_port(), port) == port


def test_first_endpoint_if_none_listens() -> None:
    first, second = closed_port(), closed_port()
    assert chosen(first, second) == first


def test_single_endpoint_is_not_tried() -> None:
    with socket.create_server((HERE, 0)) as server:
        port = server.getsockname()[1]
        server.settimeout(0)
        assert chosen(port, port) == port
        try:
            server.accept()
        except BlockingIOError:
            return
    raise AssertionError("a connection was made")
