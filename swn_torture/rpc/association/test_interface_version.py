"""Interface versions that a client can bind to (C706 6.1.2, 12.6.3.1)."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit import case
from swn_torture.casekit.protocol import NDR32, WITNESS
from swn_torture.casekit.steps.octets import BindOutcome, contexts, outcome_of_bind
from swn_torture.casekit.transport import ContextResult, ProviderReason, ResultCode

if TYPE_CHECKING:
    from swn_torture.casekit import Spec
    from swn_torture.casekit.witness import Witness

_REJECTED = (ResultCode.PROVIDER_REJECTION, ProviderReason.ABSTRACT_SYNTAX_NOT_SUPPORTED)


async def _bind(witness: Witness, major: int, minor: int) -> BindOutcome:
    version = dataclasses.replace(WITNESS, major=major, minor=minor)
    rpc = await witness.rpc()
    return await outcome_of_bind(rpc.bind(contexts(NDR32, abstract=version), **witness.logon()))


@case("RPC-IF-major-mismatch")
@pytest.mark.parametrize(("major", "minor"), [(0, 1), (2, 1), (0xFFFF, 1)], ids=["0.1", "2.1", "65535.1"])
async def test_other_major_version(witness: Witness, spec: Spec, major: int, minor: int) -> None:
    """A bind to witness with another major version is rejected: abstract_syntax_not_supported (1)."""
    bound = await _bind(witness, major, minor)

    spec("RPC-IF-major-mismatch").holds(
        bound.codes == (_REJECTED,), expected=str(ContextResult(*_REJECTED)), observed=bound
    )


@case("RPC-IF-minor-higher")
@pytest.mark.parametrize("minor", [2, 0xFFFF], ids=["1.2", "1.65535"])
async def test_higher_minor_version(witness: Witness, spec: Spec, minor: int) -> None:
    """A bind to witness with a higher minor version is rejected: abstract_syntax_not_supported (1)."""
    bound = await _bind(witness, 1, minor)

    spec("RPC-IF-minor-higher").holds(
        bound.codes == (_REJECTED,), expected=str(ContextResult(*_REJECTED)), observed=bound
    )


@case("RPC-IF-minor-lower")
async def test_lower_minor_version(witness: Witness, spec: Spec) -> None:
    """Binds to witness version 1.1 and version 1.0 are both accepted."""
    same, lower = await _bind(witness, 1, 1), await _bind(witness, 1, 0)

    spec.choice("AMB-23", f"version 1.1: {same}; version 1.0: {lower}")
    for version, bound in (("1.1", same), ("1.0", lower)):
        spec("RPC-IF-minor-lower").holds(
            bound.accepted == (0,),
            expected=str(ContextResult(ResultCode.ACCEPTANCE)),
            observed=bound,
            note=f"interface version {version}",
        )
