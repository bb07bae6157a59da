"""The wheel and the sdist: built by the backend, and the wheel works away from the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

import swn_torture
from tests.docs.documents import ROOT, clean_environment
from tests.examples import in_gate

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheel and the sdist."""
    directory = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(directory)]
    subprocess.run(command, cwd=ROOT, env=clean_environment(), check=True, capture_output=True, timeout=300)
    return directory


def test_both_have_the_version_of_the_package(built: Path) -> None:
    version = swn_torture.__version__
    names = {path.name for path in built.iterdir()}
    assert names == {f"swn_torture-{version}-py3-none-any.whl", f"swn_torture-{version}.tar.gz"}


def test_wheel_has_every_file_of_the_package_and_the_fixtures(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = subprocess.run(
        ["git", "ls-files", "swn_torture", "fixtures"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {f"swn_torture/{each}" if each.startswith("fixtures/") else each for each in tracked}
    assert len(expected) > 500
    assert not expected - names
    packaged = {
        each for each in names if not each.startswith(f"swn_torture-{swn_torture.__version__}.dist-info/")
    }
    assert {each.split("/")[0] for each in packaged} == {"swn_torture"}


@in_gate
def test_wheel_works_away_from_the_repository(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    away = tmp_path / "away"
    away.mkdir()

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "swn_torture", *words],
            cwd=away,
            env={**clean_environment(), "PYTHONPATH": os.fspath(tmp_path / "site")},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert swn_torture.__version__ in run("--version")
    assert "samba-4.22" in run("baseline", "show")
    run("run", "-n", "0", "--case", "rpc.register.null-name[ndr64-register-net_name]", "--report", "out")
    assert (away / "out" / "index.html").stat().st_size > 10_000


def test_sdist_has_what_the_repository_has(built: Path) -> None:
    """Documents, tests and tools, too: the sdist can be developed, tested and built again."""
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert set(tracked) - names == set()
