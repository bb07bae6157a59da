"""An RPC interface defined by a table: valid calls, invalid calls, and exceptions of the operations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.dcerpc.client.client import connect
from swn_torture.dcerpc.errors import Fault
from swn_torture.dcerpc.server.options import ServerOptions
from swn_torture.dcerpc.server.server import RpcServer
from swn_torture.dcerpc.status import FaultStatus
from swn_torture.server.companions.dispatch import Operation, TableInterface
from swn_torture.stubdata.syntax import NDR32, NDR64, SyntaxId

if TYPE_CHECKING:
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.ndr import Reader, Writer

DOUBLING = SyntaxId(UUID("7d0f3f6a-52c1-4d3a-9c0e-2f8c8f6f1a01"), 1, 0)
TIMEOUT = 5.0


def read(reader: Reader) -> int:
    return reader.u32("number")


def write(writer: Writer, number: int) -> None:
    writer.u32("number", number)


def double(_call: ServerCall, number: int) -> int:
    return 2 * number


async def double_later(_call: ServerCall, number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


async def fail(_call: ServerCall, number: int) -> int:
    raise ZeroDivisionError(number)


def fail_at_once(_call: ServerCall, number: int) -> int:
    raise ZeroDivisionError(number)


def fail_to_write(_writer: Writer, number: int) -> None:
    raise ZeroDivisionError(number)


TABLE = {
    0: Operation(read, double, write),
    1: Operation(read, double_later, write),
    2: Operation(read, fail, write),
    3: Operation(read, fail_at_once, write),
    4: Operation(read, lambda _call, number: number, fail_to_write),
}


def answers(
    *calls: tuple[int, bytes], byte_order: ByteOrder = "little", reply_byte_order: Any = "little"
) -> tuple[list[bytes | int], list[str]]:
    """Return the stub data or fault status of each call, and the errors reported to the event loop."""
    errors: list[str] = []

    async def run() -> list[bytes | int]:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(repr(context["exception"])))
        interface = TableInterface(DOUBLING, TABLE, (NDR32,), reply_byte_order)
        server = RpcServer([interface], options=ServerOptions(reply_byte_order=reply_byte_order))
        port = await server.start("127.0.0.1")
        found: list[bytes | int] = []
        async with await connect("127.0.0.1", port) as client:
            await client.bind(DOUBLING)
            for opnum, stub in calls:
                try:
                    found.append(await client.call(opnum, stub, byte_order=byte_order).reply(TIMEOUT))
                except Fault as fault:
                    found.append(fault.status)
        await server.stop()
        return found

    found = asyncio.run(run())
    return found, errors


@pytest.mark.parametrize("opnum", [0, 1], ids=["at-once", "later"])
def test_call_returns_its_response(opnum: int) -> None:
    assert answers((opnum, b"\x15\0\0\0")) == ([b"\x2a\0\0\0"], [])


def test_octets_after_the_parameters_are_ignored() -> None:
    assert answers((0, b"\x15\0\0\0padding")) == ([b"\x2a\0\0\0"], [])


def test_invalid_call_returns_a_fault_and_keeps_connection() -> None:
    found, errors = answers((5, b""), (0, b"\x15\0"), (0, b"\x15\0\0\0"))

    assert found == [FaultStatus.NCA_S_OP_RNG_ERROR, FaultStatus.RPC_X_BAD_STUB_DATA, b"\x2a\0\0\0"]
    assert errors == []


@pytest.mark.parametrize("opnum", [2, 3, 4], ids=["later", "at-once", "in-the-answer"])
def test_exception_returns_a_fault_and_is_reported(opnum: int) -> None:
    found, errors = answers((opnum, b"\x07\0\0\0"), (0, b"\x15\0\0\0"))

    assert found == [FaultStatus.NCA_S_FAULT_UNSPEC, b"\x2a\0\0\0"]
    assert errors == ["ZeroDivisionError(7)"]


@pytest.mark.parametrize(("reply", "stub"), [("little", b"\x2a\0\0\0"), ("caller", b"\0\0\0\x2a")])
def test_big_endian_request_is_decoded(reply: str, stub: bytes) -> None:
    found, _ = answers((0, b"\0\0\0\x15"), byte_order="big", reply_byte_order=reply)

    assert found == [stub]


@pytest.mark.parametrize(
    ("opnum", "stub", "end"), [(0, bytes(4), 4), (0, bytes(20), 4), (0, bytes(3), 0), (9, bytes(20), 0)]
)
@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
def test_end_of_parameters(opnum: int, stub: bytes, end: int, syntax: SyntaxId) -> None:
    assert TableInterface(DOUBLING, TABLE).end_of_parameters(opnum, stub, syntax, "little") == end
