"""The realm of the tests in this directory, and the environment that its library needs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.instruments.conftest import tree  # noqa: F401 - the Samba of the lab's base tree
from tests.kerberos.realm import missing, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kerberos.realm import Realm


@pytest.fixture(scope="session")
def one_realm() -> Iterator[Realm]:
    """The realm of this session. Without the extra or a KDC the tests are skipped, or fail if required."""
    reason = missing()
    if reason and os.environ.get("SWN_TORTURE_REQUIRE_KERBEROS") == "1":
        pytest.fail(f"SWN_TORTURE_REQUIRE_KERBEROS=1, but {reason}")
    if reason:
        pytest.skip(reason)
    yield from running()


@pytest.fixture
def realm(one_realm: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """The realm, with an environment of this test."""
    monkeypatch.setenv("KRB5_CONFIG", os.environ.get("KRB5_CONFIG", ""))
    monkeypatch.delenv("KRB5_CONFIG")
    monkeypatch.setenv("KRB5RCACHEDIR", str(one_realm.directory))  # the replay caches of the cluster
    return one_realm
