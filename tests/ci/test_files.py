"""The files for GitHub and GitLab: the scripts in them run, with the inputs that a user gives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import yaml

from tests.ci.conftest import CASES
from tests.docs.documents import ROOT, clean_environment
from tests.preloaded import stand_in

if TYPE_CHECKING:
    from tests.ci.conftest import KnownTarget

_ARGUMENTS = " ".join(CASES)


def shell(script: str, directory: Path, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script as a CI job does: by the shell, with the command `swn-torture` in PATH."""
    tools = directory / "tools"
    if not tools.is_dir():
        tools.mkdir()
        stand_in(tools / "swn-torture")
    path = f"{tools}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-e", "-c", script],
        cwd=directory,
        env={**clean_environment(), "PATH": path, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )


def junit(report: Path) -> dict[str, str | None]:
    """The numbers of a JUnit file."""
    return dict(ET.parse(report / "junit.xml").getroot().attrib)


# GitHub

ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def steps(inputs: dict[str, str]) -> list[dict[str, Any]]:
    """The steps of the action with these inputs, and the defaults of the others."""
    given = {name: row["default"] for name, row in ACTION["inputs"].items()} | inputs

    def value(text: str) -> str:
        return re.sub(r"\$\{\{ inputs\.(\w+) \}\}", lambda found: given[found[1]], text)

    return [
        {**step, "env": {name: value(each) for name, each in step.get("env", {}).items()}}
        for step in ACTION["runs"]["steps"]
    ]


def run_action(known: KnownTarget, report: str, **inputs: str) -> tuple[int, str, str]:
    """Run the last step of the action; its exit code, output and summary."""
    summary = known.directory / f"{report}-summary"
    step = steps({"report": report, "arguments": _ARGUMENTS, **inputs})[-1]
    variables = {"GITHUB_STEP_SUMMARY": str(summary), **step["env"]}
    done = shell(step["run"], known.directory, variables)
    return done.returncode, done.stdout, summary.read_text(encoding="utf-8") if summary.exists() else ""


def test_action_uses_only_inputs_that_it_declares() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.(\w+)", text)) == set(ACTION["inputs"])
    assert {"profile", "baseline", "report"} <= set(ACTION["inputs"])
    assert ACTION["runs"]["using"] == "composite"
    assert all(step["shell"] == "sh" for step in ACTION["runs"]["steps"])


def test_action_fails_with_annotations_for_a_violation(known: KnownTarget) -> None:
    code, output, summary = run_action(known, "github-new", profile="faulty.toml")
    assert code == 1
    assert re.search(r"^::error title=rpc\.register\.wrong-version", output, re.MULTILINE)
    assert "**The target violates the specification.**" in summary
    assert (known.directory / "github-new" / "index.html").exists()


def test_action_passes_with_the_baseline(known: KnownTarget) -> None:
    code, output, summary = run_action(known, "github-known", profile="faulty.toml", baseline="known.toml")
    assert code == 0, output
    assert "::error" not in output
    assert re.search(r"^::notice title=known%3A ", output, re.MULTILINE)
    assert "as expected" in summary


def test_action_fails_for_a_profile_that_does_not_exist(known: KnownTarget) -> None:
    assert run_action(known, "github-usage", profile="missing.toml")[0] == 2


# GitLab

_HEAD, _JOBS = yaml.safe_load_all((ROOT / "ci" / "gitlab.yml").read_text(encoding="utf-8"))


def run_job(known: KnownTarget, **inputs: str) -> tuple[int, str, dict[str, Any]]:
    """Run the job with these inputs; its exit code, its output and the job as GitLab reads it."""
    given = {name: row["default"] for name, row in _HEAD["spec"]["inputs"].items()} | inputs
    text = re.sub(r"\$\[\[ inputs\.(\w+) \]\]", lambda found: given[found[1]], yaml.safe_dump(_JOBS))
    job: dict[str, Any] = yaml.safe_load(text)["swn-torture"]
    variables = {name: str(value or "") for name, value in job["variables"].items()}
    done = shell("\n".join(job["script"]), known.directory, variables)
    return done.returncode, done.stdout + done.stderr, job


def test_include_uses_only_inputs_that_it_declares() -> None:
    text = (ROOT / "ci" / "gitlab.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"inputs\.(\w+)", text)) == set(_HEAD["spec"]["inputs"])
    assert {"profile", "baseline", "report"} <= set(_HEAD["spec"]["inputs"])


def test_job_of_gitlab_shows_a_violation_as_a_failure(known: KnownTarget) -> None:
    code, output, job = run_job(known, profile="faulty.toml", report="gitlab-new", arguments=_ARGUMENTS)
    assert code == 1, output
    report = known.directory / "gitlab-new"
    assert known.directory / job["artifacts"]["reports"]["junit"] == report / "junit.xml"
    assert (junit(report)["failures"], junit(report)["skipped"]) == ("1", "0")
    assert job["artifacts"]["when"] == "always"


def test_job_of_gitlab_shows_a_known_violation_as_skipped(known: KnownTarget) -> None:
    inputs = {"profile": "faulty.toml", "baseline": "known.toml", "report": "gitlab-known"}
    code, output, _ = run_job(known, **inputs, arguments=_ARGUMENTS)
    assert code == 0, output
    numbers = junit(known.directory / "gitlab-known")
    assert (numbers["failures"], numbers["skipped"], numbers["tests"]) == ("0", "1", "2")


# The image

_LINES = (ROOT / "ci" / "Containerfile").read_text(encoding="utf-8").splitlines()


def instruction(name: str) -> str:
    (found,) = [line.removeprefix(f"{name} ") for line in _LINES if line.startswith(f"{name} ")]
    return found


def test_image_has_a_python_that_the_package_supports() -> None:
    version = re.search(r"python:3\.(\d+)-slim$", instruction("FROM"))
    assert version is not None
    classifiers = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f"Programming Language :: Python :: 3.{version[1]}" in classifiers


def test_image_runs_the_command_that_it_installs(tmp_path: Path) -> None:
    words = yaml.safe_load(instruction("CMD"))
    assert words == ["swn-torture", "--help"]
    done = shell(" ".join(words), tmp_path, {})
    assert done.returncode == 0
    assert "Conformance torture tests" in done.stdout


def test_example_names_the_image_and_then_the_command() -> None:
    text = " ".join(line.lstrip("# ").rstrip("\\ ") for line in _LINES if line.startswith("#"))
    assert re.search(r"podman run --rm [^.]* swn-torture swn-torture run --target ", text)


def test_image_installs_the_package_from_its_copy() -> None:
    source, target = instruction("COPY").split()
    assert (source, target) == (".", "/src")
    assert instruction("RUN") == "python3 -m pip install --no-cache-dir /src && rm -rf /src"
    assert (ROOT / source / "pyproject.toml").exists()
