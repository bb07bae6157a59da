"""``swn-torture run``: exit codes, explanations, and results that survive an interruption."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.preloaded import process_of, program, python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from swn_torture.server.nodes.embedded import EmbeddedCluster

    Command = Callable[..., subprocess.CompletedProcess[str]]
    Text = Callable[..., str]

CASE = "rpc.check-order.every-defect[register]"


def is_paragraph(text: str) -> bool:
    return "Traceback" not in text and len(text) > 40


def test_help_lists_every_subcommand(swn_torture: Command) -> None:
    answer = swn_torture("--help")
    assert answer.returncode == 0
    for word in (
        "run",
        "serve",
        "cluster",
        "client",
        "lab",
        "explain",
        "requirements",
        "report",
        "Exit codes",
    ):
        assert word in answer.stdout


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from swn_torture.cli import main;"
        "CliRunner().invoke(main, ['--help']);"
        "print([m for m in ('impacket', 'scapy', 'spnego', 'jinja2', 'rich', 'pytest') if m in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command", ["run", "serve", "faults", "cluster", "client", "lab", "explain", "requirements", "report"]
)
def test_every_subcommand_has_help(swn_torture: Command, command: str) -> None:
    answer = swn_torture(command, "--help")
    assert answer.returncode == 0, answer.stderr
    assert "Usage:" in answer.stdout


def test_conforming_target_exits_with_0(swn_torture: Command, profile: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    answer = swn_torture("run", "--target", str(profile), "-n", "0", "--case", CASE, "--report", str(report))
    assert answer.returncode == 0, answer.stderr
    results = json.loads((report / "results.json").read_text(encoding="utf-8"))
    assert [case["outcome"] for case in results["cases"]] == ["passed"]
    assert results["cases"][0]["repro"].endswith(f"--case '{CASE}'")
    assert "Passw0rd!" not in (report / "results.json").read_text(encoding="utf-8")


def test_unreachable_target_is_explained(
    swn_torture: Command, served: EmbeddedCluster, tmp_path: Path, profile_text: Text
) -> None:
    with socket.socket() as held:  # bound but not listening, so connections are refused
        held.bind(("127.0.0.1", 0))
        path = tmp_path / "profile.toml"
        path.write_text(
            profile_text(served, address="127.0.0.1", epm_port=held.getsockname()[1]), encoding="utf-8"
        )
        answer = swn_torture("run", "--target", str(path))
    assert answer.returncode == 3
    assert is_paragraph(answer.stderr)
    assert "No node of the target answers. node NODE1 (127.0.0.1): its endpoint mapper, TCP port" in " ".join(
        answer.stderr.split()
    )


def test_wrong_password_is_explained(
    swn_torture: Command, served: EmbeddedCluster, tmp_path: Path, profile_text: Text
) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(profile_text(served, password="wrong"), encoding="utf-8")
    answer = swn_torture("run", "--target", str(path))
    assert answer.returncode == 3
    assert is_paragraph(answer.stderr)
    assert "[account]" in answer.stderr


def test_wrong_net_name_is_explained(
    swn_torture: Command, served: EmbeddedCluster, tmp_path: Path, profile_text: Text
) -> None:
    path = tmp_path / "profile.toml"
    path.write_text(profile_text(served, net_name="OTHER"), encoding="utf-8")
    answer = swn_torture("run", "--target", str(path))
    assert answer.returncode == 3
    assert is_paragraph(answer.stderr)
    assert "'OTHER'" in answer.stderr
    assert "ERROR_INVALID_PARAMETER (0x57)" in " ".join(answer.stderr.split())


def test_profile_that_is_not_toml_is_a_usage_error(swn_torture: Command, tmp_path: Path) -> None:
    path = tmp_path / "profile.toml"
    path.write_text("schema =", encoding="utf-8")
    answer = swn_torture("run", "--target", str(path))
    assert answer.returncode == 2
    assert is_paragraph(answer.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--target", "windows-95"), "Unknown target profile 'windows-95'"),
        (("-n", "many"), "must be a number or auto"),
        (("--captures", "some"), "some"),
        (("--colour", "blue"), "--colour"),
        (("--allow-fixed",), "give --baseline, too"),
        (("--max-age", "0"), "give --baseline, too"),
        (("-n", "0", "-k", "no-such-case"), "No case matches -k, --case and --requirement."),
    ],
)
def test_unknown_values_are_usage_errors(
    swn_torture: Command, arguments: tuple[str, ...], message: str
) -> None:
    answer = swn_torture("run", *arguments)
    assert answer.returncode == 2, answer.stderr
    assert "Traceback" not in answer.stderr
    assert message in " ".join(answer.stderr.split())


@pytest.mark.parametrize("workers", [(), ("-n", "0"), ("-n", "2")], ids=["auto", "none", "two"])
@pytest.mark.parametrize(
    ("option", "unknown", "close"),
    [
        ("--requirement", "SWN-3.1.4.2-null-netnam", "SWN-3.1.4.2-null-netname"),
        ("--case", f"{CASE[:-2]}]", CASE),
        ("--case", "rpc.check-order.every-defec", "rpc.check-order.every-defect"),
    ],
)
def test_unknown_id_is_a_usage_error_with_close_matches(
    swn_torture: Command, option: str, unknown: str, close: str, workers: tuple[str, ...]
) -> None:
    answer = swn_torture("run", option, unknown, *workers)
    text = " ".join(answer.stderr.split())
    assert answer.returncode == 2, answer.stderr
    assert f"swn-torture: Unknown {option[2:]} '{unknown}'. Close matches: {close}" in text
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text


def test_id_without_parameters_runs_every_variant(swn_torture: Command, tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    answer = swn_torture("run", "-n", "0", "--case", CASE.partition("[")[0], "--json", str(path))
    assert answer.returncode == 0, answer.stderr
    ids = [case["id"] for case in json.loads(path.read_text(encoding="utf-8"))["cases"]]
    assert ids == [CASE, CASE.replace("[register]", "[register-ex]")]


@pytest.mark.parametrize("parameters", ["", "[register]"])
def test_renamed_case_runs_under_its_new_id(tmp_path: Path, parameters: str) -> None:
    path = tmp_path / "results.json"
    base = CASE.partition("[")[0]
    code = (
        "import swn_torture.shipped as shipped; from swn_torture.cli import main;"
        f"shipped.renamed_cases = lambda: {{'rpc.old.name': {base!r}}}; main()"
    )
    arguments = ["run", "-n", "0", "--case", f"rpc.old.name{parameters}", "--json", str(path)]
    answer = subprocess.run(
        [python(), "-c", code, *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    assert f"The case rpc.old.name{parameters} was renamed to {base}{parameters}." in answer.stderr
    cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
    assert {case["id"].partition("[")[0] for case in cases} == {base}


def test_report_that_cannot_be_written_stops_no_other(
    swn_torture: Command, profile: Path, tmp_path: Path
) -> None:
    results = tmp_path / "results.json"
    options = ("--target", str(profile), "-n", "0", "--case", CASE, "--json", str(results))
    answer = swn_torture("run", *options, "--html", "/dev/full")
    assert answer.returncode == 3
    assert "/dev/full" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert json.loads(results.read_text(encoding="utf-8"))["run"]["complete"] is True


def test_tests_of_the_directory_of_the_user_are_not_loaded(profile: Path, tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "conftest.py").write_text("raise ImportError\n", encoding="utf-8")
    for words in (("run", "--target", str(profile), "-n", "0", "--case", CASE), ("explain", CASE)):
        command = [*program(), *words]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
        assert done.returncode == 0, done.stdout + done.stderr


def wait_for_case(process: subprocess.Popen[str]) -> None:
    """Wait until the first case has passed. Lines about the target come before it."""
    assert process.stderr is not None
    before = []
    for line in process.stderr:
        if " passed " in line:
            return
        before.append(line)
    raise AssertionError("".join(before))


def test_interrupted_run_keeps_its_results(profile: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    # A shell without job control makes its background processes ignore the signal.
    command = ["env", "--default-signal=INT", *program(), "run"]
    command += ["--target", str(profile), "-n", "0"]
    # Many cases, so that one is running when the signal arrives.
    command += ["-k", "ndr", "--report", str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_case(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    results = json.loads((report / "results.json").read_text(encoding="utf-8"))
    assert results["run"]["complete"] is False
    assert results["cases"]
    assert process.returncode == 3


def test_killed_run_leaves_its_journal(swn_torture: Command, profile: Path, tmp_path: Path) -> None:
    report = tmp_path / "report"
    command = [*program(), "run", "--target", str(profile), "-n", "0"]
    command += ["-k", "register.wrong_version or each_registration_has_its_own", "--report", str(report)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for_case(process)
        os.kill(process_of(process.pid), signal.SIGKILL)
        process.communicate(timeout=60)
    page = tmp_path / "page.html"
    answer = swn_torture("report", str(report / "journal.jsonl"), "--html", str(page))
    assert answer.returncode == 0, answer.stderr
    assert page.stat().st_size > 0


def test_target_that_stops_is_an_error_not_a_violation(
    swn_torture: Command, tmp_path: Path, profile_text: Text
) -> None:
    from swn_torture.server.config import ClusterConfig
    from swn_torture.server.nodes.embedded import EmbeddedCluster as Cluster

    report = tmp_path / "report"
    path = tmp_path / "profile.toml"
    with Cluster(ClusterConfig()) as cluster:
        path.write_text(profile_text(cluster), encoding="utf-8")
        command = [*program(), "run", "--target", str(path), "-n", "0"]
        command += ["-k", "long_wait or register.wrong_version", "--report", str(report)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        journal = report / "journal.jsonl"
        deadline = time.monotonic() + 60
        while not (_case_runs(journal) and _has_registration(cluster)):
            assert time.monotonic() < deadline, "the first case did not register"
            time.sleep(0.05)
    _, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    assert process.returncode == 3, errors
    assert journal.exists()
    results = json.loads((report / "results.json").read_text(encoding="utf-8"))
    outcomes = {case["outcome"] for case in results["cases"]}
    assert outcomes == {"error"}
    assert all(case["reason"] for case in results["cases"])
    assert swn_torture("report", str(report / "results.json")).returncode == 0


def _case_runs(journal: Path) -> bool:
    """Whether a case has started: the preflight registers, too."""
    return journal.exists() and '\n{"start"' in journal.read_text(encoding="utf-8")


def _has_registration(cluster: EmbeddedCluster) -> bool:
    """Whether the cluster has a registration."""
    import asyncio

    from swn_torture.control.reference import ReferenceController

    async def look() -> bool:
        async with ReferenceController(cluster.admin_address, cluster.admin_port) as controller:
            return bool(await controller.registrations())

    return asyncio.run(look())
