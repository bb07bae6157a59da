"""Our encodings against impacket's NDR engine, both directions, both transfer syntaxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swn_torture.dcerpc.syntax import NDR32
from swn_torture.witness.codec import encode
from tests.witness import impacket_witness
from tests.witness.witness_samples import (
    EVERY_KIND,
    SYNTAXES,
    decode,
    messages_with,
    referents,
    syntaxes,
)

if TYPE_CHECKING:
    from swn_torture.dcerpc.syntax import SyntaxId
    from swn_torture.witness.messages import AnyRequest, AnyResponse

#: impacket reads a null string like an empty one, and its codec refuses lone surrogates.
readable = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)


def free_octets(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> list[bool]:
    """Which octets NDR leaves to the writer: those in gaps, and those of referents other than null."""
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
def test_every_shape_of_message(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    assert_agree(message, syntax)


@settings(max_examples=120, deadline=None)
@given(messages_with(readable, readable), syntaxes)
def test_any_message(message: AnyRequest | AnyResponse, syntax: SyntaxId) -> None:
    assert_agree(message, syntax)
