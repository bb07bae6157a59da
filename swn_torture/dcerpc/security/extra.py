"""Whether Kerberos is installed: the optional extra."""

from __future__ import annotations

import importlib.util

from swn_torture.dcerpc.errors import AuthenticationError


def kerberos_missing() -> str:
    """How to install Kerberos; empty if it is installed."""
    if importlib.util.find_spec("gssapi") is not None and importlib.util.find_spec("krb5") is not None:
        return ""
    return (
        "Kerberos (0x10) needs the optional extra: pip install 'swn-torture[kerberos]'. "
        "It builds gssapi and krb5, so it needs a compiler and the Kerberos headers (Debian: apt install gcc "
        "python3-dev libkrb5-dev)."
    )


def require_kerberos() -> None:
    """Check that Kerberos is installed.

    Raises:
        AuthenticationError: it is not; the text says how to install it.
    """
    missing = kerberos_missing()
    if missing:
        raise AuthenticationError(missing)
