"""Our encodings against Samba's NDR: its Python bindings for any message, its ndrdump for some.

Samba 4.22 knows methods 0 to 4 only: there is nothing to compare WitnessrUnRegisterEx with.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields, replace
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import DecodeError, encode
from swn_torture.witness.constants import GROUP_NAME_UNITS, MessageType, Opnum, ProtocolVersion
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterRequest,
    Request,
    RespAsyncNotify,
)
from tests.witness.witness_samples import (
    MEANING,
    SYNTAXES,
    decode,
    dwords,
    interfaces,
    kinds_with,
    notified_with,
)

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from swn_torture.stubdata.fields import ByteOrder
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyRequest, AnyResponse
    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).with_name("samba_ndr.py")

CALLS = {
    Opnum.GET_INTERFACE_LIST: "GetInterfaceList",
    Opnum.REGISTER: "Register",
    Opnum.UNREGISTER: "UnRegister",
    Opnum.ASYNC_NOTIFY: "AsyncNotify",
    Opnum.REGISTER_EX: "RegisterEx",
}
"""The calls that Samba's IDL has."""

# Samba's strings are UTF-8 and end at a NUL; it drops lone surrogates.
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
# Notifications are told apart below, by what they hold: Samba knows what is in the MessageBuffer.
MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    kind.__name__: messages
    for kind, messages in kinds_with(text, text).items()
    if kind.opnum in CALLS and kind is not AsyncNotifyResponse
}
MESSAGES |= {kind.name: messages for kind, messages in notified_with(text).items()}
MESSAGES["AsyncNotifyResponse without notification"] = st.builds(AsyncNotifyResponse, st.none(), dwords)

every_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)


