"""The management interface, compared with octets that Samba 4.22 packed."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.client.management import inq_if_ids, inq_princ_name
from swn_torture.dcerpc.errors import RemoteProtocolError
from swn_torture.dcerpc.mgmt import MGMT, ManagementError, princ_name_request, read_if_ids, read_princ_name
from swn_torture.dcerpc.security.acceptor import Acceptor
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


# The list of a server does not contain the management interface: each server has it.
OWN_IF_IDS_OUT = bytes.fromhex(
    "01000000 0100000001000000 02000000 74c0d8cce5d0404a92b4d074faa6ba28 01000100 00000000"
).hex()


def test_inq_if_ids_lists_what_samba_lists_with_referents_from_1() -> None:
    assert ask(0) == OWN_IF_IDS_OUT


def test_interfaces_packed_by_samba_are_read() -> None:
    assert read_if_ids(bytes.fromhex(IF_IDS_OUT)) == [SERVICE, MGMT]


def test_interfaces_of_a_big_endian_server_are_read() -> None:
    stub = (
        "00000001" + "0000000100000001" + "00000002"
        + SERVICE.uuid.hex + "00010001" + "00000000"
    )  # fmt: skip
    assert read_if_ids(bytes.fromhex(stub), "big") == [SERVICE]


def test_a_truncated_list_of_interfaces_is_rejected() -> None:
    whole = bytes.fromhex(IF_IDS_OUT)
    for cut in range(len(whole)):
        with pytest.raises(RemoteProtocolError):
            read_if_ids(whole[:cut])


def test_a_wrong_number_of_interfaces_is_rejected() -> None:
    stub = bytearray.fromhex(IF_IDS_OUT)
    stub[8] = 1

    problem = "1 elements, but the array has a max_count of 2"
    with pytest.raises(RemoteProtocolError, match=rf"^if_id_vector\.count: {problem} \(at octet 8\)$"):
        read_if_ids(bytes(stub))


def test_a_huge_number_of_interfaces_is_rejected() -> None:
    stub = bytearray.fromhex(IF_IDS_OUT)
    stub[4:12] = b"\xff" * 8

    with pytest.raises(
        RemoteProtocolError, match=r"^if_id_vector\.max_count: 4294967295 exceeds the maximum"
    ):
        read_if_ids(bytes(stub))


def test_a_status_other_than_0_is_a_management_error() -> None:
    with pytest.raises(ManagementError, match=r"ERROR_ACCESS_DENIED \(0x00000005\)"):
        read_if_ids(bytes.fromhex("0000000005000000"))


def test_inq_stats_answers_as_samba_does() -> None:
    assert ask(1, STATS_IN) == STATS_OUT


def test_inq_stats_returns_as_many_as_requested() -> None:
    assert ask(1, "02000000") == "02000000" + "02000000" + "0100000002000000" + "00000000"
    assert ask(1, "00000000") == "00000000" + "00000000" + "00000000"


def test_inq_stats_rejects_a_count_beyond_its_range() -> None:
    assert ask(1, "33000000") == FaultStatus.RPC_X_BAD_STUB_DATA


def test_is_server_listening_answers_as_samba_does() -> None:
    assert ask(2) == LISTENING_OUT


def test_stop_server_listening_returns_access_denied() -> None:
    assert ask(3) == "05000000"


def test_inq_princ_name_answers_as_samba_does() -> None:
    assert ask(4, PRINCIPAL_IN) == PRINCIPAL_OUT


def test_inq_princ_name_returns_insufficient_buffer() -> None:
    for size in range(1, len("cifs/node1") + 1):
        counts = f"{size:02x}000000" + "00000000" + "01000000"
        assert ask(4, "0a000000" + f"{size:02x}000000") == counts + "00000000" + "7a000000"


def test_inq_princ_name_without_place_for_the_zero_is_a_fault() -> None:
    assert ask(4, "0a000000" + "00000000") == FaultStatus.RPC_X_BAD_STUB_DATA


def test_inq_princ_name_of_another_type_returns_unknown_service() -> None:
    assert ask(4, "10000000" + "40000000") == "400000000000000001000000" + "00000000" + "d3060000"


def test_a_server_has_an_empty_name_for_each_of_its_types() -> None:
    server = RpcServer([ListedInterface()], acceptor=Acceptor({"witness": "Passw0rd!"}))
    assert [server.principal_name(auth_type) for auth_type in (9, 10, 16)] == ["", "", None]
    assert RpcServer([ListedInterface()]).principal_name(10) is None


def test_a_server_with_a_keytab_names_its_principal_except_for_ntlm() -> None:
    acceptor = Acceptor({"witness": "Passw0rd!"})
    acceptor.keytab, acceptor.principal = "k", "cifs/CLUSTER"
    server = RpcServer([ListedInterface()], acceptor=acceptor)
    assert [server.principal_name(auth_type) for auth_type in (9, 10, 16)] == [
        "cifs/CLUSTER",
        "",
        "cifs/CLUSTER",
    ]


def test_our_client_reads_the_principal_as_samba_packs_it() -> None:
    assert princ_name_request(10, 64).hex() == PRINCIPAL_IN
    assert read_princ_name(bytes.fromhex(PRINCIPAL_OUT)) == "cifs/node1"
    with pytest.raises(ManagementError, match=r"inq_princ_name: .*0x000006D3") as caught:
        read_princ_name(bytes.fromhex("400000000000000001000000" + "00000000" + "d3060000"))
    assert caught.value.status == 0x6D3
    with pytest.raises(RemoteProtocolError):
        read_princ_name(bytes.fromhex(PRINCIPAL_OUT)[:-2])


def test_principal_over_a_connection() -> None:
    async def names() -> list[str]:
        acceptor = Acceptor({"witness": "Passw0rd!"})
        acceptor.keytab, acceptor.principal = "k", "cifs/CLUSTER"
        server = RpcServer([ListedInterface()], acceptor=acceptor)
        port = await server.start("127.0.0.1")
        try:
            return [await inq_princ_name("127.0.0.1", port, auth_type) for auth_type in (9, 10, 16)]
        finally:
            await server.stop()

    assert asyncio.run(names()) == ["cifs/CLUSTER", "", "cifs/CLUSTER"]


def test_an_unknown_management_opnum_gets_op_rng_error() -> None:
    assert ask(5) == FaultStatus.NCA_S_OP_RNG_ERROR


@pytest.mark.parametrize("opnum", [1, 4])
def test_truncated_management_requests_get_bad_stub_data(opnum: int) -> None:
    assert ask(opnum, "0000") == FaultStatus.RPC_X_BAD_STUB_DATA


class ListedInterface(ServerInterface):
    """An interface for the list of interfaces; it has no methods."""

    def __init__(self) -> None:
        self.syntax = SERVICE
        self.transfer_syntaxes = (NDR32,)

    def call(self, call: ServerCall) -> None:
        call.fault(FaultStatus.NCA_S_OP_RNG_ERROR)


def test_every_server_reports_its_interfaces() -> None:
    async def main() -> list[SyntaxId]:
        server = RpcServer([ListedInterface()])
        port = await server.start("127.0.0.1")
        try:
            return await inq_if_ids("127.0.0.1", port)
        finally:
            await server.stop(reset=True)

    assert asyncio.run(main()) == [SERVICE]


def test_impacket_calls_the_management_interface() -> None:
    """The management calls of impacket 0.13 to this server."""
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
        server = RpcServer([ListedInterface()])
        port = await server.start("127.0.0.1")
        try:
            return await asyncio.to_thread(ask, port)
        finally:
            await server.stop(reset=True)

    assert asyncio.run(main()) == {
        "interfaces": [(str(SERVICE.uuid).upper(), SERVICE.major, SERVICE.minor)],
        "statistics": 4,
        "listening": 0,
    }
