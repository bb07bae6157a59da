"""Run one target under atheris: python -m tests.fuzz.instrumented TARGET [options of libFuzzer] [folder]."""

from __future__ import annotations

import sys

import atheris

# pyspnego reads the tokens of peers for us.
with atheris.instrument_imports(include=["swn_torture", "spnego"]):
    from tests.fuzz.fuzz_targets import TARGETS


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    name = sys.argv.pop(1)
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
