"""The program that starts an instance of a lab, and removes it when no process uses it any more.

    python -m swn_torture.lab.instances.keeper LAB INSTANCE

`swn_torture.lab.instances.use` starts it, and has the rules. SIGTERM ends it; it removes the instance first.
"""

from __future__ import annotations

import signal
import sys

from swn_torture.lab.instances.use import keep


def main(lab: str, instance: str) -> None:
    """Keep an instance of a lab."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    keep(lab, instance)


if __name__ == "__main__":
    main(*sys.argv[1:])
