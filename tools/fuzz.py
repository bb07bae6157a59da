"""Fuzz what reads input of others, guided by coverage (atheris), and keep the inputs that reach new code.

    python tools/fuzz.py                         every target, 60 seconds each
    python tools/fuzz.py pdu tokens --seconds 600
    python tools/fuzz.py --list                  the targets, and how many inputs are kept of each

The kept inputs are in tests/fuzz/corpora; `make test` runs them, and changed copies, in seconds. A crash is
printed as a line that belongs into the corpus of its target, so that it does not come back. Exit code 0: no
crash, 1: one was found, 2: the command line is wrong, or atheris is not installed (`make fuzz` installs it).
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fuzz.fuzz_targets import TARGETS, corpus_file, inputs_of  # noqa: E402 - the tests are no package on the path
from tests.fuzz.seeds import seeds  # noqa: E402

_LARGEST = 2048
"""Octets of the largest input that is kept. Shorter ones show the same."""
_MOST = 200
"""Inputs that are kept of a target."""


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--seconds", type=int, default=60, metavar="N", help="for each target (default: 60)")
    parser.add_argument("--list", action="store_true", help="print the targets")
    chosen = parser.parse_args()
    unknown = [name for name in chosen.targets if name not in TARGETS]
    if unknown:
        parser.error(f"unknown target {', '.join(unknown)}; known: {', '.join(TARGETS)}")
    if chosen.list:
        for name in TARGETS:
            print(
                f"{name:20} {len(inputs_of(name)):4} inputs  {(TARGETS[name].__doc__ or '').splitlines()[0]}"
            )
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed; `make fuzz` installs it first.", file=sys.stderr)
        return 2
    crashes = sum(not fuzz(name, chosen.seconds) for name in chosen.targets or TARGETS)
    return 1 if crashes else 0


def fuzz(name: str, seconds: int) -> bool:
    """Fuzz a target and keep what reaches new code; returns whether nothing was found."""
    print(f"{name}: {seconds} s", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        corpus, crashes = place / "corpus", place / "crashes"
        corpus.mkdir()
        crashes.mkdir()
        for number, octets in enumerate(inputs_of(name)):
            (corpus / f"{number:06}").write_bytes(octets)
        log = _atheris(
            name, f"-max_total_time={seconds}", f"-artifact_prefix={crashes}/", "-timeout=20", str(corpus)
        )
        executions = re.findall(r"^#(\d+)\s", log, re.MULTILINE)
        coverage = re.findall(r"cov: (\d+)", log)
        found = sorted(crashes.iterdir())
        print(
            f"  {executions[-1] if executions else 0} executions, {coverage[-1] if coverage else 0} branches"
        )
        if not found:
            print(f"  {_keep(name, corpus)} inputs are kept")
            return True
        for crash in found:
            print(f"  {crash.name.partition('-')[0]}: {crash.read_bytes().hex()}")
        print(log[-3000:])
        return False


def _atheris(name: str, *options: str) -> str:
    """Run a target under atheris, and return what it prints."""
    command = [sys.executable, "-m", "tests.fuzz.instrumented", name, *options]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    return done.stdout + done.stderr


def _keep(name: str, corpus: Path) -> int:
    """Write the corpus of a target from the inputs that reached new code; returns how many are kept."""
    known = set(seeds()[name])
    inputs = sorted(
        (file.read_bytes() for file in corpus.iterdir()), key=lambda octets: (len(octets), octets)
    )
    kept = [octets for octets in inputs if octets not in known and 0 < len(octets) <= _LARGEST][:_MOST]
    corpus_file(name).write_text("".join(f"{octets.hex()}\n" for octets in kept), encoding="ascii")
    return len(kept)


if __name__ == "__main__":
    sys.exit(main())
