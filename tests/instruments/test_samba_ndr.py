"""Our encodings compared with Samba's NDR: its Python bindings for any message, its ndrdump for some.

Samba 4.22 has methods 0 to 4 only, so that nothing can be compared with WitnessrUnRegisterEx.
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
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import DecodeError, encode
from swn_torture.witness.constants import GROUP_NAME_UNITS, MessageType, Opnum, ProtocolVersion
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceList,
    RegisterRequest,
    Request,
    RespAsyncNotify,
)
from tests.examples import examples, one_in
from tests.witness.witness_samples import (
    MEANING,
    SYNTAXES,
    decode,
    dwords,
    interfaces,
    kinds_with,
    notify_responses_with,
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
"""The calls in Samba's IDL."""

# Samba's strings are UTF-8 and end at a NUL; it drops unpaired surrogates.
text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
# Notifications are separate, one for each kind of content, because Samba decodes the MessageBuffer.
MESSAGES: dict[str, st.SearchStrategy[Any]] = {
    kind.__name__: messages
    for kind, messages in kinds_with(text, text).items()
    if kind.opnum in CALLS and kind is not AsyncNotifyResponse
}
MESSAGES |= {kind.name: messages for kind, messages in notify_responses_with(text).items()}
MESSAGES["AsyncNotifyResponse without notification"] = st.builds(AsyncNotifyResponse, st.none(), dwords)

every_syntax = pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)


