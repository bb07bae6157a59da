"""Crashes of Samba in the logs of a lab. No lab is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from swn_torture import lab
from swn_torture.commands.gate_run import Gate
from swn_torture.lab.crashes import crashes_of, discarded_replies

if TYPE_CHECKING:
    from pathlib import Path

# As smb_panic() of Samba 4.22 writes it.
HEAD = "[2026/11/29 05:40:16.933368,  0] ../../lib/util/fault.c:179(smb_panic_log)\n"
PANIC = """\
  PANIC: assert failed at ../../source3/rpc_server/witness/srv_witness_nt.c(1471): r->in.version == WITNESS_V1
{head}  INTERNAL ERROR: {reason} in {program} () () pid {pid} (4.22.11)
{head}  BACKTRACE: 36 stack frames:
   #0 /opt/samba/lib/private/libgenrand-private-samba.so(log_stack_trace+0x2e) [0x7f4e724cb9b2]
"""
ASSERTION = "assert failed: r->in.version == WITNESS_V1"
SIGNAL = "Signal 11: Segmentation fault"


def panic(reason: str = ASSERTION, program: str = "rpcd_witness", pid: int = 499) -> str:
    return HEAD + PANIC.format(head=HEAD, reason=reason, program=program, pid=pid)


@pytest.fixture
def running(tmp_path: Path) -> lab.Lab:
    """A lab of two nodes whose logs tell no crash."""
    for node in ("node1", "node2"):
        samba = tmp_path / node / "log/samba"
        samba.mkdir(parents=True)
        (samba / "log.").write_text(f"{HEAD}  started\n", encoding="utf-8")
        (tmp_path / node / "log/ctdb.log").write_text("", encoding="utf-8")
    return lab.Lab(lab.LabConfig(nodes=2), "4.22.11", tmp_path)


def write(running: lab.Lab, node: str, text: str, name: str = "log.") -> None:
    (running.directory / node / "log/samba" / name).write_text(text, encoding="utf-8")


def test_log_without_a_crash(running: lab.Lab) -> None:
    assert crashes_of(running) == []


def test_crashes_are_counted_by_program_and_reason(running: lab.Lab) -> None:
    write(running, "node1", panic(SIGNAL, "smbd") + panic() + panic(pid=500))
    write(running, "node2", panic(pid=7), "log.rpcd_witness")
    often, once = crashes_of(running)
    assert str(often) == f"rpcd_witness crashed 3 times on node1, node2: {ASSERTION}"
    assert str(once) == f"smbd crashed 1 time on node1: {SIGNAL}"


def test_first_crash_is_shown_with_its_stack(running: lab.Lab) -> None:
    write(running, "node1", panic() + panic(SIGNAL) + f"{HEAD}  later\n")
    assertion, signal = crashes_of(running)
    assert "log_stack_trace" in assertion.excerpt
    assert assertion.excerpt.startswith(f"log. of node1:\n  INTERNAL ERROR: {ASSERTION} in rpcd_witness")
    assert signal.excerpt.startswith(f"log. of node1:\n  INTERNAL ERROR: {SIGNAL}")


def gate(report: Path) -> Gate:
    report.mkdir()
    return Gate(lab.LabConfig(), report, baseline=None)


def test_gate_names_the_crashes(running: lab.Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(running, "node1", panic())
    gate(tmp_path / "out")._say_crashes(running)
    said = capsys.readouterr().err
    assert f"gate: rpcd_witness crashed 1 time on node1: {ASSERTION}\n" in said
    assert "mend it before other findings" in said
    assert "#0 " in (tmp_path / "out/crashes.txt").read_text(encoding="utf-8")


def test_gate_without_a_crash_removes_the_crashes_of_an_earlier_one(
    running: lab.Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = gate(tmp_path / "out")
    (tmp_path / "out/crashes.txt").write_text("earlier", encoding="utf-8")
    one._say_crashes(running)
    assert not (tmp_path / "out/crashes.txt").exists()
    assert capsys.readouterr().err == ""


def test_gate_says_that_it_cannot_read_a_log(
    running: lab.Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(_: object) -> None:
        raise PermissionError("no permission")

    monkeypatch.setattr("swn_torture.commands.gate_run.crashes_of", unreadable)
    gate(tmp_path / "out")._say_crashes(running)
    assert "the crashes of Samba cannot be shown: no permission" in capsys.readouterr().err


DISCARDED = """\
[2026/11/29 09:40:15.200117,  0] source3/lib/ctdbd_conn.c:514(ctdb_read_req)
  Discarding mismatched ctdb reqid 319 should have been 320
"""


def test_gate_tells_of_discarded_replies_of_ctdbd(
    running: lab.Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert discarded_replies(running) == {}
    write(running, "node2", DISCARDED * 2)
    write(running, "node2", DISCARDED, "log.rpcd_witness")
    assert discarded_replies(running) == {"node2": 3}
    gate(tmp_path / "out")._say_crashes(running)
    assert "gate: replies of ctdbd were discarded on node2 (3):" in capsys.readouterr().err
