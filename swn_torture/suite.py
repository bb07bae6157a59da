"""The packages of the suite, and the arguments with which pytest runs it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_AUTOLOAD = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"

#: Plugins of pytest that would change what is shown, or that nothing uses.
_UNUSED = (
    "terminal",
    "cacheprovider",
    "doctest",
    "junitxml",
    "legacypath",
    "pastebin",
    "setuponly",
    "setupplan",
    "stepwise",
    "unittest",
)

#: The packages whose test modules are the suite.
SUITES = ("swn_torture.ndr", "swn_torture.rpc", "swn_torture.cluster")


def suite_arguments(parts: Sequence[str] = SUITES) -> list[str]:
    """The arguments for pytest to run the suite, or these packages and modules of it, and nothing else.

    The pytest set-up of the user must not change a verdict: there is no ini file, no cache and no other
    plugin. There is no ``conftest.py``, either: pytest would load those in the directories ``test*`` where
    the user is. Run pytest inside `without_other_plugins`, too.
    """
    plugins = ("swn_torture.plugin", "xdist.plugin", *(f"no:{each}" for each in _UNUSED))
    load = [word for plugin in plugins for word in ("-p", plugin)]
    isolate = ["-c", os.devnull, f"--rootdir={Path(__file__).parent}", "--noconftest"]
    return ["--pyargs", *parts, *load, *isolate, "--maxschedchunk=1"]


@contextlib.contextmanager
def without_other_plugins() -> Iterator[None]:
    """Let pytest load no plugin of the environment; later runs of this process may load them again."""
    before = os.environ.get(_AUTOLOAD)
    os.environ[_AUTOLOAD] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_AUTOLOAD]
        else:
            os.environ[_AUTOLOAD] = before
