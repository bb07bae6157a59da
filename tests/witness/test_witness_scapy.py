"""Encodings compared with scapy's NDR: all six methods, both directions, both transfer syntaxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.witness.codec import encode
from swn_torture.witness.messages import RegisterRequest
from tests.examples import examples
from tests.witness.witness_samples import (
    EVERY_KIND,
    SYNTAXES,
    decode,
    kinds_with,
    notify_responses_with,
    referents,
)

if TYPE_CHECKING:
    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.constants import MessageType
    from swn_torture.witness.messages import AnyRequest, AnyResponse, AsyncNotifyResponse

# What scapy can write: it counts strings in UTF-8 octets.
ascii_text = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=20)
# What it can read: any text in UTF-8. It does not cut a string at a NUL, but removes one at its end.
unicode_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)

WRITABLE = kinds_with(ascii_text, ascii_text)
READABLE = kinds_with(unicode_text, unicode_text)
NOTIFY_RESPONSES = notify_responses_with(unicode_text)


def assert_written_alike(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    """Compare the octets after the referents are made equal. Both write zeros in gaps."""
    from tests.witness import scapy_witness

    same = dict.fromkeys(referents(message, syntax), scapy_witness.REFERENT)
    theirs = scapy_witness.encode(message, syntax)
    assert theirs.hex(" ") == encode(message, syntax, wrong=same).hex(" ")
    assert decode(message, theirs, syntax) == message


def assert_read_alike(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    from tests.witness import scapy_witness

    assert scapy_witness.decode(type(message), encode(message, syntax), syntax) == message


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_scapy_agrees_on_every_shape_of_message(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    assert_written_alike(message, syntax)
    assert_read_alike(message, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("kind", WRITABLE, ids=lambda kind: kind.__name__)
def test_scapy_agrees_on_any_message(kind: type, syntax: SyntaxId) -> None:
    @examples(100)
    @given(WRITABLE[kind], READABLE[kind])
    def agree(message: AnyRequest | AnyResponse, other: AnyRequest | AnyResponse) -> None:
        assert_written_alike(message, syntax)
        assert_read_alike(other, syntax)

    agree()


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("kind", NOTIFY_RESPONSES, ids=lambda kind: kind.name)
def test_scapy_agrees_on_any_notification(kind: MessageType, syntax: SyntaxId) -> None:
    from tests.witness import scapy_notifications

    @examples(100)
    @given(NOTIFY_RESPONSES[kind])
    def agree(message: AsyncNotifyResponse) -> None:
        assert_written_alike(message, syntax)
        assert_read_alike(message, syntax)
        assert message.response is not None
        items, octets = message.response.decode().items, message.response.message_buffer
        assert octets == scapy_notifications.encode_buffer(items)
        assert octets is not None
        assert scapy_notifications.decode_buffer(kind, len(items), octets) == items

    agree()


def test_scapy_has_the_six_methods() -> None:
    from msrpcs.ms_swn import WITNESS_OPNUMS

    assert sorted(WITNESS_OPNUMS) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize(("text", "units", "octets"), [("\u00e9", 1, 2), ("\U0001f600", 2, 4)])
def test_scapy_counts_utf8_where_ndr_counts_characters(
    text: str, units: int, octets: int, syntax: SyntaxId
) -> None:
    """Its count is larger than the number of characters. C706 14.3.4 and Samba count characters."""
    from tests.witness import scapy_witness

    message = RegisterRequest(1, text, None, None)
    counts = ("NetName.max_count", "NetName.actual_count")
    same = dict.fromkeys(referents(message, syntax), scapy_witness.REFERENT)

    theirs = scapy_witness.encode(message, syntax)

    assert theirs == encode(message, syntax, wrong={**same, **dict.fromkeys(counts, octets + 1)})
    assert theirs != encode(message, syntax, wrong={**same, **dict.fromkeys(counts, units + 1)})