class SambaNdr:
    """Samba's encoder and decoder, at the other end of two pipes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, *question: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(question)}\n")
        return json.loads(self.process.stdout.readline())

    def pack(
        self, message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder = "little"
    ) -> bytes:
        """What Samba writes for this message."""
        octets = self.ask("pack", *_call(message), _how(syntax, byte_order), plain(message))
        assert isinstance(octets, str), octets
        return bytes.fromhex(octets)

    def unpack(
        self,
        message: AnyRequest | AnyResponse,
        octets: bytes,
        syntax: SyntaxId,
        byte_order: ByteOrder = "little",
    ) -> Any:
        """What Samba reads in these octets, as a message of the same kind."""
        return self.ask("unpack", *_call(message), _how(syntax, byte_order), octets.hex())


def _call(message: AnyRequest | AnyResponse) -> tuple[str, str]:
    return CALLS[Opnum(message.opnum)], "in" if isinstance(message, Request) else "out"


def _how(syntax: SyntaxId, byte_order: ByteOrder) -> dict[str, bool]:
    return {"ndr64": syntax == NDR64, "bigendian": byte_order == "big"}


def plain(value: Any) -> Any:
    """A message, or a part of one, as values that JSON has."""
    if isinstance(value, RespAsyncNotify):
        return {"message_type": value.message_type, "items": [plain(item) for item in value.decode().items]}
    if isinstance(value, (IPv4Address, IPv6Address, UUID)):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


@pytest.fixture(scope="module")
def samba(tree: SambaTree) -> Iterator[SambaNdr]:
    with tree.start("python3", SCRIPT.name, ours=SCRIPT.parent) as process:
        yield SambaNdr(process)
    assert process.returncode == 0


def as_samba_writes(
    message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder = "little"
) -> bytes:
    """Our octets; only NDR64 notifications are given the zeros that Samba adds to them, see below."""
    if syntax == NDR32 or not isinstance(message, AsyncNotifyResponse) or message.response is None:
        return encode(message, syntax, byte_order=byte_order)
    notified = message.response
    buffer = notified.message_buffer or b""
    slack = bytes(-len(buffer) % 4 + 12)
    return encode(
        AsyncNotifyResponse(
            RespAsyncNotify(notified.message_type, notified.number_of_messages, buffer + slack),
            message.result,
        ),
        syntax,
        byte_order=byte_order,
    )


@every_syntax
@pytest.mark.parametrize("kind", MESSAGES)
def test_we_and_samba_agree_on_any_message(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """Octet by octet, referents and gaps included, and each reads what the other wrote.

    The one exception: in NDR64 Samba announces a MessageBuffer of ``ndr_size_witness_notifyResponse - 20``
    octets. 20 is the size of the fields before it in NDR32; in NDR64 they take 32. So Length is too large by
    12, and what it counts is rounded up to 4; so many zeros follow the last notification. MS-SWN 2.2.2.4 has
    Length as the size of MessageBuffer, and Samba itself reads what has none of them.
    """

    @settings(max_examples=200)
    @given(MESSAGES[kind])
    def agree(message: AnyRequest | AnyResponse) -> None:
        theirs = samba.pack(message, syntax)
        assert theirs.hex(" ") == as_samba_writes(message, syntax).hex(" ")
        assert samba.unpack(message, encode(message, syntax), syntax) == plain(message)
        read = decode(message, theirs, syntax)
        assert plain(read) == plain(message)

    agree()


@every_syntax
def test_we_and_samba_agree_on_long_messages(syntax: SyntaxId, samba: SambaNdr) -> None:
    for message in (
        GetInterfaceListResponse(InterfaceList(interfaces(3) * 100), 0),
        RegisterRequest(ProtocolVersion.V1, "N" * 70_000, "", "C"),
    ):
        written = encode(message, syntax)
        assert samba.pack(message, syntax) == written
        assert samba.unpack(message, written, syntax) == plain(message)


@every_syntax
def test_a_group_name_that_fills_its_array(syntax: SyntaxId, samba: SambaNdr) -> None:
    """Samba takes one without the terminator that MS-SWN 2.2.2.5 wants; we refuse it."""
    (node,) = interfaces(1)
    full, overfull = (
        GetInterfaceListResponse(InterfaceList((replace(node, group_name="N" * units),)), 0)
        for units in (GROUP_NAME_UNITS - 1, GROUP_NAME_UNITS)
    )

    assert samba.pack(full, syntax) == encode(full, syntax)
    assert samba.unpack(full, encode(full, syntax), syntax) == plain(full)
    assert decode(full, encode(full, syntax), syntax) == full
    assert samba.pack(overfull, syntax) == encode(overfull, syntax)
    assert samba.unpack(overfull, encode(overfull, syntax), syntax) == plain(overfull)
    with pytest.raises(DecodeError, match="no terminator among 260"):
        decode(overfull, encode(overfull, syntax), syntax)


@every_syntax
@pytest.mark.parametrize("kind", MESSAGES)
def test_we_and_samba_agree_in_big_endian(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """Only addresses in the interface list are in dispute: Samba leaves them in network order (AMB-25)."""

    @settings(max_examples=50)
    @given(MESSAGES[kind])
    def agree(message: AnyRequest | AnyResponse) -> None:
        theirs = samba.pack(message, syntax, "big")
        if isinstance(message, GetInterfaceListResponse):
            disputed = {
                f"InterfaceInfo[{at}].{name}": address.packed
                for at, interface in enumerate(message.interfaces)
                for name, address in (("IPV4", interface.ipv4), ("IPV6", interface.ipv6))
            }
            assert theirs.hex(" ") == encode(message, syntax, byte_order="big", wrong=disputed).hex(" ")
            return
        assert theirs.hex(" ") == as_samba_writes(message, syntax, "big").hex(" ")
        ours = encode(message, syntax, byte_order="big")
        assert samba.unpack(message, ours, syntax, "big") == plain(message)
        assert plain(decode(message, theirs, syntax, "big")) == plain(message)

    agree()


# Some octets written over others, as many cut off.
damages = st.tuples(
    st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=4)), max_size=2),
    st.just(0) | st.integers(0, 2**16),
)


@every_syntax
@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind not in MessageType.__members__])
def test_we_and_samba_read_damaged_octets_alike(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """What one of us refuses the other does, too, and what both read is the same, but that

    * we refuse a number of interfaces without an array to hold them;
    * Samba refuses lone surrogates, and referents of NDR64 with anything in their upper half;
    * Samba ends a string at the first NUL, where we go by the count.

    Notifications are not in this: of their Lengths Samba takes no notice.
    """

    @settings(max_examples=150)
    @given(MESSAGES[kind], damages)
    def agree(message: AnyRequest | AnyResponse, damage: tuple[list[tuple[int, bytes]], int]) -> None:
        changed = bytearray(encode(message, syntax))
        written_over, cut = damage
        for at, instead in written_over:
            start = at % (len(changed) + 1)
            changed[start : start + len(instead)] = instead
        octets = bytes(changed[: len(changed) - cut % (len(changed) + 1)])
        theirs = samba.unpack(message, octets, syntax)
        try:
            read = plain(decode(message, octets, syntax))
        except DecodeError:
            assert "error" in theirs or "number" in theirs["interface_list"]
            return
        if "error" in theirs:
            lone_surrogate = re.search("[\ud800-\udfff]", "".join(texts_in(read)))
            upper_half = syntax == NDR64 and "NDR64" in theirs["error"]
            assert lone_surrogate or upper_half, theirs
        else:
            assert theirs == cut_at_nul(read)

    agree()


def cut_at_nul(value: Any) -> Any:
    """What a C program makes of the strings in a plain value."""
    if isinstance(value, dict):
        return {name: cut_at_nul(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [cut_at_nul(inner) for inner in value]
    return value.split("\0", 1)[0] if isinstance(value, str) else value


def test_samba_knows_methods_0_to_4(samba: SambaNdr) -> None:
    """The day it learns WitnessrUnRegisterEx there is more to compare."""
    assert samba.ask("calls") == {name: opnum for opnum, name in CALLS.items()}


def test_samba_reads_no_octets_after_the_end(samba: SambaNdr) -> None:
    """What it agrees to above it has read to the end."""
    message = MEANING["an_in"]

    answer = samba.unpack(message, encode(message, NDR32) + b"rest", NDR32)

    assert "Unread Bytes" in answer["error"]


DUMPED = [name for name in MEANING if not name.startswith("gil_in")]


@pytest.mark.parametrize("name", DUMPED)
def test_ndrdump_shows_and_validates_what_we_write(name: str, tree: SambaTree, tmp_path: Path) -> None:
    """It reads our octets, writes what it read, reads that again, and finds no difference."""
    dumped = ndrdump(name, NDR32, tree, tmp_path)

    assert dumped.splitlines()[-1] == "dump OK"
    assert "WARNING" not in dumped
    assert texts_in(plain(MEANING[name])) <= set(re.findall(r": '(.*)'$", dumped, re.MULTILINE))


@pytest.mark.parametrize("name", DUMPED)
def test_ndrdump_shows_and_writes_our_ndr64(name: str, tree: SambaTree, tmp_path: Path) -> None:
    """It reads our octets and writes the same; only that it reads its own again cannot be had.

    ndrdump 4.22 knows that these are NDR64 when it reads and when it writes, but not when it reads for the
    second time: ``--validate`` stops there, at anything with a pointer (``ndr_v_pull`` lacks
    ``LIBNDR_FLAG_NDR64``). So here its octets are compared with ours instead.
    """
    dumped = ndrdump(name, NDR64, tree, tmp_path)

    assert dumped.startswith("pull returned Success\n")
    assert "push returned Success\n" in dumped
    assert texts_in(plain(MEANING[name])) <= set(re.findall(r": '(.*)'$", dumped, re.MULTILINE))
    generated = re.search(r"^(\d+) bytes generated \(validate\)\n((?:\[.*\n)+)", dumped, re.MULTILINE)
    assert generated is not None, dumped
    # [0000] and sixteen octets, with three spaces after the eighth; then the same as text.
    octets = b"".join(bytes.fromhex(line[7:57]) for line in generated[2].splitlines())
    assert len(octets) == int(generated[1])
    assert octets.hex(" ") == as_samba_writes(MEANING[name], NDR64).hex(" ")


def ndrdump(name: str, syntax: SyntaxId, tree: SambaTree, directory: Path) -> str:
    message = MEANING[name]
    (directory / "stub").write_bytes(encode(message, syntax))
    call, side = _call(message)
    options = ("--validate", "--dump-data", *(["--ndr64"] if syntax == NDR64 else []))
    return tree.run("ndrdump", *options, "witness", f"witness_{call}", side, "stub", ours=directory).stdout


def texts_in(value: Any) -> set[str]:
    """The texts in a plain value, but for addresses and UUIDs, which everybody spells in another way."""
    if isinstance(value, dict):
        inner = [part for name, part in value.items() if name not in {"ipv4", "ipv6", "uuid"}]
        return set().union(*map(texts_in, inner))
    if isinstance(value, list):
        return set().union(*map(texts_in, value))
    return {value} if isinstance(value, str) else set()
