"""Every command line of a document is run by a test.

Pages with a test of their own are listed in `OWN`. The examples that also stand in a help text are run by
tests/commands/test_help_examples.py. What needs a lab, Kerberos or thousands of clients is run elsewhere. The
rest runs here, page by page, on a served reference cluster.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from swn_torture.target import load_profile
from tests.commands.test_help_examples import EXAMPLES, witness_port
from tests.docs.documents import DOCS, ROOT, blocks, clean_environment, title
from tests.docs.test_audience_pages import started
from tests.docs.test_documents import PRESENT, command_lines
from tests.examples import one_in
from tests.preloaded import plain_pytest, program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: The test module that runs the commands of a page.
OWN = {
    "docs/a-server-from-scratch.md": "tests/docs/test_server_from_scratch.py",
    "docs/ci.md": "tests/docs/test_ci_page.py",
    "docs/citing-a-finding.md": "tests/docs/test_audience_pages.py",
    "docs/for-client-authors.md": "tests/docs/test_audience_pages.py",
    "docs/for-samba-developers.md": "tests/docs/test_audience_pages.py",
    "docs/from-address-to-gate.md": "tests/docs/test_from_address_to_gate.py",
    "docs/triage.md": "tests/docs/test_audience_pages.py",
}

#: The pages whose commands run here, in this order.
HERE = {
    "README.md": ROOT / "README.md",
    "docs/index.md": DOCS / "index.md",
    "docs/baselines.md": DOCS / "baselines.md",
    "docs/adding-a-controller.md": DOCS / "adding-a-controller.md",
    "docs/writing-a-case.md": DOCS / "writing-a-case.md",
    "docs/writing-a-fault.md": DOCS / "writing-a-fault.md",
}

#: For a pattern of other command lines: the tests that run such a command.
ELSEWHERE = {
    r"swn-torture (lab|gate) ": "tests/lab",
    r"swn-torture run --target /run/swn-torture/": "tests/lab",
    r"swn-torture swarm ": "tests/swarm",
    r"swn-torture time-to-know ": "tests/time_to_know",
    r"swn-torture client interfaces .*--auth kerberos": "tests/kerberos",
    r"swn-torture run .*test_kerberos": "tests/kerberos",
    r"swn-torture serve --option keytab=": "tests/kerberos",
    r"swn-torture serve --log-level off --capture": "tests/server/test_serve.py",
    r"swn-torture serve --log-level off --write-profile": "tests/swarm",
    r"python tools/fault_matrix.py ": "tests/faults/test_matrix_trial.py",
}

#: For a program that is not ours: a file that runs it.
PROGRAMS = {
    "make": ".ci/run",
    "pip": "tools/release",
    "eval": "tests/commands/test_complete.py",
    "smbtorture": "tests/instruments/test_smbtorture.py",
    "smbclient": "tests/instruments/test_samba_companions.py",
    "tshark": "tests/instruments/tshark.py",
    "./configure": "tests/docs/test_ci_page.py",
    "python3": "tests/docs/test_ci_page.py",
    "SWN_SWARM=FILE": "tests/swarm/test_swarm.py",
}

#: The case that a command runs which would run more.
CASE = "rpc.register.null-name[ndr64-register-net_name]"
FAULTY = "rpc.register.wrong-version"

#: Exit codes other than 0: what a command finds in this world.
FOUND = {
    r"swn-torture run .*--fault ": {1},
    r"swn-torture run .*--baseline samba-": {0, 4},
    r"swn-torture doctor ": {0, 3},
}


def lines_of(path: Path) -> list[str]:
    """The commands of a page: lines with a prompt, and those of blocks for a shell, without comments."""
    prompted = "\n".join(block.text for block in blocks(path, "console"))
    given = set(re.findall(r"^ *\$ (\S+)", prompted, re.MULTILINE)) | {"swn-torture", "pytest", "eval"}
    return [line for line in command_lines(path) if line and line.split()[0] in given]


def is_ours(line: str) -> bool:
    return line.split(maxsplit=1)[0] in {"swn-torture", "pytest", "python"}


def elsewhere(line: str) -> str:
    """The tests that run such a command, or an empty text."""
    return next((tests for pattern, tests in ELSEWHERE.items() if re.match(pattern, line)), "")


@pytest.mark.parametrize("path", PRESENT, ids=title)
def test_a_test_runs_every_command(path: Path) -> None:
    page = title(path)
    if page in OWN or page in HERE:
        return
    known = {*EXAMPLES, *(line for other in HERE.values() for line in lines_of(other))}
    missing = [line for line in lines_of(path) if is_ours(line) and line not in known and not elsewhere(line)]
    assert missing == [], (
        "commands that no test runs: list the page in OWN or HERE, or the command in ELSEWHERE"
    )


@pytest.mark.parametrize("path", PRESENT, ids=title)
def test_other_programs_are_run_somewhere(path: Path) -> None:
    if title(path) in OWN:
        return
    for line in lines_of(path):
        program = line.split()[0]
        if not is_ours(line):
            assert program in PROGRAMS, line


@pytest.mark.parametrize("tests", sorted({*OWN.values(), *ELSEWHERE.values(), *PROGRAMS.values()}))
def test_what_runs_them_exists(tests: str) -> None:
    assert (ROOT / tests).exists()


@pytest.mark.parametrize("page", OWN)
def test_test_of_a_page_reads_the_page(page: str) -> None:
    text = (ROOT / OWN[page]).read_text(encoding="utf-8")
    assert page.removeprefix("docs/") in text


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str], list[str]]]:
    """A directory with a served cluster and its client, a run of it, and what stands for the placeholders."""
    directory = tmp_path_factory.mktemp("tour")
    with (
        started(directory, "swn-torture serve --write-profile ref.toml", "Ctrl-C"),
        started(directory, "swn-torture client watch --target ref.toml --client-name ME", "registered"),
    ):
        shutil.copy(directory / "ref.toml", directory / "my-cluster.toml")
        profile = load_profile(str(directory / "ref.toml"))
        first, account = profile.nodes[0], profile.account
        values = {
            "198.51.100.100": first.address,
            "DOMAIN\\user%secret": f"{account.domain}\\{account.username}%{account.password}",
            "CLUSTER": profile.net_name,
            "samba-lab": "ref.toml",
            "node1": "NODE1",
        }
        port = [] if first.endpoint_mapper_port == 135 else ["--port", witness_port(first)]
        done = run(
            directory, ["swn-torture", "run", "--target", "ref.toml", "--report", "reports/reference", *one()]
        )
        assert done.returncode == 0, done.stdout + done.stderr
        # Several pages begin with a baseline that another page, or a reader, has made.
        results = "reports/reference/results.json"
        done = run(directory, ["swn-torture", "baseline", "update", results, "my-baseline.toml"])
        assert done.returncode == 0, done.stdout + done.stderr
        shutil.copytree(ROOT / "reports" / "published", directory / "reports" / "published")
        yield directory, values, port


def one(case: str = CASE) -> list[str]:
    return ["-n", "0", "--case", case]


def run(directory: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    first = {"swn-torture": program(), "pytest": plain_pytest()}[words[0]]
    return subprocess.run(
        [*first, *words[1:]],
        cwd=directory,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


def stop(journal: Path) -> None:
    """Make this the journal of a run that was killed: without the line of its end."""
    *lines, end = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    assert '"end"' in end
    journal.write_text("".join(lines), encoding="utf-8")


def made_short(words: list[str]) -> list[str]:
    """The same command on one case, if it would run more."""
    if words[0] == "pytest":
        return [*words, f"--swn-case={CASE}"]
    if words[1] != "run" or "--requirement" in words:
        return words
    if "--case" in words:
        return [*words, "-n", "0"]
    return [*words, *one(FAULTY if "--fault" in words or "-k" in words else CASE)]


@pytest.mark.parametrize("page", one_in(len(HERE), reversed(HERE)))
def test_commands_of_the_page_run_in_their_order(
    world: tuple[Path, dict[str, str], list[str]], page: str
) -> None:
    directory, values, port = world
    (directory / "made.toml").unlink(missing_ok=True)
    count = 0
    for line in lines_of(HERE[page]):
        if not is_ours(line) or elsewhere(line) or re.match(r"swn-torture (serve|client watch) ", line):
            continue
        if line in EXAMPLES and not line.startswith(("swn-torture cluster", "swn-torture run")):
            continue
        words = [values.get(word, word) for word in made_short(shlex.split(line))]
        if words[1] == "init":
            words = [*words[:-1], "made.toml", *port]
        if "--resume" in words:
            stop(directory / "out" / "journal.jsonl")
        done = run(directory, words)
        allowed = next((codes for pattern, codes in FOUND.items() if re.match(pattern, line)), {0})
        assert done.returncode in allowed, f"{line}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr, line
        count += 1
    assert count > 0
