"""Fixtures of the transport's tests."""

from __future__ import annotations

import pytest

from tests.dcerpc.rpc_pair import Pair


@pytest.fixture
def pair() -> Pair:
    """Both ends in memory, nothing negotiated yet."""
    return Pair()
