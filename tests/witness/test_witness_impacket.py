"""Encodings compared with impacket's NDR: all six methods, both directions, both transfer syntaxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import encode
from tests.examples import examples
from tests.witness import impacket_notifications, impacket_witness
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

#: impacket reads a null string as an empty one, and its codec rejects lone surrogates.
readable = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)


KINDS = kinds_with(readable, readable)
NOTIFY_RESPONSES = notify_responses_with(readable)


def free_octets(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> list[bool]:
    """The octets that NDR leaves to the writer: those in gaps, and those of referents other than null."""
    right = encode(message, syntax)
    ones = 2 ** (32 if syntax == NDR32 else 64) - 1
    changed = encode(
        message, syntax, wrong={**dict.fromkeys(referents(message, syntax), ones), "padding": 0xFF}
    )
    return [a != b for a, b in zip(right, changed, strict=True)]


def assert_agree(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    ours, theirs = encode(message, syntax), impacket_witness.encode(message, syntax)
    assert len(ours) == len(theirs)
    free = free_octets(message, syntax)
    for at, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our == their or free[at], f"octet {at}: ours {our:#04x}, impacket's {their:#04x}"
    assert impacket_witness.decode(type(message), ours, syntax) == message
    assert decode(message, theirs, syntax) == message


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_impacket_agrees_on_every_shape_of_message(
    message: AnyRequest | AnyResponse, syntax: SyntaxId
) -> None:
    assert_agree(message, syntax)


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_impacket_agrees_on_any_message(kind: type, syntax: SyntaxId) -> None:
    @examples(100)
    @given(KINDS[kind])
    def agree(message: AnyRequest | AnyResponse) -> None:
        assert_agree(message, syntax)

    agree()


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
@pytest.mark.parametrize("kind", NOTIFY_RESPONSES, ids=lambda kind: kind.name)
def test_impacket_agrees_on_any_notification(kind: MessageType, syntax: SyntaxId) -> None:
    @examples(100)
    @given(NOTIFY_RESPONSES[kind])
    def agree(message: AsyncNotifyResponse) -> None:
        assert_agree(message, syntax)
        assert message.response is not None
        items, octets = message.response.decode().items, message.response.message_buffer
        assert octets == impacket_notifications.encode_buffer(items)
        assert octets is not None
        assert impacket_notifications.decode_buffer(kind, len(items), octets) == items

    agree()
