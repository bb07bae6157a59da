"""The options: their relation to the ambiguities, and their conversion from and to plain values."""

from __future__ import annotations

from typing import Any

import pytest

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.state.clock import FakeClock, scaled
from swn_torture.server.state.options import OptionError, Options
from swn_torture.spec import load_catalogue
from swn_torture.stubdata.win32 import Win32

ELSEWHERE = {
    "AMB-23": "the RPC server's options",
    "AMB-25": "the codec",
    "AMB-46": "the transport: a bind that is longer than any fragment is served",
    **{f"AMB-{number}": "the RPC server, and unusual servers" for number in range(38, 45)},
}


def test_every_ambiguity_is_decided_somewhere() -> None:
    known = set(load_catalogue().ambiguities)
    assert set(Options.fields_by_ambiguity()) | set(ELSEWHERE) == known
    assert not set(Options.fields_by_ambiguity()) & set(ELSEWHERE)


def test_options_round_trip_through_plain_values() -> None:
    options = Options(minimum_level=AuthLevel.PKT, announced_version=0xFFFFFFFF, several_calls="all")
    assert Options.from_mapping(options.to_mapping()) == options


def test_option_names_with_dashes_and_codes_by_name() -> None:
    options = Options.from_mapping(
        {"unregister-unknown": "ERROR_NOT_FOUND", "minimum_level": 4, "time-scale": 100}
    )
    assert (options.unregister_unknown, options.minimum_level) == (Win32.ERROR_NOT_FOUND, AuthLevel.PKT)
    assert options.time_scale == 100.0


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"unregistered": 1}, "unknown option 'unregistered'; known: address_check, "),
        ({"dual_stack": "three"}, "dual_stack must be one of two-entries, one-entry, not 'three'"),
        ({"time_scale": 0}, "time_scale must be greater than 0"),
        ({"time_scale": "fast"}, "time_scale must be of type float"),
        ({"honour_cancel": 1}, "honour_cancel must be of type bool"),
        ({"handle_attributes": True}, "handle_attributes must be of type int"),
        ({"exhausted": "ERROR_NONSENSE"}, "name or value of a Win32"),
        ({"pending_order": "change"}, "pending_order must be a list"),
        ({"pending_order": ["change", "nothing"]}, "pending_order must be one of"),
    ],
)
def test_invalid_option_is_explained(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        Options.from_mapping(settings)


def test_scaled_clock_is_faster_and_starts_at_zero() -> None:
    base = FakeClock(1000.0)
    fast = scaled(100.0, base)
    assert fast() == 0.0
    base.advance(1.5)
    assert fast() == 150.0
    base.advance(0)
    base.advance(0.5)
    assert fast() == 200.0
    with pytest.raises(ValueError, match="a clock cannot go back"):
        base.advance(-1)
