"""Run one target under atheris: python -m tests.fuzz.instrumented TARGET [options of libFuzzer] [folder]."""

from __future__ import annotations

import sys

import atheris

# pyspnego reads the tokens of peers for us.
with atheris.instrument_imports(include=["swn_torture", "spnego"]):
    from tests.fuzz.fuzz_targets import TARGETS, inputs_of

    NAME = sys.argv.pop(1)
    for octets in inputs_of(NAME):
        TARGETS[NAME](octets)  # so that what is imported when it is needed is instrumented, too


def main() -> None:
    """Fuzz until libFuzzer ends the process."""
    atheris.Setup(sys.argv, TARGETS[NAME])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
