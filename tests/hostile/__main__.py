"""Prints what each attack on the reference costs: ``python -m tests.hostile``, in the root of the project."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.hostile.attacks import ATTACKS
from tests.hostile.measuring import measure


def main() -> None:
    """Print one line for each attack."""
    sys.stdout.write(
        f"{'attack':<20} {'memory':>9} {'others: calls':>14} {'slowest':>9} {'attack takes':>13}\n"
    )
    for attack in ATTACKS:
        with tempfile.TemporaryDirectory() as directory:
            found = measure(attack, Path(directory))
        sys.stdout.write(
            f"{attack.__name__:<20} {found.megabytes:>6.1f} MB {found.calls:>14} {found.delay:>7.2f} s "
            f"{found.seconds:>11.1f} s\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
