"""Processes of the witness service that hang: they are found and ended."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from swn_torture.control.base import NotHealthy
from swn_torture.control.ctdb.hangs import _UNANSWERED
from tests.control.simulated_ctdb import perform

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.control.ctdb.controller import CtdbController
    from tests.control.simulated_ctdb import SimulatedCtdb

TOLD = "rpcd_witness of node2 hangs (process 12 and 13): it answers no message of Samba"


def test_processes_that_hang_are_named_and_ended(cluster: SimulatedCtdb) -> None:
    cluster.nodes["node2"].hung = {"12", "13"}

    async def steps(controller: CtdbController) -> None:
        assert await controller.hung() == (TOLD,)
        assert await controller.end_hung() == (TOLD,)
        assert await controller.hung() == ()

    perform(cluster, steps)
    assert [command for command in cluster.commands if "kill -KILL" in command] == ["node2 kill -KILL 12 13"]


def test_processes_are_only_named_where_the_profile_forbids_more(cluster: SimulatedCtdb) -> None:
    cluster.nodes["node2"].hung = {"12", "13"}

    async def steps(controller: CtdbController) -> None:
        assert await controller.end_hung() == ()
        assert await controller.hung() == (TOLD,)

    perform(cluster, steps, end_hung_workers=False)
    assert not [command for command in cluster.commands if "kill" in command]


@pytest.mark.parametrize("change", ["enable", "restore"])
def test_process_that_keeps_a_node_from_serving_is_ended_and_told_once(
    cluster: SimulatedCtdb, change: str
) -> None:
    async def steps(controller: CtdbController) -> None:
        await controller.disable("node2")
        cluster.nodes["node2"].hung = {"12", "13"}
        await (controller.restore() if change == "restore" else controller.enable("node2"))
        assert await controller.hung() == (TOLD,)
        assert await controller.hung() == ()

    perform(cluster, steps, ready=["probe"])
    assert [command for command in cluster.commands if "kill -KILL" in command] == ["node2 kill -KILL 12 13"]


def test_process_stays_where_the_profile_forbids_to_end_it(cluster: SimulatedCtdb) -> None:
    cluster.nodes["node2"].hung = {"12", "13"}

    async def steps(controller: CtdbController) -> None:
        with pytest.raises(NotHealthy):
            await controller.wait_healthy(0.05)

    perform(cluster, steps, ready=["probe"], end_hung_workers=False)
    assert cluster.nodes["node2"].hung == {"12", "13"}


def test_node_that_is_off_has_none(cluster: SimulatedCtdb) -> None:

    async def steps(controller: CtdbController) -> None:
        cluster.fail_next("smbcontrol")
        cluster.nodes["node2"].hung = {"12", "13"}
        assert await controller.hung() == (TOLD,)

    perform(cluster, steps)


def unanswered(tmp_path: Path, state: str, answer: str, waits_in: str = "unix_stream_read_generic") -> str:
    """What the script prints for one process in a state, which waits there in the kernel and answers this."""
    programs = {"pgrep": "echo $$ >pid; cat pid", "smbcontrol": f'echo "{answer}"', "grep": ""}
    programs["grep"] = f'case "$2" in ^State*) [ {state} = T ];; *) exec /usr/bin/grep "$@";; esac'
    programs["cat"] = f'case "$1" in */wchan) echo {waits_in};; *) exec /bin/cat "$@";; esac'
    for name, text in programs.items():
        file = tmp_path / name
        file.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        file.chmod(0o755)
    ended = subprocess.run(
        ["/bin/sh", "-c", _UNANSWERED, "rpcd_witness"],
        cwd=tmp_path,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return ended.stdout


def test_only_silence_counts(tmp_path: Path) -> None:
    assert unanswered(tmp_path, "S", "No replies received").strip().isdigit()
    assert unanswered(tmp_path, "S", "PONG from pid 7") == ""
    assert unanswered(tmp_path, "S", "Could not init messaging context") == ""


def test_process_that_waits_for_events_is_not_asked(tmp_path: Path) -> None:
    assert unanswered(tmp_path, "S", "No replies received", "do_epoll_wait") == ""


def test_process_that_the_suite_stopped_is_not_asked(tmp_path: Path) -> None:
    assert unanswered(tmp_path, "T", "No replies received") == ""
