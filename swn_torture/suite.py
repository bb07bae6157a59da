"""The packages of the suite, and the arguments with which pytest runs it."""

from __future__ import annotations

import os
from pathlib import Path

#: The packages whose test modules are the suite.
SUITES = ("swn_torture.ndr", "swn_torture.rpc", "swn_torture.cluster")


def suite_arguments() -> list[str]:
    """The arguments for pytest to run the suite, and nothing else.

    The pytest set-up of the user must not change a verdict: there is no ini file, no cache and no other
    plugin. Set ``PYTEST_DISABLE_PLUGIN_AUTOLOAD`` in the environment, too.
    """
    plugins = ("swn_torture.plugin", "xdist.plugin", "no:terminal", "no:cacheprovider")
    load = [word for plugin in plugins for word in ("-p", plugin)]
    isolate = ["-c", os.devnull, f"--rootdir={Path(__file__).parent}"]
    return ["--pyargs", *SUITES, *load, *isolate, "--maxschedchunk=1"]
