"""The processes of a run are forked from one that has loaded the suite; else new interpreters start."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import pytest

from tests.examples import in_gate

#: Opens two local processes, as pytest-xdist does, and prints what they are.
TWO = """
import json, os, sys, threading
import execnet
from swn_torture import workers

asked = '''
import os, random, signal, sys
from swn_torture.casekit.witness import Witness
sys.stderr.write("heard ")
channel.send({
    "pid": os.getpid(), "parent": os.getppid(), "given": os.environ.get("GIVEN"),
    "drawn": random.random(), "name": Witness.client_name(None),
    "loaded": "swn_torture.rpc.methods.test_check_order" in sys.modules,
    "others": "swn_torture.cluster.events.test_node_failure" in sys.modules,
    "term": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
    "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
    "int": signal.getsignal(signal.SIGINT) == signal.default_int_handler,
    "rest": sys.stdin.read(),
})
'''
BEFORE
cases = ["--swn-case=rpc.check-order.every-defect"]
with workers.Workers(lambda: workers.load_cases(cases)) as forked:
    os.environ["GIVEN"] = "after the fork"
    with forked.in_use():
        group = execnet.Group()
        gateways = [group.makegateway("popen") for _ in range(2)]
    told = [gateway.remote_exec(asked).receive() for gateway in gateways]
    print(json.dumps({"main": os.getpid(), "workers": told}), flush=True)
    AFTER
    group.terminate(timeout=20)
"""


def run(before: str = "", after: str = "") -> subprocess.CompletedProcess[str]:
    script = TWO.replace("BEFORE", before).replace("AFTER", after)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=100
    )


def has_ended(pid: int) -> bool:
    """Whether a process ends within 20 seconds."""
    deadline = time.monotonic() + 20
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.02)
        return False
    return True


def test_forked_workers_are_like_new_processes_but_loaded() -> None:
    done = run()

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, second = told["workers"]
    for each in told["workers"]:
        assert each["loaded"]
        assert not each["others"]  # only what the selected cases need
        assert each["parent"] not in {told["main"], os.getpid()}
        assert each["given"] == "after the fork"
        assert each["term"]
        assert each["child"]
        assert each["int"]
        assert each["rest"] == ""
        assert has_ended(each["pid"])
    assert first["drawn"] != second["drawn"]
    assert first["name"] != second["name"]  # registrations of the same client end in each other's cases
    assert done.stderr == "heard heard "
    assert has_ended(first["parent"])


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("workers._load = None", id="parent-fails"),
        pytest.param(
            "threading.Thread(target=threading.Event().wait, daemon=True).start()",
            id="other-thread",
            marks=in_gate,
        ),
        pytest.param("workers._CAN_FORK = False", id="cannot-fork", marks=in_gate),
    ],
)
def test_new_interpreters_start_where_it_cannot_be(before: str) -> None:
    done = run(before)

    told: dict[str, Any] = json.loads(done.stdout)
    assert [each["parent"] for each in told["workers"]] == [told["main"]] * 2
    assert not any(each["loaded"] for each in told["workers"])


#: The other end of a pipe ends at once, although the parent of the workers lives; then nothing is left of it.
EARLY = """
import os
from swn_torture.workers import Workers, load_suite

read, write = os.pipe()
with Workers(load_suite, [write]):
    os.close(write)
    assert os.read(read, 1) == b""
os.waitpid(-1, 0)
"""


def test_run_that_ends_early_leaves_nothing_that_still_loads() -> None:
    done = subprocess.run(
        [sys.executable, "-c", EARLY], capture_output=True, text=True, check=False, timeout=50
    )
    assert done.stderr.splitlines()[-1] == "ChildProcessError: [Errno 10] No child processes"


def test_killed_run_leaves_no_process() -> None:
    done = run(after="os.kill(os.getpid(), 9)")

    assert done.returncode == -signal.SIGKILL
    for each in json.loads(done.stdout)["workers"]:
        assert has_ended(each["pid"])
        assert has_ended(each["parent"])


def test_worker_that_does_not_end_is_killed() -> None:
    stopped = "[os.kill(each['pid'], 19) for each in told]"
    done = run(after=f"{stopped}; group.terminate(timeout=0.5)")

    assert done.returncode == 0, done.stderr
    for each in json.loads(done.stdout)["workers"]:
        assert has_ended(each["pid"])
