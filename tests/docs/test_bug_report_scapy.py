"""docs/bug-report-scapy.md: each claim, by octets, against scapy's server with two methods and nothing else.

The page shows what is sent and received; ``..`` there is an octet that differs from run to run.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
import spnego
from scapy.layers import dcerpc
from spnego import ContextReq

from tests.docs.documents import DOCS, blocks
from tests.docs.test_server_from_scratch import free_port
from tests.preloaded import python

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = DOCS / "bug-report-scapy.md"
SERVER = Path(__file__).with_name("two_method_server.py")

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


def request(
    stub: bytes, *, context: int = 0, opnum: int = 7, call_id: int = 2, flags: int = 3, order: str = "<"
) -> bytes:
    """A request (C706 12.6.4.9)."""
    body = struct.pack(f"{order}IHH", len(stub), context, opnum) + stub
    return pdu(0, call_id, body, flags=flags, order=order)


def altered(octets: bytes, **at: bytes) -> bytes:
    """A PDU with other octets in some places: ``at_4=b"..."``."""
    for place, new in at.items():
        first = int(place.removeprefix("at_"))
        octets = octets[:first] + new + octets[first + len(new) :]
    return octets


def bind_of_syntaxes(*transfers: tuple[UUID, int]) -> bytes:
    """A bind with one context that has several transfer syntaxes."""
    body = struct.pack("<HHIBxHHBx", 5840, 5840, 0, 1, 0, 0, len(transfers)) + syntax(KNOWN, "<")
    return pdu(11, 1, body + b"".join(syntax(each, "<") for each in transfers))


def authenticated(
    octets: bytes, token: bytes, auth_type: int = 10, context: int = 1, level: int = 2
) -> bytes:
    """A PDU with a sec_trailer, by default at level connect, and a token (MS-RPCE 2.2.2.11)."""
    padding = -len(octets) % 4
    whole = octets + bytes(padding) + struct.pack("<BBBBI", auth_type, level, padding, 0, context) + token
    return altered(whole, at_8=struct.pack("<HH", len(whole), len(token)))


#: An unknown command, END, MUST_PROCESS (MS-RPCE 2.2.2.13).
TRAILER = bytes.fromhex("8ae3137102f43671") + struct.pack("<HH", 0xC009, 0)

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
    "13": (bind(), altered(bind((UNKNOWN, NDR32)), at_2=b"\x0e")),
    "14": (bind_of_syntaxes(UNKNOWN, NDR32),),
    "15": (authenticated(bind(), b"abcd", auth_type=99), request(FIVE)),
    "16": (bind(),),
    "19": (bind(), request(b"", opnum=9)),
    "20": (bind(), request(FIVE + TRAILER)),
    "21a": (bind(), request(FIVE, flags=2)),
    "21b": (bind(), request(FIVE, flags=0)),
    "22": (bind(), altered(request(FIVE), at_10=b"\xff\x7f")),
    "23": (bind(), request(struct.pack("<III", 2, 0, 4) + "abc\0".encode("utf-16-le"), opnum=8)),
    "24a": (bind(), altered(request(FIVE), at_0=b"\4\0")),
    "24b": (altered(bind(), at_0=b"\5\1"),),
    "25": (bind(), request(FIVE, call_id=9), request(FIVE, call_id=3)),
    "26": (bind(), altered(request(FIVE), at_4=b"\x1f\x0f\xff\xff")),
}

#: The claims about a server with authentication.
SECURED = {"16"}


@pytest.fixture(scope="module")
def ports() -> Iterator[tuple[int, int]]:
    """The ports of the server, without authentication and with NTLM, in a process of its own."""
    numbers = free_port(), free_port()
    command = [python("scapy"), str(SERVER), *map(str, numbers)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        for number in numbers:
            while True:
                with contextlib.suppress(ConnectionRefusedError):
                    socket.create_connection(("127.0.0.1", number)).close()
                    break
                assert process.poll() is None, "the server has ended"
                assert time.monotonic() < deadline, "the server does not listen"
        yield numbers
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
def test_server_does_what_the_page_says(claim: str, ports: tuple[int, int]) -> None:
    answers = exchange(ports[claim in SECURED], SENT[claim])
    expected = shown()[claim]
    if claim == "1":  # the first piece alone closes the connection
        assert answers[0] == "FIN"
        return
    for answer, pattern in zip(answers[-len(expected) :], expected, strict=True):
        known = pattern.removesuffix("...")
        assert re.match(known.replace("..", "[0-9a-f]{2}") + ("" if known != pattern else "$"), answer), (
            answer
        )


def test_association_group_is_not_joined(ports: tuple[int, int]) -> None:
    """Claim 7: the second connection names the group of the first one, which is open."""
    port = ports[0]
    with socket.create_connection(("127.0.0.1", port), timeout=30) as first:
        first.sendall(bind())
        group = struct.unpack_from("<I", first.recv(65536), 20)[0]
        (answer,) = exchange(port, [bind(group=group)])
    assert struct.unpack_from("<I", bytes.fromhex(answer), 20)[0] != group
    assert answer[4:6] == "0c"  # bind_ack


def test_leg_of_another_security_context_counts(ports: tuple[int, int]) -> None:
    """Claim 17: the auth3 names a security context that does not exist."""
    client = spnego.client("witness", "Passw0rd!", protocol="ntlm")
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=30) as connection:
        connection.sendall(authenticated(bind(), client.step() or b""))
        answer = connection.recv(65536)
        token = client.step(answer[-struct.unpack_from("<H", answer, 10)[0] :]) or b""
        # In one read: the server takes what is left after the auth3 for the next PDU.
        leg = authenticated(pdu(16, 1, bytes(4)), token, context=0x4D)
        connection.sendall(leg + request(FIVE))
        assert [connection.recv(65536).hex()] == shown()["17"]


def test_request_without_stub_data_is_not_verified(ports: tuple[int, int]) -> None:
    """Claim 27: at level integrity, with a verifier of zeros. The next request has the sequence number 1."""
    client = spnego.client("witness", "Passw0rd!", protocol="ntlm", context_req=ContextReq.integrity)
    with socket.create_connection(("127.0.0.1", ports[1]), timeout=30) as connection:
        connection.sendall(authenticated(bind(), client.step() or b"", level=5))
        answer = connection.recv(65536)
        token = client.step(answer[-struct.unpack_from("<H", answer, 10)[0] :]) or b""
        connection.sendall(authenticated(pdu(16, 1, bytes(4)), token, level=5))
        connection.sendall(authenticated(request(b"", opnum=10), bytes(16), level=5))
        first = connection.recv(65536).hex()
        client.sign(b"")  # the verifier that the first request should have had: sequence number 0
        connection.sendall(authenticated(request(FIVE, call_id=3), client.sign(FIVE), level=5))
        assert re.match(shown()["27"][0].removesuffix("..."), first)
        assert ["FIN" if connection.recv(65536) == b"" else "answer"] == shown()["27"][1:]


def test_context_id_of_a_big_endian_pdu_is_little_endian() -> None:
    """Claim 18."""
    verifier = dcerpc.CommonAuthVerifier(auth_type=10, auth_level=5, auth_context_id=1, auth_value=b"abcd")
    header = dcerpc.DceRpc5(endian="big", call_id=2, auth_verifier=verifier)
    assert [bytes(header / dcerpc.DceRpc5Response()).hex()] == shown()["18"]


def test_page_has_every_claim_and_the_version() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\|(.*)\|.*\|$", text, re.MULTILINE)
    assert [number for number, _ in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert {re.sub(r"\D", "", claim) for claim in SENT} | {"7", "17", "18", "27"} == {
        number for number, _ in rows
    }
    assert all(re.search(r"(C706|MS-RPCE) \d", texts) for _, texts in rows)
    assert f"scapy {version('scapy')}" in text
