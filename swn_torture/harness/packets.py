"""The packets of a case that changes a lab: all nodes in one capture, with comments that name the events.

The nodes are those of the clusters that the case used: the lab itself, or instances of it.

They are kept if the case has a finding, and replace the capture that is made of its recorded octets.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

from swn_torture.lab.addresses import block_of
from swn_torture.lab.capture import LabCapture, frames_between
from swn_torture.lab.errors import LabError
from swn_torture.lab.namespaces import lab_of_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    import pytest

    from swn_torture.casekit.case import CaseMark
    from swn_torture.target import Profile

#: The key of the path of the capture in what a process of pytest-xdist sends of a case.
PACKETS: Final = "packets"


@contextlib.contextmanager
def captured(profile: Profile, mark: CaseMark) -> Iterator[LabCapture | None]:
    """Capture while a case runs that changes a lab; nothing for any other case.

    Such a case has its cluster alone. The packets of the other clusters of the lab are left out at the end.

    Args:
        profile: the profile of the target.
        mark: of the case.
    """
    lab = lab_of_namespace(profile.network_namespace or "")
    with contextlib.ExitStack() as stack:
        packets = None
        if mark.disturbs and lab is not None:
            with contextlib.suppress(LabError):  # without the right to capture, there is none
                packets = stack.enter_context(LabCapture(profile.network_namespace or ""))
        yield packets


def kept_packets(
    item: pytest.Item,
    packets: LabCapture | None,
    events: Iterable[Mapping[str, Any]],
    profiles: Iterable[Profile] = (),
) -> str:
    """Write the packets of a case, and return the path of the capture; empty if there is none.

    It is in the directory of the session for temporary files. The report moves it.

    Args:
        item: the case.
        packets: what was captured; None for nothing.
        events: what the controller did.
        profiles: of the clusters that the case used. Other cases use the other clusters of the lab meanwhile.
    """
    if packets is None:
        return ""
    packets.stop()
    factory = getattr(item.config, "_tmp_path_factory", None)
    blocks = {block_of(node.address) for profile in profiles for node in profile.nodes}
    if blocks and None not in blocks:
        packets.frames = frames_between(packets.frames, cast("set[int]", blocks))
    if not packets.frames or factory is None:
        return ""
    # Not a file of tempfile: the report would keep its mode, with which nobody else can read it.
    path: Path = factory.getbasetemp() / f"{uuid4().hex}.pcapng"
    try:
        write_packets(path, packets, events)
    except OSError:
        return ""  # then the capture of its octets remains
    return str(path)


def write_packets(path: Path, packets: LabCapture, events: Iterable[Mapping[str, Any]]) -> None:
    """Write packets as pcapng, with comments.

    Args:
        path: the file to write.
        packets: the capture.
        events: what the controller did.

    Raises:
        OSError: the file cannot be written.
    """
    from swn_torture.report.exchange.captures import Packet, with_events, write_frames

    frames = sorted(packets.frames)
    left_out = (
        () if packets.complete else ("Packets are missing: there were too many, or the capture failed.",)
    )
    found = [
        Packet(frame.time, frame.octets, left_out if n == 0 else (), frame.port)
        for n, frame in enumerate(frames)
    ]
    write_frames(path, with_events(found, events))
