"""The lines that plan the suite in Samba's selftest.

``selftest/selftest.pl`` reads its lists of suites from files or, where the name ends with ``|``, from
commands. A suite that can list its tests has five lines: ``-- TEST-LOADLIST --``, its name, its environment,
the command that lists its tests, and the command that runs them. In the last one ``$LOADLIST`` becomes
``--load-list=FILE``.

Source: ``selftest/selftesthelpers.py`` (``plantestsuite_loadlist``) and ``selftest/selftest.pl``
(``read_testlist``) of Samba.
"""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The name of the suite in Samba's selftest, and the prefix of the ids of its tests there.
SUITE = "swn-torture"

#: The environment. With ``:local`` the tools of the environment use the configuration of its first node.
ENVIRONMENT = "clusteredmember:local"


def plan(arguments: Sequence[str]) -> list[str]:
    """The lines of the plan.

    Args:
        arguments: of ``swn-torture selftest`` when it runs there.
    """
    own = shlex.join([sys.executable, "-m", "swn_torture", "selftest", *arguments])
    python = os.environ.get("PYTHON", "python3")
    source = os.environ.get("SRCDIR", ".")
    ids = f'--prefix="{SUITE}." --suffix="({ENVIRONMENT})"'
    filter_ = f"{python} {source}/selftest/filter-subunit"
    return [
        "-- TEST-LOADLIST --",
        f"{SUITE}({ENVIRONMENT})",
        ENVIRONMENT,
        f"{own} --list | {filter_} --list {ids}",
        f"{own} $LOADLIST 2>&1 | {filter_} --fail-on-empty {ids}",
    ]
