"""docs/bug-report-scapy.md: each claim, by octets, against scapy's server with one method and nothing else.

The page shows what is sent and received; ``..`` there is an octet that differs from run to run.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from tests.docs.documents import DOCS, blocks
from tests.docs.test_server_from_scratch import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = DOCS / "bug-report-scapy.md"
SERVER = Path(__file__).with_name("one_method_server.py")

INTERFACE = UUID("00000001-0002-0003-0405-060708090a0b")
NDR32 = (UUID("8a885d04-1ceb-11c9-9fe8-08002b104860"), 2)
NDR64 = (UUID("71710533-beba-4937-8319-b5dbef9ccc36"), 1)
KNOWN, UNKNOWN = (INTERFACE, 1), (UUID(int=0x1234), 1)

#: A server of this process answers within milliseconds; a PDU that has no answer takes this long.
SILENCE_S = 1.0


def pdu(ptype: int, call_id: int, body: bytes, *, flags: int = 3, order: str = "<") -> bytes:
    """A PDU with its header (C706 12.6.3.1)."""
    drep = 0x10 if order == "<" else 0
    head = struct.pack("BBBBBxxx", 5, 0, ptype, flags, drep)
    return head + struct.pack(f"{order}HHI", 16 + len(body), 0, call_id) + body


def syntax(each: tuple[UUID, int], order: str) -> bytes:
    uuid, major = each
    return (uuid.bytes_le if order == "<" else uuid.bytes) + struct.pack(f"{order}I", major)


def bind(
    *contexts: tuple[tuple[UUID, int], tuple[UUID, int]], size: int = 5840, group: int = 0, order: str = "<"
) -> bytes:
    """A bind, each context with one transfer syntax (C706 12.6.4.3)."""
    body = struct.pack(f"{order}HHIBxH", size, size, group, len(contexts), 0)
    for number, (abstract, transfer) in enumerate(contexts or ((KNOWN, NDR32),)):
        body += struct.pack(f"{order}HBx", number, 1) + syntax(abstract, order) + syntax(transfer, order)
    if not contexts:
        body = body[:8] + b"\1" + body[9:]
    return pdu(11, 1, body, order=order)


def request(stub: bytes, *, context: int = 0, flags: int = 3, order: str = "<") -> bytes:
    """A request of opnum 7 (C706 12.6.4.9)."""
    return pdu(0, 2, struct.pack(f"{order}IHH", len(stub), context, 7) + stub, flags=flags, order=order)


FIVE, BIG_FIVE = struct.pack("<I", 5), struct.pack(">I", 5)

#: What is sent for each claim, piece by piece; an answer is awaited after each piece.
SENT: dict[str, Sequence[bytes]] = {
    "1": (bind()[:30], bind()[30:]),
    "2": (bind(), request(FIVE[:2], flags=1)),
    "3": (bind(size=2048), request(struct.pack("<I", 6000))),
    "4": (bind((UNKNOWN, NDR32)),),
    "5a": (bind((KNOWN, NDR32), (UNKNOWN, NDR32)),),
    "5b": (bind((UNKNOWN, NDR32), (KNOWN, NDR32)),),
    "6": (bind((KNOWN, NDR64)),),
    "8": (bind(), request(FIVE, context=99)),
    "9a": (bind(), request(BIG_FIVE, order=">")),
    "9b": (bind(order=">"), request(BIG_FIVE, order=">")),
    "10": (bind(), request(b"")),
    "11": (request(FIVE),),
    "12a": (bind(), bind()),
    "12b": (bind(), pdu(99, 2, bytes(8)), request(FIVE)),
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The server, in a process of its own."""
    number = free_port()
    command = [sys.executable, str(SERVER), str(number)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", number)).close()
                break
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not listen"
        yield number
        process.terminate()


def exchange(port: int, pieces: Sequence[bytes]) -> list[str]:
    """The answer to each piece: octets in hexadecimal, ``FIN``, or ``silence``."""
    answers = []
    with socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S) as connection:
        for piece in pieces:
            connection.sendall(piece)
            try:
                answers.append(connection.recv(65536).hex() or "FIN")
            except TimeoutError:
                answers.append("silence")
            if answers[-1] == "FIN":
                break
    return answers


def shown() -> dict[str, list[str]]:
    """The answers that the page shows for each claim, without spaces."""
    found: dict[str, list[str]] = {}
    claim = ""
    (block,) = blocks(PAGE, "text")
    for line in block.text.splitlines():
        begin = re.match(r"(\d+[ab]?) ", line)
        claim = begin[1] if begin else claim
        answer = re.search(r"(?:<- )(.*)$", line)
        if answer is not None:
            found.setdefault(claim, []).append(re.sub(r"\s+", "", answer[1].partition("   ")[0]))
    return found


@pytest.mark.parametrize("claim", SENT)
def test_server_does_what_the_page_says(claim: str, port: int) -> None:
    answers = exchange(port, SENT[claim])
    expected = shown()[claim]
    if claim == "1":  # the first piece alone closes the connection
        assert answers[0] == "FIN"
        return
    for answer, pattern in zip(answers[-len(expected) :], expected, strict=True):
        known = pattern.removesuffix("...")
        assert re.match(known.replace("..", "[0-9a-f]{2}") + ("" if known != pattern else "$"), answer), (
            answer
        )


def test_association_group_is_not_joined(port: int) -> None:
    """Claim 7: the second connection names the group of the first one, which is open."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as first:
        first.sendall(bind())
        group = struct.unpack_from("<I", first.recv(65536), 20)[0]
        (answer,) = exchange(port, [bind(group=group)])
    assert struct.unpack_from("<I", bytes.fromhex(answer), 20)[0] != group
    assert answer[4:6] == "0c"  # bind_ack


def test_page_has_every_claim_and_the_version() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|.*\|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert {re.sub(r"\D", "", claim) for claim in SENT} | {"7"} == {number for number, _ in rows}
    assert all(re.search(r"(C706|MS-RPCE) \d", texts) for _, texts in rows)
    assert f"scapy {version('scapy')}" in text
