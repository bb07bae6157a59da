"""The ClientComputerNames that the suite makes."""

from __future__ import annotations

from swn_torture.baseline.observation import normal
from swn_torture.casekit.checks import Spec
from swn_torture.casekit.witness import Witness
from swn_torture.target import load_profile


def test_names_differ_and_have_one_length() -> None:
    """A stub that holds one has the same size in each run. A NetBIOS name has 15 characters at most."""
    witness = Witness(load_profile("reference"), Spec("names.test", ()))
    names = [witness.client_name() for _ in range(1200)]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {14}
    assert normal(f"registered as {names[0]}") == normal(f"registered as {names[-1]}")
