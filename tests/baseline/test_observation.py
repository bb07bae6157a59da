"""Observations: what differs from run to run is left out, and nothing else."""

from __future__ import annotations

import pytest

from swn_torture.baseline.observation import normal, observation, same
from swn_torture.report.model import Check


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("listed as 'SWN6F463E1A309'", "listed as '{client}'"),
        ("moved as swn6f463e1a309.CONTOSO.COM", "moved as {client}.CONTOSO.COM"),
        (r"'S\ud83dWN2600835070'", "'{client}'"),
        (r"'S\ude00\ud83dWN4D2E05D5188'", "'{client}'"),
        ("198.51.100.199 V4|ONLINE (0x9)", "{address 1} V4|ONLINE (0x9)"),
        ("::1 and 127.0.0.1 and ::1", "{address 1} and {address 2} and {address 1}"),
        ("fd53:574e::240 AVAILABLE (0x1)", "{address 1} AVAILABLE (0x1)"),
        ("from 198.51.100.10:49155, call_id 1", "from {address 1}:{port}, call_id 1"),
        ("from [::1]:49155, call_id 1", "from [{address 1}]:{port}, call_id 1"),
        ("handle 460a2101-ef3f-4954-9e8c-955ab40ad0e6/0x1", "handle {uuid}/0x1"),
        ("assoc_group_id 0x0001169C", "assoc_group_id {id}"),
        ("31 00 39 00 38 00 2e 00", "{8 octets}"),
        ("two\n  lines", "two lines"),
        (
            "::1 V6|ONLINE (0xA); 10.0.0.1 V4|ONLINE (0x9); 10.0.0.2 V4|ONLINE (0x9)",
            "{address 1} V4|ONLINE (0x9); {address 2} V4|ONLINE (0x9); {address 3} V6|ONLINE (0xA)",
        ),
        ("V6|ONLINE (0xA), V4|ONLINE (0x9)", "V4|ONLINE (0x9), V6|ONLINE (0xA)"),
        (
            "10.0.0.1 UNAVAILABLE (0xFF), 10.0.0.2 AVAILABLE (0x1)",
            "{address 1} AVAILABLE (0x1), {address 2} UNAVAILABLE (0xFF)",
        ),
        ("198.51.100.10 port 49154: no connection", "{address 1} port {port}: no connection"),
    ],
)
def test_parts_that_differ_from_run_to_run_are_replaced(text: str, expected: str) -> None:
    assert normal(text) == expected
    assert normal(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        "ERROR_NO_MORE_ITEMS (0x103)",
        "fault nca_s_proto_error (0x1C01000B)",
        "NetName SWNCLUSTER",
        "8a885d04-1ceb-11c9-9fe8-08002b104860 v2.0",
        "00000000-0000-0000-0000-000000000000",
        "assoc_group_id 0x0",
        "(MS-RPCE 3.3.1.5, 3.3.3; C706 12.6.4)",
        "not tested because of SWN-3.1.6.4-wake",
        "0.0.0.0 and ::",
        "00 00 00 00 00 00 00 00 00 00 00 00",
        "KeepAliveTimeout 0xFFFFFFFF",
        "16 octets of stub data",
        "UNAVAILABLE (0xFF) AVAILABLE (0x1) UNAVAILABLE (0xFF)",
    ],
)
def test_everything_else_stays(text: str) -> None:
    assert normal(text) == text


def test_note_is_part_of_the_observation() -> None:
    check = Check("SWN-3.1.4.1-empty-list", passed=False, observed="ERROR_SUCCESS (0x0)", note="NDR64")
    assert observation(check) == "ERROR_SUCCESS (0x0) (NDR64)"


@pytest.mark.parametrize(
    ("pinned", "observed", "equal"),
    [
        ("after 30.0 s", "after 32.9 s", True),
        ("after 30.0 s", "after 35.0 s", False),
        ("after 0.1 s", "after 0.9 s", True),
        ("after 5 s", "after 7 s", False),
        ("after 900 ms", "after 0.9 s", True),
        ("ERROR_SUCCESS (0x0) after 2 s", "ERROR_TIMEOUT (0x5B4) after 2 s", False),
        ("2 changes", "3 changes", False),
        (
            "{address 1} UNAVAILABLE (0xFF), * (NDR64)",
            "{address 1} UNAVAILABLE (0xFF), {address 2} (NDR64)",
            True,
        ),
        (
            "{address 1} UNAVAILABLE (0xFF), * (NDR64)",
            "{address 1} UNAVAILABLE (0xFF), {address 2} (NDR32)",
            False,
        ),
        ("198.51.100.1 AVAILABLE", "{address 1} AVAILABLE", True),
        ("[a-z]*", "[a-z]b", True),
        ("[a-z]*", "ab", False),
    ],
)
def test_two_observations_are_compared(pinned: str, observed: str, equal: bool) -> None:
    assert same(pinned, observed) is equal
