"""The examples in the help texts: every one is a valid command line, and those that need no lab are run."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
import pytest

from swn_torture.cli import main
from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.target import load_profile
from swn_torture.witness.constants import WITNESS
from tests.command_lines import check
from tests.docs.documents import ROOT
from tests.examples import one_in
from tests.preloaded import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.target import NodeAddress

_PROGRAMS = ("swn-torture", "pytest", "smbtorture", "smbclient")
_EXAMPLE = re.compile(rf"^\s*((?:{'|'.join(_PROGRAMS)}) .*)$", re.MULTILINE)
_TIMEOUT = 60.0
"""Seconds that an example may take."""

_CASE = "rpc.register.wrong-version[ndr32-register-0x0]"
"""A short case, whose id has "register". An example that would run the whole suite runs only this one."""

_CASES = {
    "--requirement": "rpc.register.null-name[ndr32-register-net_name]",
    "any-net-name-taken": "rpc.names.foreign-net-name",
    "keep-alive-in-milliseconds": "cluster.keep-alive.each-registration-has-its-own-timeout",
}
"""For a word of an example that runs the suite: the case that it runs. One with a fault must fail."""

_PRINT = {"explain", "requirements", "report", "repro", "faults", "unusual"}
_RUN = {"run", "serve", "client", "cluster", "selftest", "doctor", "init", "baseline", *_PRINT}

_NEEDS_LAB = {"lab", "gate", "smbtorture"}
"""Examples that are only parsed here. tests/lab runs `lab exec`, tests/instruments runs smbtorture."""

_TAKES_LONG = {"swarm", "time-to-know"}
"""Examples with hundreds or thousands of clients, only parsed here. Tests of their own run these commands."""


def commands(command: click.Command = main, name: str = "swn-torture") -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, with its words."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            found = command.get_command(context, word)
            assert found is not None
            yield from commands(found, f"{name} {word}")


def examples(text: str) -> list[str]:
    """The examples in a help text: one line each, continued lines joined, without comments."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [re.sub(r"\s+# .*$", "", line) for line in _EXAMPLE.findall(joined)]


EXAMPLES = sorted({line for _, command in commands() for line in examples(command.help or "")})


def kind(example: str) -> str:
    """The subcommand, or the program if it is not ours."""
    words = shlex.split(example)
    return words[1] if words[0] == "swn-torture" else words[0]


def test_every_kind_of_example_is_run_or_needs_a_lab() -> None:
    assert {kind(line) for line in EXAMPLES} == _RUN | _NEEDS_LAB | _TAKES_LONG
    assert {name.split()[1] for name, _ in commands() if " " in name} <= _RUN | _NEEDS_LAB | _TAKES_LONG


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_comment_after_an_example_begins_with_a_hash(name: str) -> None:
    """So that a line can be copied into a shell as it is."""
    command = dict(commands())[name]
    for line in examples(command.help or ""):
        assert "  " not in line


@pytest.mark.parametrize("name", [name for name, _ in commands()])
def test_mark_of_examples_is_not_shown(name: str) -> None:
    r"""click keeps the lines after the character \b, and shows the two characters of its escape."""
    assert r"\b" not in (dict(commands())[name].help or "")


@pytest.mark.parametrize("example", [line for line in EXAMPLES if line.startswith("swn-torture ")])
def test_example_is_a_valid_command_line(example: str) -> None:
    check(example)


# Examples that run


@dataclass(frozen=True)
class World:
    """A directory with a served reference cluster and the reports of a run.

    Attributes:
        directory: the directory. `ref.toml` is the profile of the cluster.
        values: for each placeholder of an example, what is there.
        port: options of `client` for a server that is named by its address.
    """

    directory: Path
    values: dict[str, str]
    port: list[str] = field(default_factory=list)

    def words(self, example: str, *more: str) -> list[str]:
        """The command line of an example, with the values of this directory."""
        words = [self.values.get(word, word) for word in shlex.split(example)[1:]]
        return [*program(), *words, *more]

    def run(self, example: str, *more: str) -> subprocess.CompletedProcess[str]:
        """Run an example to its end."""
        return subprocess.run(
            self.words(example, *more),
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )

    @contextmanager
    def running(self, example: str, until: str) -> Iterator[Path]:
        """Run an example that ends with Ctrl-C. The block begins when its output has a line with `until`.

        Yields:
            The file with its output.
        """
        output = self.directory / f"output-{len(list(self.directory.glob('output-*')))}"
        with (
            output.open("w") as file,
            subprocess.Popen(
                # A shell without job control makes its background processes ignore the signal.
                ["env", "--default-signal=INT", *self.words(example)],
                cwd=self.directory,
                stdout=file,
                stderr=subprocess.STDOUT,
            ) as process,
        ):
            try:
                wait_for(output, until)
                yield output
            finally:
                process.send_signal(signal.SIGINT)
                ended = process.wait(_TIMEOUT)
        assert ended == 0, output.read_text(encoding="utf-8")


