"""Samba's encodings, octet by octet, in both transfer syntaxes."""

from __future__ import annotations

import struct

import pytest

from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import AsyncNotifyResponse, GetInterfaceListResponse, RespAsyncNotify
from tests.witness.witness_samples import (
    BIG_ENDIAN_VECTORS,
    MEANING,
    NOTIFICATIONS,
    VECTORS,
    Vector,
    decode,
)

every_vector = pytest.mark.parametrize("vector", VECTORS, ids=str)


def test_the_vectors_cover_all_messages_of_samba() -> None:
    assert {(vector.name, vector.syntax) for vector in VECTORS} == {
        (name, syntax) for name in MEANING for syntax in (NDR32, NDR64)
    }


@every_vector
def test_encode_writes_the_octets_of_samba(vector: Vector) -> None:
    expected = vector.octets
    if vector.padded_by_samba:
        expected = _without_slack(vector)
    assert encode(vector.message, vector.syntax).hex(" ") == expected.hex(" ")


@every_vector
def test_decode_reads_the_octets_of_samba(vector: Vector) -> None:
    message = decode(vector.message, vector.octets, vector.syntax)
    if not vector.padded_by_samba:
        assert message == vector.message
    if vector.name in NOTIFICATIONS:
        assert isinstance(message, AsyncNotifyResponse)
        assert message.response is not None
        decoded = message.response.decode()
        assert decoded.items == NOTIFICATIONS[vector.name]
        assert not any(decoded.padding)
        # The size of Samba's deviation, so that a change of it fails.
        real = len(message.response.message_buffer or b"") - len(decoded.slack)
        assert len(decoded.slack) == (-real % 4 + 12 if vector.padded_by_samba else 0)
        assert not any(decoded.slack)


@every_vector
def test_a_decoded_message_of_samba_is_written_unchanged(vector: Vector) -> None:
    """Also the zeros of Samba after the last notification, because they are part of the MessageBuffer."""
    assert encode(decode(vector.message, vector.octets, vector.syntax), vector.syntax) == vector.octets


@pytest.mark.parametrize("vector", BIG_ENDIAN_VECTORS, ids=str)
def test_encode_writes_the_big_endian_octets_of_samba(vector: Vector) -> None:
    """All requests and handles agree. No known server answers in big-endian."""
    ours = encode(vector.message, vector.syntax, byte_order="big")
    theirs = vector.octets
    if vector.padded_by_samba:
        read = decode(vector.message, theirs, vector.syntax, "big")
        assert isinstance(read, AsyncNotifyResponse)
        assert read.response is not None
        assert read.response.decode().items == NOTIFICATIONS[vector.name]
        return
    if isinstance(vector.message, GetInterfaceListResponse):
        # Samba writes addresses in network order; this codec swaps them like the integers of the IDL.
        for interface in vector.message.interfaces:
            packed = interface.ipv4.packed + interface.ipv6.packed
            theirs = theirs.replace(packed, struct.pack("<I8H", *struct.unpack(">I8H", packed)))
        assert (theirs != vector.octets) == bool(vector.message.interfaces)
    assert ours == theirs
    assert decode(vector.message, theirs, vector.syntax, "big") == vector.message


def _without_slack(vector: Vector) -> bytes:
    """The vector with a correct Length."""
    message = decode(vector.message, vector.octets, vector.syntax)
    assert isinstance(message, AsyncNotifyResponse)
    assert message.response is not None
    resp = message.response
    buffer = resp.message_buffer or b""
    slack = len(resp.decode().slack)
    # Fixed part in NDR64: pointer 8, three counts 12, gap 4, pointer 8, max_count 8.
    head, tail = vector.octets[:40], vector.octets[40 + len(buffer) :]
    right = (len(buffer) - slack).to_bytes(4, "little")
    head = head[:12] + right + head[16:32] + right + head[36:]
    content = buffer[: len(buffer) - slack]
    assert RespAsyncNotify.of(*resp.decode().items, message_type=resp.message_type).message_buffer == content
    return head + content + bytes(-(40 + len(content)) % 4) + tail
