"""A server with a known violation: its profile and its baseline, made by the commands that make them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.docs.documents import clean_environment
from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path

#: A case that finds the known violation, and one that does not.
KNOWN, GOOD = (
    "rpc.register.wrong-version[ndr32-register-ex-0x1]",
    "rpc.register.wrong-version[ndr32-register-0x0]",
)

#: The options that run these two cases, one after the other.
CASES = ("-n", "0", "--case", KNOWN, "--case", GOOD)

_FAULT = "register-ex-version-not-supported"
_TIMEOUT = 150.0


@dataclass(frozen=True)
class KnownTarget:
    """A directory with `faulty.toml`, a profile of the server, and `known.toml`, its baseline.

    Attributes:
        directory: the directory.
    """

    directory: Path

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
        """Run `swn-torture` in the directory."""
        return subprocess.run(
            [*program(), *words],
            cwd=self.directory,
            env={**clean_environment(), **variables},
            capture_output=True,
            check=False,
            timeout=_TIMEOUT,
        )

    def profile(self, name: str, fault: str = "") -> str:
        """Write the profile of a reference cluster, with a fault or without; return its file name."""
        embedded = f'fault = "{fault}"' if fault else "nodes = 3"
        text = f"""
schema = "swn-torture-target/1"
name = "{name}"
net_name = "SWNCLUSTER"
account = {{ username = "witness", password = "Passw0rd!", domain = "SWNTEST" }}
embedded = {{ {embedded} }}
"""
        (self.directory / f"{name}.toml").write_text(text, encoding="utf-8")
        return f"{name}.toml"


@pytest.fixture(scope="session")
def known(tmp_path_factory: pytest.TempPathFactory) -> KnownTarget:
    target = KnownTarget(tmp_path_factory.mktemp("known"))
    profile = target.profile("faulty", _FAULT)
    run = target.run("run", "--target", profile, *CASES, "--json", "results.json")
    assert run.returncode == 1, run.stderr
    update = target.run("baseline", "update", "results.json", "known.toml")
    assert update.returncode == 0, update.stderr
    path = target.directory / "known.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'^reason = ""$', 'reason = "A fault."', text, flags=re.MULTILINE), "utf-8")
    return target
