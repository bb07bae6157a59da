"""The Samba of the lab's base tree, for all tests in this directory."""

from __future__ import annotations

import os

import pytest

from swn_torture import lab
from swn_torture.lab.base import ensure_base
from tests.instruments.samba_tree import SambaTree


@pytest.fixture(scope="session")
def tree() -> SambaTree:
    """The tree with Samba's tools. It is made if the cache has none; without root the tests are skipped."""
    reason = lab.unavailable_reason()
    if reason is not None:
        if os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return SambaTree(ensure_base("trixie", lambda _: None))
