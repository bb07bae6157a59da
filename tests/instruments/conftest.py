from __future__ import annotations

import os

import pytest

from swn_torture import lab
from swn_torture.lab.base import ensure_base
from tests.instruments.samba_tree import SambaTree


@pytest.fixture(scope="session")
def tree() -> SambaTree:
    """Samba's tools; made first if the cache has none, and a skip where none can be."""
    reason = lab.unavailable()
    if reason is not None:
        if os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return SambaTree(ensure_base("trixie", lambda _: None))
