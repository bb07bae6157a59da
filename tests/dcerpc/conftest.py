"""Fixtures for the tests of the transport."""

from __future__ import annotations

import pytest

from tests.dcerpc.rpc_pair import Pair


@pytest.fixture
def pair() -> Pair:
    """A client and a server in memory that have not bound yet."""
    return Pair()