def wait_for(output: Path, part: str) -> None:
    """Wait until the output of a command has this part."""
    deadline = time.monotonic() + _TIMEOUT
    while part not in output.read_text(encoding="utf-8"):
        assert time.monotonic() < deadline, f"no {part!r} in: {output.read_text(encoding='utf-8')}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("examples")
    world = World(directory, {})
    with world.running("swn-torture serve --write-profile ref.toml", until="Ctrl-C"):
        profile = load_profile(str(directory / "ref.toml"))
        first, second, _ = profile.nodes
        account = profile.account
        world.values.update(
            {
                **dict.fromkeys(("samba-lab", "my-cluster.toml", "reference.toml"), "ref.toml"),
                "198.51.100.100": first.address,
                "198.51.100.101": second.address,
                "DOMAIN\\user%secret": f"{account.domain}\\{account.username}%{account.password}",
                "CLUSTER": profile.net_name,
                "ID": "AMB-1",
            }
        )
        if first.endpoint_mapper_port != 135:  # the process must not bind 135, or it is in use
            world.port.extend(["--port", witness_port(first)])
        yield world


def witness_port(node: NodeAddress) -> str:
    """The port of the witness server of a node, from its endpoint mapper."""
    towers = asyncio.run(ept_map(node.address, WITNESS, port=node.endpoint_mapper_port))
    return str(towers[0].port)


@pytest.fixture(scope="module")
def reports(world: World) -> World:
    """The same, with the reports of a run where the examples read them."""
    done = world.run("swn-torture run", "-n", "0", "--case", _CASE, "--report", "out/")
    assert done.returncode == 0, done.stderr
    shutil.copytree(world.directory / "out", world.directory / "reports" / "reference")
    shutil.copytree(ROOT / "reports" / "published", world.directory / "reports" / "published")
    return world


def is_watch(example: str) -> bool:
    return example.startswith("swn-torture client watch ")


def is_call(example: str) -> bool:
    return kind(example) == "client" and not is_watch(example) and not is_shares(example)


def is_shares(example: str) -> bool:
    return example.startswith("swn-torture client shares ")


