"""The suite as pytest is asked to run it."""

from __future__ import annotations

import os
from pathlib import Path

#: The packages whose test modules are the suite.
SUITES = ("swn_torture.ndr", "swn_torture.rpc", "swn_torture.cluster")


def suite_arguments() -> list[str]:
    """What pytest has to be told to run the suite and nothing else, with no plugin loaded by itself.

    Nothing of a user's own pytest set-up may change a verdict: no ini file, no cache, no plugins but ours.
    """
    plugins = ("swn_torture.plugin", "xdist.plugin", "no:terminal", "no:cacheprovider")
    loading = [word for plugin in plugins for word in ("-p", plugin)]
    where = ["-c", os.devnull, f"--rootdir={Path(__file__).parent}"]
    return ["--pyargs", *SUITES, *loading, *where, "--maxschedchunk=1"]
