"""The environment variables that let `ctdb` call one of several daemons on a machine.

`CTDB_SOCKET` names the socket of a daemon. From Samba 4.22.6 and 4.23.1 on, `ctdb` ignores it outside CTDB's
test mode, in which a daemon has all its files below one directory (`CTDB_BASE`). Daemons that share a machine
were started in that mode. Source: `ctdb/common/path.c` of Samba.
"""

from __future__ import annotations

import re
from pathlib import PurePath

from swn_torture.control.base import ControllerError


class DaemonChoice:
    """What must come before `ctdb` to call a daemon.

    Args:
        socket: the path of its socket; empty for the only daemon of a machine.

    Attributes:
        socket: as the argument.
    """

    def __init__(self, socket: str) -> None:
        self.socket = socket
        self._test_mode: bool | None = None

    @property
    def is_known(self) -> bool:
        """Whether the release is known, so that `words` is complete."""
        return self._test_mode is not None

    def learn(self, text: str) -> None:
        """Take over the release from what `ctdb version` printed.

        Raises:
            ControllerError: the text has no version.
        """
        found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
        if found is None:
            raise ControllerError(f"`ctdb version` printed no version, but {text.strip()[:100]!r}")
        self._test_mode = needs_test_mode(int(found[1]), int(found[2]), int(found[3] or 0))

    @property
    def words(self) -> tuple[str, ...]:
        """The words before `ctdb`; without `learn` those of an older release."""
        chosen = ("env", f"CTDB_SOCKET={self.socket}")
        if not self._test_mode:
            return chosen
        return (*chosen, "CTDB_TEST_MODE=1", f"CTDB_BASE={PurePath(self.socket).parent}")


def needs_test_mode(major: int, minor: int, patch: int) -> bool:
    """Whether `ctdb` of a release ignores CTDB_SOCKET outside its test mode.

    >>> needs_test_mode(4, 22, 5), needs_test_mode(4, 22, 6), needs_test_mode(4, 23, 0)
    (False, True, False)
    """
    release = (major, minor, patch)
    return release >= (4, 23, 1) or (4, 22, 6) <= release < (4, 23, 0)
