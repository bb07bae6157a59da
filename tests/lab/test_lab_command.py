"""`swn-torture lab` without a lab: its arguments, and the profile that `lab up` names."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture import lab
from swn_torture.commands.lab import command
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Executed = list[tuple[str, tuple[str, ...], str]]


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> Executed:
    """The calls of `lab.execute`: node, command, name of the lab. Each returns exit code 7."""
    calls: Executed = []

    def execute(node: str, argv: Sequence[str], name: str = "lab") -> int:
        calls.append((node, tuple(argv), name))
        return 7

    monkeypatch.setattr(lab, "execute", execute)
    return calls


@pytest.fixture
def up_without_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lab.up` returns a lab of the given configuration in a temporary directory, and starts nothing."""

    def up(config: lab.LabConfig, **_: object) -> lab.Lab:
        return lab.Lab(config, "4.25.3-Debian-4.25.3", tmp_path)

    monkeypatch.setattr(lab, "up", up)


@pytest.mark.parametrize(
    ("arguments", "call"),
    [
        (["node1", "--", "ctdb", "status"], ("node1", ("ctdb", "status"), "lab")),
        (["node1", "ctdb", "-X", "status"], ("node1", ("ctdb", "-X", "status"), "lab")),
        (["--name", "two", "node1", "true"], ("node1", ("true",), "two")),
        (["node1", "sh", "--", "--name", "x"], ("node1", ("sh", "--", "--name", "x"), "lab")),
        (["--", "node1", "true"], ("node1", ("true",), "lab")),
    ],
    ids=["separator", "no-separator", "name-of-the-lab", "options-of-the-command", "separator-first"],
)
def test_exec_runs_the_words_after_the_node(
    executed: Executed, arguments: list[str], call: tuple[str, tuple[str, ...], str]
) -> None:
    result = CliRunner().invoke(command, ["exec", *arguments])

    assert executed == [call], result.output
    assert result.exit_code == 7


def test_exec_example_in_the_help_is_accepted(executed: Executed) -> None:
    help_text = CliRunner().invoke(command, ["--help"]).output
    (example,) = [line.split() for line in help_text.splitlines() if "lab exec" in line]

    assert example[:2] == ["swn-torture", "lab"]
    assert CliRunner().invoke(command, example[2:]).exit_code == 7
    assert executed == [("node1", ("ctdb", "status"), "lab")]


@pytest.mark.parametrize("arguments", [["node1"], ["node1", "--"]])
def test_exec_without_a_command_is_rejected(executed: Executed, arguments: list[str]) -> None:
    result = CliRunner().invoke(command, ["exec", *arguments])

    assert result.exit_code == 2
    assert "Missing argument 'ARGV...'" in result.output
    assert executed == []


@pytest.mark.parametrize("name", ["lab", "two"])
def test_up_names_the_profile_of_the_started_lab(up_without_lab: None, tmp_path: Path, name: str) -> None:
    arguments = ["up", "--name", name, "--release", "forky", "--nodes", "2"]
    result = CliRunner().invoke(command, arguments)

    assert result.exit_code == 0, result.output
    path = tmp_path / "profile.toml"
    assert f"Test it with: swn-torture run --target {path}\n" in result.output
    profile = load_profile(str(path))
    assert profile.title == "Samba 4.25.3-Debian-4.25.3 on Debian forky, 2 CTDB nodes"
    assert profile.network_namespace == f"swn-{name}-client"
    assert [node.name for node in profile.nodes] == ["node1", "node2"]


def test_up_writes_the_profile_to_the_given_file(up_without_lab: None, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    result = CliRunner().invoke(command, ["up", "--write-profile", str(path)])

    assert f"run --target {path}\n" in result.output
    assert "on Debian trixie, 3 CTDB nodes" in tomllib.loads(path.read_text(encoding="utf-8"))["title"]
    assert not (tmp_path / "profile.toml").exists()


def test_up_names_the_file_that_it_cannot_write(up_without_lab: None, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "my.toml"
    result = CliRunner().invoke(command, ["up", "--write-profile", str(path)])

    assert result.exit_code == 3
    assert f"Cannot write {path}: No such file or directory." in " ".join(result.output.split())
