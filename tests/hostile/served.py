"""A reference cluster in a process of its own, to be attacked, without security."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.dcerpc.epm.endpoint_mapper import ept_map
from swn_torture.target import load_profile
from swn_torture.witness.constants import WITNESS
from tests.preloaded import process_of, program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.attacks import Target


@contextmanager
def served(directory: Path) -> Iterator[tuple[Target, int]]:
    """Run the cluster.

    Yields:
        Address and port of the witness server of NODE1, and the process.
    """
    profile = directory / "served.toml"
    options = ("enforce_security=false", "max_registrations=5000", "unused_timeout=3600")
    command = [*program(), "serve", "--log-level", "off"]
    command += ["--write-profile", str(profile)]
    command += [word for option in options for word in ("--option", option)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Ctrl-C"):
                break
        node = load_profile(str(profile)).nodes[0]
        (tower, *_) = asyncio.run(
            ept_map(node.address, WITNESS, port=node.endpoint_mapper_port, timeout=30.0)
        )
        yield (node.address, tower.port), process_of(process.pid)
    finally:
        process.terminate()
        process.communicate()


def memory_of(pid: int) -> float:
    """The resident memory of a process in megabytes."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError(f"the process {pid} has no VmRSS")
