"""The management interface against octets that Samba 4.22 packed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.client.management import inq_if_ids
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.mgmt import MGMT, ManagementError, read_if_ids
from swn_torture.dcerpc.server.interface import (
    Association,
    Caller,
    ConnectionInfo,
    ServerCall,
    ServerInterface,
)
from swn_torture.dcerpc.server.management import Management
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.stubdata.syntax import NDR32, SyntaxId

SERVICE = SyntaxId(UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28"), 1, 1)

# Packed by Samba 4.22.11 (samba.dcerpc.mgmt); its referents begin at 0x20000.
IF_IDS_OUT = (
    "00000200" + "0200000002000000" + "0400020008000200"
    + "74c0d8cce5d0404a92b4d074faa6ba28" + "01000100"
    + "80bda8af8a7dc911bef408002b102989" + "01000000" + "00000000"
)  # fmt: skip
STATS_IN = "0400000000000000"
STATS_OUT = "04000000" + "04000000" + "01000000020000000300000004000000" + "00000000"
LISTENING_OUT = "0000000001000000"
PRINCIPAL_IN = "0a00000040000000"
PRINCIPAL_OUT = "40000000000000000b000000" + "636966732f6e6f6465310000" + "00000000"


def ask(opnum: int, stub: str = "", *, name: str | None = "cifs/node1") -> str | int:
    answers: list[str | int] = []
    interface = Management(
        lambda: [SERVICE], lambda: (1, 2, 3, 4), lambda auth_type: name if auth_type == 10 else None
    )
    interface.call(
        ServerCall(
            opnum=opnum,
            stub=bytes.fromhex(stub),
            abstract_syntax=MGMT,
            syntax=NDR32,
            byte_order="little",
            caller=Caller(),
            association=Association(1, "127.0.0.1"),
            connection=ConnectionInfo(1, ("127.0.0.1", 40000), ("127.0.0.9", 135)),
            call_id=1,
            answer=lambda _, stub, status, __: answers.append(status if stub is None else stub.hex()),
        )
    )
    (answer,) = answers
    return answer


def test_interfaces() -> None:
    small_referents = IF_IDS_OUT.replace("00000200", "01000000", 1).replace(
        "0400020008000200", "0200000003000000"
    )
    assert ask(0) == small_referents


def test_interfaces_are_read_as_samba_packs_them() -> None:
    assert read_if_ids(bytes.fromhex(IF_IDS_OUT)) == [SERVICE, MGMT]


def test_interfaces_of_a_big_endian_server() -> None:
    stub = (
        "00000001" + "0000000100000001" + "00000002"
        + SERVICE.uuid.hex + "00010001" + "00000000"
    )  # fmt: skip
    assert read_if_ids(bytes.fromhex(stub), "big") == [SERVICE]


def test_interfaces_cut_short() -> None:
    whole = bytes.fromhex(IF_IDS_OUT)
    for cut in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            read_if_ids(whole[:cut])


def test_interfaces_that_are_not_as_many_as_announced() -> None:
    stub = bytearray.fromhex(IF_IDS_OUT)
    stub[8] = 1

    with pytest.raises(RemoteProtocolError, match="1 elements in an array of 2"):
        read_if_ids(bytes(stub))


def test_interfaces_refused() -> None:
    with pytest.raises(ManagementError, match=r"ERROR_ACCESS_DENIED \(0x00000005\)"):
        read_if_ids(bytes.fromhex("0000000005000000"))


def test_statistics() -> None:
    assert ask(1, STATS_IN) == STATS_OUT


def test_fewer_statistics() -> None:
    assert ask(1, "02000000") == "02000000" + "02000000" + "0100000002000000" + "00000000"
    assert ask(1, "00000000") == "00000000" + "00000000" + "00000000"


def test_more_statistics_than_the_range_allows() -> None:
    assert ask(1, "33000000") == FaultStatus.RPC_X_BAD_STUB_DATA


def test_listening() -> None:
    assert ask(2) == LISTENING_OUT


def test_stopping_is_refused() -> None:
    assert ask(3) == "05000000"


def test_principal() -> None:
    assert ask(4, PRINCIPAL_IN) == PRINCIPAL_OUT


def test_principal_does_not_fit() -> None:
    assert ask(4, "0a000000" + "05000000") == "050000000000000001000000" + "00000000" + "cf060000"
    assert ask(4, "0a000000" + "00000000") == "000000000000000000000000" + "cf060000"


def test_no_principal_for_this_type() -> None:
    assert ask(4, "10000000" + "40000000") == "400000000000000001000000" + "00000000" + "1e070000"


def test_out_of_range() -> None:
    assert ask(5) == FaultStatus.NCA_S_OP_RNG_ERROR


@pytest.mark.parametrize("opnum", [1, 4])
def test_bad_stub(opnum: int) -> None:
    assert ask(opnum, "0000") == FaultStatus.RPC_X_BAD_STUB_DATA


class Quiet(ServerInterface):
    """An interface that is only there to be listed."""

    def __init__(self) -> None:
        self.syntax = SERVICE
        self.transfer_syntaxes = (NDR32,)

    def call(self, call: ServerCall) -> None:
        call.fault(FaultStatus.NCA_S_OP_RNG_ERROR)


def test_every_server_tells_what_it_serves() -> None:
    async def main() -> list[SyntaxId]:
        server = RpcServer([Quiet()])
        port = await server.start("127.0.0.1")
        try:
            return await inq_if_ids("127.0.0.1", port)
        finally:
            await server.stop(reset=True)

    assert asyncio.run(main()) == [SERVICE, MGMT]


def test_impacket() -> None:
    """impacket 0.13's management calls against our server."""
    from impacket.dcerpc.v5 import mgmt
    from impacket.dcerpc.v5.transport import DCERPCTransportFactory
    from impacket.uuid import bin_to_string

    def ask(port: int) -> dict[str, Any]:
        dce = DCERPCTransportFactory(f"ncacn_ip_tcp:127.0.0.1[{port}]").get_dce_rpc()
        dce.connect()
        try:
            dce.bind(mgmt.MSRPC_UUID_MGMT)
            interfaces = mgmt.hinq_if_ids(dce)["if_id_vector"]["if_id"]
            return {
                "interfaces": [
                    (
                        bin_to_string(each["Data"]["Uuid"]),
                        each["Data"]["VersMajor"],
                        each["Data"]["VersMinor"],
                    )
                    for each in interfaces
                ],
                "statistics": mgmt.hinq_stats(dce)["count"],
                "listening": mgmt.his_server_listening(dce)["status"],
            }
        finally:
            dce.disconnect()

    async def main() -> dict[str, Any]:
        server = RpcServer([Quiet()])
        port = await server.start("127.0.0.1")
        try:
            return await asyncio.to_thread(ask, port)
        finally:
            await server.stop(reset=True)

    assert asyncio.run(main()) == {
        "interfaces": [(str(each.uuid).upper(), each.major, each.minor) for each in (SERVICE, MGMT)],
        "statistics": 4,
        "listening": 0,
    }
