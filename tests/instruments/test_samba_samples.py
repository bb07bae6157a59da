"""Our codec writes and reads the samples of ``smbtorture local.ndr.witness``.

Samba has them as arrays in its source, so that they are in the read-only data of ``smbtorture``. Its tests
assert what each sample means. Nothing of that source is repeated here. Our codec encodes the asserted values,
and the program must contain the same octets. Our decoder must read the same values from the program's octets.
Between the first sample and the last one there may be only samples and zeros. smbtorture itself must pass,
which shows that these are the asserted values.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from swn_torture.stubdata.syntax import NDR32
from swn_torture.witness.codec import encode
from swn_torture.witness.constants import (
    AddressFlags,
    ChangeType,
    InterfaceFlags,
    InterfaceState,
    MessageType,
    ProtocolVersion,
)
from swn_torture.witness.messages import (
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterRequest,
    RegisterResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from swn_torture.witness.notifications import IpAddrInfo, IpAddrInfoList, ResourceChange
from tests.witness.witness_samples import decode, notify_response

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.witness.messages import AnyRequest, AnyResponse
    from swn_torture.witness.notifications import Notification
    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab

REGISTERED = ContextHandle(0, UUID("3ab88633-1e57-4c1a-856c-d1bc4b15bbb1"))
WAITING = ContextHandle(0, UUID("1fb9f2ee-2a4d-4bf8-af8b-cb9d4529a9ab"))


UNSPECIFIED = 0xFFFFFFFF
"""A version that MS-SWN does not define; Windows sends it since Server 2012 R2 (AMB-9)."""


def node(name: str, ipv4: str, flags: int) -> InterfaceInfo:
    return InterfaceInfo(
        name, UNSPECIFIED, InterfaceState.AVAILABLE, IPv4Address(ipv4), IPv6Address("::"), flags
    )


CHANGE = ResourceChange(ChangeType.UNAVAILABLE, "SOFS")
# Only the IPv4 address is valid; the IPv6 field has arbitrary octets.
MOVE = IpAddrInfoList(
    (IpAddrInfo(AddressFlags.V4, IPv4Address("192.168.3.45"), IPv6Address("::38e8:eb26:8e00:0:9e:6026")),)
)
EMPTY_LIST = IpAddrInfoList(())

SAMPLES: dict[str, AnyRequest | AnyResponse] = {
    "witness_GetInterfaceList_check": GetInterfaceListResponse(
        InterfaceList(
            (
                node("NODE2", "192.168.3.44", InterfaceFlags.IPV4 | InterfaceFlags.WITNESS),
                node("NODE1", "192.168.3.45", InterfaceFlags.IPV4),
            )
        ),
        0,
    ),
    "witness_Register_check_IN": RegisterRequest(ProtocolVersion.V1, "sofs", "192.168.3.45", "MTHELENA"),
    "witness_Register_check_OUT": RegisterResponse(REGISTERED, 0),
    "witness_UnRegister_check_IN": UnRegisterRequest(REGISTERED),
    "witness_UnRegister_check_OUT": UnRegisterResponse(0),
    "witness_AsyncNotify_check_IN": AsyncNotifyRequest(WAITING),
    "witness_AsyncNotify_check_OUT": notify_response(MessageType.RESOURCE_CHANGE, CHANGE),
    "witness_AsyncNotify_check_move_OUT": notify_response(MessageType.CLIENT_MOVE, MOVE),
    "witness_AsyncNotify_check_fuzz1_OUT": notify_response(MessageType.CLIENT_MOVE, EMPTY_LIST),
}
"""The values that smbtorture asserts of each sample, by the name of the check."""

NOTIFICATIONS: dict[str, Notification] = {
    "witness_AsyncNotify_check_OUT": CHANGE,
    "witness_AsyncNotify_check_move_OUT": MOVE,
    "witness_AsyncNotify_check_fuzz1_OUT": EMPTY_LIST,
}

ONLY_ZEROS = "witness_UnRegister_check_OUT"
"""Four zeros, which are in many places of the program."""

FOUND = [name for name in SAMPLES if name != ONLY_ZEROS]


@pytest.fixture(scope="module")
def smbtorture(tree: SambaTree) -> bytes:
    return (tree.root / "usr/bin/smbtorture").read_bytes()


def positions(octets: bytes, program: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(octets), program)]


def test_smbtorture_passes_with_these_samples(tree: SambaTree, tmp_path: Path) -> None:
    done = tree.run("smbtorture", "ncalrpc:", "local.ndr.witness", directory=tmp_path)

    assert done.returncode == 0, done.stdout
    outcomes = re.findall(r"^(success|failure|error|skip): \S+\.(\w+)", done.stdout, re.MULTILINE)
    assert {outcome for outcome, _ in outcomes} == {"success"}
    assert {check for _, check in outcomes} == set(SAMPLES)


@pytest.mark.parametrize("name", FOUND)
def test_codec_writes_and_reads_the_sample(name: str, smbtorture: bytes) -> None:
    written = encode(SAMPLES[name], NDR32)

    found = positions(written, smbtorture)

    assert found
    for at in found:
        read = decode(SAMPLES[name], smbtorture[at : at + len(written)], NDR32)
        assert read == SAMPLES[name]
        if name in NOTIFICATIONS:
            assert isinstance(read, AsyncNotifyResponse)
            assert read.response is not None
            assert read.response.decode().items == (NOTIFICATIONS[name],)
            assert read.response.decode().slack == b""


def test_program_has_no_other_sample(smbtorture: bytes) -> None:
    written = [encode(SAMPLES[name], NDR32) for name in FOUND]
    single = [
        (where[0], len(octets)) for octets in written if len(where := positions(octets, smbtorture)) == 1
    ]
    first, end = min(at for at, _ in single), max(at + length for at, length in single)
    # The order depends on the compiler, but the data of one source file is in one place.
    assert end - first < 2 * sum(map(len, written))

    left_over = smbtorture[first:end]
    for octets in sorted(written, key=len, reverse=True):
        assert octets in left_over
        left_over = left_over.replace(octets, bytes(len(octets)), 1)

    assert not any(left_over)
