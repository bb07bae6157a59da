# ruff: noqa: INP001 - a script, not a package
"""Benchmark: encode and decode each witness message, with this project's codec and with impacket's NDR.

    python bench/codec.py [--seconds 0.2]

Both write and read the same messages in the same run, in turns. The best of five rounds counts, in processor
time. The definitions for impacket are those of the tests, so this runs from a checkout.
"""

from __future__ import annotations

import argparse
import sys
import time
import timeit
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import UUID

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness import codec
from swn_torture.witness.messages import (
    AnyRequest,
    AnyResponse,
    AsyncNotifyRequest,
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterExRequest,
    RegisterExResponse,
    RegisterRequest,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterExRequest,
    UnRegisterExResponse,
    UnRegisterRequest,
    UnRegisterResponse,
)
from tests.witness import impacket_witness

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY: Final = ContextHandle(0, UUID("6f1c9a52-9d8b-4c11-8f0e-30a7b0d7f1ce"))
_LIST: Final = InterfaceList(
    tuple(
        InterfaceInfo(
            f"NODE{number}", 0x00020000, 1, IPv4Address(f"192.0.2.{number}"), IPv6Address(number), 5
        )
        for number in range(1, 4)
    )
)
_NAMES: Final = {"net_name": "SWNCLUSTER", "ip_address": "192.0.2.2", "client_computer_name": "CLIENT00001"}
_CHANGE: Final = bytes.fromhex("1c000000ff0000004e004f00440045003200000000000000000000000000")

MESSAGES: Final[tuple[tuple[int, AnyRequest | AnyResponse], ...]] = (
    (0, GetInterfaceListResponse(_LIST, 0)),
    (1, RegisterRequest(version=0x00010001, **_NAMES)),
    (1, RegisterResponse(_KEY, 0)),
    (2, UnRegisterRequest(_KEY)),
    (2, UnRegisterResponse(0)),
    (3, AsyncNotifyRequest(_KEY)),
    (3, AsyncNotifyResponse(RespAsyncNotify(1, 1, _CHANGE), 0)),
    (
        4,
        RegisterExRequest(version=0x00020000, share_name="share", flags=0, keep_alive_timeout=120, **_NAMES),
    ),
    (4, RegisterExResponse(_KEY, 0)),
    (5, UnRegisterExRequest(_KEY)),
    (5, UnRegisterExResponse(_KEY, 0)),
)


def rates(ours: Callable[[], object], theirs: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Return how often per second each can be called."""
    timers = [timeit.Timer(each, timer=time.process_time) for each in (ours, theirs)]
    counts = [max(1, int(seconds / (timer.timeit(20) / 20))) for timer in timers]
    rounds = [
        [timer.timeit(count) / count for timer, count in zip(timers, counts, strict=True)] for _ in range(5)
    ]
    best = [1 / min(each) for each in zip(*rounds, strict=True)]
    return best[0], best[1]


def main() -> int:
    """Run the benchmark and return the exit code."""
    parser = argparse.ArgumentParser(description="Encode and decode messages, and with impacket beside.")
    parser.add_argument("--seconds", type=float, default=0.2, help="length of one round of one figure")
    seconds = parser.parse_args().seconds
    least = float("inf")
    for opnum, message in MESSAGES:
        for syntax, name in ((NDR32, "NDR32"), (NDR64, "NDR64")):
            read = codec.decode_request if isinstance(message, AnyRequest) else codec.decode_response
            octets = codec.encode(message, syntax)
            figures = {
                "encode": rates(
                    partial(codec.encode, message, syntax),
                    partial(impacket_witness.encode, message, syntax),
                    seconds,
                ),
                "decode": rates(
                    partial(read, opnum, octets, syntax),
                    partial(impacket_witness.decode, type(message), octets, syntax),
                    seconds,
                ),
            }
            for action, (ours, theirs) in figures.items():
                least = min(least, ours / theirs)
                sys.stdout.write(
                    f"{action} {type(message).__name__} ({name}): {ours:.0f}, impacket {theirs:.0f} "
                    f"per second, ratio {ours / theirs:.1f}\n"
                )
    sys.stdout.write(f"smallest ratio: {least:.1f}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
