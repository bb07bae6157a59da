"""Where the lines and the packets go, and what happens if they cannot be written."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from swn_torture.server.activity import output
from swn_torture.server.activity.capture import Capture
from swn_torture.server.activity.output import log_to

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HERE, THERE = ("127.0.0.1", 1), ("127.0.0.1", 2)


class Blocked(io.StringIO):
    """A stream whose reader does not read until it is asked to."""

    def __init__(self) -> None:
        super().__init__()
        self.read_on = threading.Event()

    def write(self, text: str) -> int:
        assert self.read_on.wait(30)
        return super().write(text)


def test_lines_without_a_reader_are_lost_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "WAITING_LINES", 2)
    stream = Blocked()
    with log_to("info", stream=stream) as logger:
        for number in range(20):
            logger.info("line %d", number)
        stream.read_on.set()
    written = stream.getvalue()
    assert "line 0" in written
    assert "lines were lost: the reader is slow" in written


def test_nothing_is_written_at_level_off() -> None:
    stream = io.StringIO()
    with log_to("off", stream=stream) as logger:
        logger.info("a line")
    assert stream.getvalue() == ""


def full(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


def full_at_the_end(writer: Any) -> None:
    writer.f.close()
    full()


def test_a_full_disk_ends_the_capture_and_is_reported_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[OSError] = []
    with Capture(tmp_path / "c.pcapng", problems.append) as capture:
        server = capture.server()
        server.add(1, "received", HERE, THERE, b"of a connection that has ended")
        monkeypatch.setattr("scapy.utils.PcapNgWriter.write_packet", full)
        monkeypatch.setattr("scapy.utils.PcapNgWriter.close", full_at_the_end)
        server.add(1, "open", HERE, THERE)
        server.add(1, "sent", HERE, THERE, b"octets")
    assert [problem.errno for problem in problems] == [28]


def test_a_capture_that_cannot_be_closed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    problems: list[OSError] = []
    with Capture(tmp_path / "c.pcapng", problems.append):
        monkeypatch.setattr("scapy.utils.PcapNgWriter.close", full_at_the_end)
    assert [problem.errno for problem in problems] == [28]