def of_kind(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", one_in(3, [line for line in EXAMPLES if kind(line) in kinds]))


def stopped_run(world: World, case: str) -> None:
    """Leave the journal of a run that stopped after this case."""
    done = world.run("swn-torture run", "-n", "0", "--case", case, "--report", "out/")
    assert done.returncode == 0, done.stderr
    journal = world.directory / "out" / "journal.jsonl"
    *lines, end = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    assert '"end"' in end
    journal.write_text("".join(lines), encoding="utf-8")


@of_kind("run")
def test_example_runs_the_suite(world: World, example: str) -> None:
    words = shlex.split(example)
    case = next((case for word, case in _CASES.items() if word in words), _CASE)
    if "--resume" in words:
        stopped_run(world, case)
    done = world.run(example, "-n", "0", "--case", case, "--json", "results.json")
    expected = 1 if "--fault" in words else 0
    # A baseline of Samba is not true of the reference: it has other choices.
    allowed = {0, 4} if "--baseline" in words else {expected}
    assert done.returncode in allowed, done.stdout + done.stderr
    found = json.loads((world.directory / "results.json").read_text(encoding="utf-8"))["cases"]
    assert ("failed" if expected else "passed") in {each["outcome"] for each in found}


@of_kind("selftest")
def test_example_writes_a_stream_of_tests(world: World, example: str) -> None:
    test = "rpc.register.wrong-version.ndr32-register-0x0"
    (world.directory / "tests.txt").write_text(test, encoding="utf-8")
    done = world.run(example, "-n", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{test}$" if "--list" in example else "^success: rpc", done.stdout, re.MULTILINE)


@of_kind(*_PRINT)
def test_example_prints_something(reports: World, example: str) -> None:
    done = reports.run(example)
    assert done.returncode == 0, done.stderr
    assert done.stdout


@of_kind("doctor")
def test_example_finds_nothing_broken(world: World, example: str) -> None:
    done = world.run(example)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Nothing is broken.\n")


@of_kind("init")
def test_example_writes_a_profile(world: World, example: str) -> None:
    done = world.run(example, *world.port)
    assert done.returncode == 0, done.stderr
    made = load_made_profile(world.directory / shlex.split(example)[-1])
    assert made["net_name"] == world.values["CLUSTER"]


def load_made_profile(path: Path) -> dict[str, object]:
    """A profile that an example has written, as plain values: its password is in no environment here."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


@of_kind("baseline")
def test_example_compares_writes_or_shows(reports: World, example: str) -> None:
    shutil.copy(reports.directory / "out" / "results.json", reports.directory)
    done = reports.run(example)
    assert done.returncode in ({0, 4} if " check " in example else {0}), done.stderr
    assert done.stdout


@of_kind("serve")
def test_example_serves_until_ctrl_c(world: World, tmp_path: Path, example: str) -> None:
    with World(tmp_path, world.values).running(example, until="Ctrl-C"):
        assert ("--write-profile" in example) == (tmp_path / "ref.toml").exists()


@pytest.mark.parametrize("example", one_in(3, [line for line in EXAMPLES if is_call(line)]))
def test_example_calls_the_server(world: World, example: str) -> None:
    done = world.run(example, *(world.port if "--server" in example else []))
    assert done.returncode == 0, done.stderr
    assert re.search("AVAILABLE|^unregistered: ERROR_SUCCESS", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("example", one_in(3, [line for line in EXAMPLES if is_shares(line)]))
def test_example_shows_the_shares(world: World, tmp_path: Path, example: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    serve = f"swn-torture serve --smb-port {port} --write-profile ref.toml"
    with World(tmp_path, world.values).running(serve, until="Ctrl-C"):
        first = load_profile(str(tmp_path / "ref.toml")).nodes[0]
        served = World(tmp_path, {**world.values, "198.51.100.100": first.address, "data": "SHARE"})
        done = served.run(example, *(["--smb-port", str(port)] if "--server" in example else []))
    assert done.returncode == 0, done.stdout + done.stderr
    if "--json" in example:
        answers = {each["dialect"]: each for each in json.loads(done.stdout)["tree_connects"]}
        assert answers["2.0.2"]["capabilities"] == {"SHARE": []}
    else:
        assert re.search(r"^SHARE +NODE1 NODE2 NODE3 +2.0.2 +none$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("example", one_in(3, [line for line in EXAMPLES if is_watch(line)]))
def test_watch_shows_what_the_example_of_cluster_causes(world: World, example: str) -> None:
    (disable,) = [line for line in EXAMPLES if "cluster disable" in line and "ref.toml" in line]
    as_json = "--json" in example
    change = '"NODE2", "change_type": "' if as_json else "NODE2 is "
    with world.running(example, until='"registered"' if as_json else "waiting for notifications") as watch:
        assert world.run(disable).returncode == 0
        wait_for(watch, f"{change}UNAVAILABLE")
        assert world.run("swn-torture cluster recover --target ref.toml").returncode == 0
        wait_for(watch, f"{change}AVAILABLE")


@of_kind("cluster")
def test_example_changes_the_cluster(world: World, example: str) -> None:
    client = "swn-torture client watch --target ref.toml --client-name CLIENT01"
    with world.running(client, until="waiting for notifications") as watch:
        done = world.run(example, *(("--count", "1") if "--watch" in example else ()))
        assert done.returncode == 0, done.stderr
        if "move-client" in example:
            wait_for(watch, "CLIENT_MOVE")
        assert world.run("swn-torture cluster recover --target ref.toml").returncode == 0
