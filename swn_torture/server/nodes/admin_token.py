"""The token of the administration: a secret in a file that only the user who runs the cluster can read.

Any local user can connect to a TCP port of loopback. So the administration carries out only requests that
have the token. A controller of the same user finds the file by address and port; for any other, the profile
has the token.
"""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

_OCTETS: Final = 24


def new_token() -> str:
    """Return a new token: text that needs no quotation marks in a shell."""
    return secrets.token_urlsafe(_OCTETS)


def token_path(address: str, port: int) -> Path:
    """Return the file with the token of the administration at an address and port."""
    return _directory() / f"admin-{address.replace(':', '_')}-{port}.token"


def write_token(address: str, port: int, token: str) -> Path:
    """Write the file, readable for this user only.

    Raises:
        OSError: the directory belongs to somebody else, or the file cannot be written.
    """
    path = token_path(address, port)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise PermissionError(
            f"{path.parent}, which holds the token of the administration, must be a directory of this user "
            "with mode 0700"
        )
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token)
    return path


def read_token(address: str, port: int) -> str | None:
    """Return the token of the administration at an address and port; None without a file of this user."""
    try:
        path = token_path(address, port)
        if path.parent.lstat().st_uid != os.getuid():
            return None
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def remove_token(path: Path) -> None:
    """Remove the file of an administration that has ended."""
    with suppress(OSError):
        path.unlink()


def _directory() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        return Path(runtime) / "swn-torture"
    return Path(tempfile.gettempdir()) / f"swn-torture-{os.getuid()}"