class SambaNdr:
    """Samba's encoder and decoder, in another process (samba_ndr.py)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def request(self, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(arguments)}\n")
        return json.loads(self.process.stdout.readline())

    def pack(
        self, message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder = "little"
    ) -> bytes:
        """Return the octets that Samba writes for this message."""
        octets = self.request("pack", *_call(message), _options(syntax, byte_order), plain(message))
        assert isinstance(octets, str), octets
        return bytes.fromhex(octets)

    def unpack(
        self,
        message: AnyRequest | AnyResponse,
        octets: bytes,
        syntax: SyntaxId,
        byte_order: ByteOrder = "little",
    ) -> Any:
        """Return what Samba reads from these octets, as plain values of a message of the same kind."""
        return _usual(self.request("unpack", *_call(message), _options(syntax, byte_order), octets.hex()))


def _call(message: AnyRequest | AnyResponse) -> tuple[str, str]:
    return CALLS[Opnum(message.opnum)], "in" if isinstance(message, Request) else "out"


def _options(syntax: SyntaxId, byte_order: ByteOrder) -> dict[str, bool]:
    return {"ndr64": syntax == NDR64, "bigendian": byte_order == "big"}


def _usual(value: Any) -> Any:
    """Return values with each IPv6 address as Python writes it: Samba writes ``::ffff:0.0.0.0``."""
    if isinstance(value, list):
        return [_usual(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: str(IPv6Address(item)) if name == "ipv6" and isinstance(item, str) else _usual(item)
        for name, item in value.items()
    }


def plain(value: Any) -> Any:
    """Return a message, or a part of one, as values that JSON has."""
    if isinstance(value, RespAsyncNotify):
        return {"message_type": value.message_type, "items": [plain(item) for item in value.decode().items]}
    if isinstance(value, (IPv4Address, IPv6Address, UUID)):
        return str(value)
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if isinstance(value, ContextHandle):
        return {"attributes": value.attributes, "uuid": str(value.uuid)}
    if hasattr(value, "__dataclass_fields__"):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return value


@pytest.fixture(scope="module")
def samba(tree: SambaTree) -> Iterator[SambaNdr]:
    with tree.start("python3", SCRIPT.name, directory=SCRIPT.parent) as process:
        yield SambaNdr(process)
    assert process.returncode == 0


def as_samba_writes(
    message: AnyRequest | AnyResponse, syntax: SyntaxId, byte_order: ByteOrder = "little"
) -> bytes:
    """Return our octets; for a notification in NDR64, with the zeros that Samba adds, see below."""
    if syntax == NDR32 or not isinstance(message, AsyncNotifyResponse) or message.response is None:
        return encode(message, syntax, byte_order=byte_order)
    notification = message.response
    buffer = notification.message_buffer or b""
    slack = bytes(-len(buffer) % 4 + 12)
    return encode(
        AsyncNotifyResponse(
            RespAsyncNotify(notification.message_type, notification.number_of_messages, buffer + slack),
            message.result,
        ),
        syntax,
        byte_order=byte_order,
    )


@every_syntax
@pytest.mark.parametrize("kind", MESSAGES)
def test_any_message_is_the_same_in_samba(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """The octets are equal, referents and padding included, and each side reads what the other wrote.

    There is one exception. In NDR64, Samba's Length of MessageBuffer is ``ndr_size_witness_notifyResponse -
    20``. 20 is the size of the preceding fields in NDR32; in NDR64 it is 32. So Length is too large by 12 and
    is rounded up to 4, and that number of zeros follows the last notification. By MS-SWN 2.2.2.4, Length is
    the size of MessageBuffer. Samba itself reads octets without these zeros.
    """

    @examples(200)
    @given(MESSAGES[kind])
    def check(message: AnyRequest | AnyResponse) -> None:
        theirs = samba.pack(message, syntax)
        assert theirs.hex(" ") == as_samba_writes(message, syntax).hex(" ")
        assert samba.unpack(message, encode(message, syntax), syntax) == plain(message)
        read = decode(message, theirs, syntax)
        assert plain(read) == plain(message)

    check()


@every_syntax
def test_long_messages_are_the_same_in_samba(syntax: SyntaxId, samba: SambaNdr) -> None:
    for message in (
        GetInterfaceListResponse(InterfaceList(interfaces(3) * 100), 0),
        RegisterRequest(ProtocolVersion.V1, "N" * 70_000, "", "C"),
    ):
        written = encode(message, syntax)
        assert samba.pack(message, syntax) == written
        assert samba.unpack(message, written, syntax) == plain(message)


@every_syntax
def test_group_name_with_and_without_terminator(syntax: SyntaxId, samba: SambaNdr) -> None:
    """Samba accepts a name without the terminator that MS-SWN 2.2.2.5 requires; our decoder rejects it."""
    (node,) = interfaces(1)
    longest, unterminated = (
        GetInterfaceListResponse(InterfaceList((replace(node, group_name="N" * units),)), 0)
        for units in (GROUP_NAME_UNITS - 1, GROUP_NAME_UNITS)
    )

    assert samba.pack(longest, syntax) == encode(longest, syntax)
    assert samba.unpack(longest, encode(longest, syntax), syntax) == plain(longest)
    assert decode(longest, encode(longest, syntax), syntax) == longest
    assert samba.pack(unterminated, syntax) == encode(unterminated, syntax)
    assert samba.unpack(unterminated, encode(unterminated, syntax), syntax) == plain(unterminated)
    with pytest.raises(DecodeError, match="no terminator among 260"):
        decode(unterminated, encode(unterminated, syntax), syntax)


@every_syntax
@pytest.mark.parametrize("kind", MESSAGES)
def test_any_big_endian_message_is_the_same_in_samba(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """Only the addresses of the interface list differ: Samba leaves them in network order (AMB-25)."""

    @examples(50)
    @given(MESSAGES[kind])
    def check(message: AnyRequest | AnyResponse) -> None:
        theirs = samba.pack(message, syntax, "big")
        if isinstance(message, GetInterfaceListResponse):
            network_order = {
                f"InterfaceInfo[{at}].{name}": address.packed
                for at, interface in enumerate(message.interfaces)
                for name, address in (("IPV4", interface.ipv4), ("IPV6", interface.ipv6))
            }
            assert theirs.hex(" ") == encode(message, syntax, byte_order="big", wrong=network_order).hex(" ")
            return
        assert theirs.hex(" ") == as_samba_writes(message, syntax, "big").hex(" ")
        ours = encode(message, syntax, byte_order="big")
        assert samba.unpack(message, ours, syntax, "big") == plain(message)
        assert plain(decode(message, theirs, syntax, "big")) == plain(message)

    check()


# Octets written over others, and octets removed from the end.
damages = st.tuples(
    st.lists(st.tuples(st.integers(0, 2**16), st.binary(min_size=1, max_size=4)), max_size=2),
    st.just(0) | st.integers(0, 2**16),
)


@every_syntax
@pytest.mark.parametrize("kind", [kind for kind in MESSAGES if kind not in MessageType.__members__])
def test_damaged_octets_are_read_as_by_samba(kind: str, syntax: SyntaxId, samba: SambaNdr) -> None:
    """Both decoders reject the same octets and read the same values. The differences:

    * our decoder rejects a number of interfaces without an array;
    * Samba rejects unpaired surrogates, and in NDR64 referents with an upper half that is not zero;
    * in Samba a string ends at the first NUL; our decoder uses the count.

    Notifications are not tested here, because Samba ignores their Lengths.
    """

    @examples(150)
    @given(MESSAGES[kind], damages)
    def check(message: AnyRequest | AnyResponse, damage: tuple[list[tuple[int, bytes]], int]) -> None:
        changed = bytearray(encode(message, syntax))
        replacements, cut = damage
        for position, replacement in replacements:
            start = position % (len(changed) + 1)
            changed[start : start + len(replacement)] = replacement
        octets = bytes(changed[: len(changed) - cut % (len(changed) + 1)])
        theirs = samba.unpack(message, octets, syntax)
        try:
            read = plain(decode(message, octets, syntax))
        except DecodeError:
            assert "error" in theirs or "number" in theirs["interface_list"]
            return
        if "error" in theirs:
            unpaired_surrogate = re.search("[\ud800-\udfff]", "".join(texts_in(read)))
            upper_half = syntax == NDR64 and "NDR64" in theirs["error"]
            assert unpaired_surrogate or upper_half, theirs
        else:
            assert theirs == cut_at_nul(read)

    check()


def cut_at_nul(value: Any) -> Any:
    """Return a plain value with every string cut at its first NUL, as C code reads it."""
    if isinstance(value, dict):
        return {name: cut_at_nul(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [cut_at_nul(inner) for inner in value]
    return value.split("\0", 1)[0] if isinstance(value, str) else value


def test_samba_has_methods_0_to_4(samba: SambaNdr) -> None:
    """If this fails because Samba has WitnessrUnRegisterEx, add that method to the tests above."""
    assert samba.request("calls") == {name: opnum for opnum, name in CALLS.items()}


def test_samba_rejects_octets_after_the_end(samba: SambaNdr) -> None:
    """So what it accepts in the tests above, it has read completely."""
    message = MEANING["an_in"]

    result = samba.unpack(message, encode(message, NDR32) + b"rest", NDR32)

    assert "Unread Bytes" in result["error"]


DUMPED = [name for name in MEANING if not name.startswith("gil_in")]


@pytest.mark.parametrize("name", one_in(3, DUMPED))
def test_ndrdump_shows_and_validates_our_octets(name: str, tree: SambaTree, tmp_path: Path) -> None:
    """It reads our octets, writes and reads them again, and finds no difference."""
    dumped = ndrdump(name, NDR32, tree, tmp_path)

    assert dumped.splitlines()[-1] == "dump OK"
    assert "WARNING" not in dumped
    assert texts_in(plain(MEANING[name])) <= set(re.findall(r": '(.*)'$", dumped, re.MULTILINE))


@pytest.mark.parametrize("name", one_in(3, DUMPED))
def test_ndrdump_shows_and_writes_our_ndr64(name: str, tree: SambaTree, tmp_path: Path) -> None:
    """It reads our octets and writes the same.

    The second reading of ``--validate`` is not tested. ndrdump 4.22 reads and writes NDR64, but its second
    reading (``ndr_v_pull``) lacks ``LIBNDR_FLAG_NDR64`` and fails at any pointer. So the test compares the
    octets that it wrote with ours.
    """
    dumped = ndrdump(name, NDR64, tree, tmp_path)

    assert dumped.startswith("pull returned Success\n")
    assert "push returned Success\n" in dumped
    assert texts_in(plain(MEANING[name])) <= set(re.findall(r": '(.*)'$", dumped, re.MULTILINE))
    generated = re.search(r"^(\d+) bytes generated \(validate\)\n((?:\[.*\n)+)", dumped, re.MULTILINE)
    assert generated is not None, dumped
    # Each line: [0000], 16 octets with three spaces after the eighth, and the same as text.
    octets = b"".join(bytes.fromhex(line[7:57]) for line in generated[2].splitlines())
    assert len(octets) == int(generated[1])
    assert octets.hex(" ") == as_samba_writes(MEANING[name], NDR64).hex(" ")


def ndrdump(name: str, syntax: SyntaxId, tree: SambaTree, directory: Path) -> str:
    message = MEANING[name]
    (directory / "stub").write_bytes(encode(message, syntax))
    call, side = _call(message)
    options = ("--validate", "--dump-data", *(["--ndr64"] if syntax == NDR64 else []))
    return tree.run(
        "ndrdump", *options, "witness", f"witness_{call}", side, "stub", directory=directory
    ).stdout


def texts_in(value: Any) -> set[str]:
    """Return the texts in a plain value, except addresses and UUIDs, which have more than one notation."""
    if isinstance(value, dict):
        inner = [part for name, part in value.items() if name not in {"ipv4", "ipv6", "uuid"}]
        return set().union(*map(texts_in, inner))
    if isinstance(value, list):
        return set().union(*map(texts_in, value))
    return {value} if isinstance(value, str) else set()
