"""Cases with several wrong parameters: which there are, and that they blame an order for nothing else."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_address
from typing import TYPE_CHECKING

import pytest

from swn_torture.casekit.steps.registering import REGISTER, REGISTER_EX, Method
from swn_torture.rpc.association.test_endpoint_addresses import Place
from swn_torture.rpc.methods.test_check_order import DEFECTS, PAIRS, TRIPLES, every_defect
from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path

CASES = "rpc.check-order.two-defects"


@pytest.mark.parametrize(("method", "count"), [(REGISTER, 13), (REGISTER_EX, 19)], ids=str)
def test_every_pair_of_two_parameters_is_sent(method: Method, count: int) -> None:
    possible = [defect for defect in DEFECTS if method in defect.methods]
    wanted = {
        (a, b)
        for a in possible
        for b in possible
        if a.field != b.field and DEFECTS.index(a) < DEFECTS.index(b)
    }

    pairs = [pair for each, pair in PAIRS if each is method]

    assert len(pairs) == len(wanted) == count
    assert set(pairs) == wanted


def test_triples_have_three_errors_to_return() -> None:
    assert [len([t for each, t in TRIPLES if each is method]) for method in (REGISTER, REGISTER_EX)] == [3, 7]
    assert all(len({defect.code for defect in triple}) == 3 for _, triple in TRIPLES)


def test_every_parameter_can_be_wrong() -> None:
    assert [defect.field for defect in every_defect(REGISTER)] == [
        "version",
        "net_name",
        "ip_address",
        "client_computer_name",
    ]
    assert "share_name" in {defect.field for defect in every_defect(REGISTER_EX)}


@pytest.mark.parametrize(
    ("fault", "method", "untested"),
    [
        ("null-client-name-taken", "register", {"null-clientcomputername-unknown-ipaddress"}),
        ("any-net-name-taken", "register", {"foreign-netname-unknown-ipaddress"}),
        (
            "null-address-invalid-state",
            "register",
            {
                "null-netname-null-ipaddress",
                "null-ipaddress-null-clientcomputername",
                "null-ipaddress-foreign-netname",
            },
        ),
        ("unknown-share-taken", "register-ex", {"unknown-sharename-unknown-ipaddress"}),
    ],
)
def test_wrong_check_of_one_parameter_is_no_wrong_order(
    tmp_path: Path, fault: str, method: str, untested: set[str]
) -> None:
    results = tmp_path / "results.json"
    cases = [f"{CASES}[ndr32-{each}-{'-'.join(d.slug.lower() for d in pair)}]" for each, pair in PAIRS]
    options = [f"--case={case}" for case in cases if f"[ndr32-{method}-" in case]
    options = [each for each in options if method == "register-ex" or "register-ex" not in each]

    subprocess.run(
        [*program(), "run", "-n", "0", "--fault", fault, *options, "--json", results],
        check=False,
        capture_output=True,
        timeout=400,
    )

    outcomes = {c["id"]: c["outcome"] for c in json.loads(results.read_text("utf-8"))["cases"]}
    assert len(outcomes) == len(options)
    assert {case for case, outcome in outcomes.items() if outcome != "passed"} == {
        f"{CASES}[ndr32-{method}-{pair}]" for pair in untested
    }
    assert set(outcomes.values()) == {"passed", "not-tested"}


def test_address_of_another_node_needs_the_profile_or_both_lists() -> None:
    named, shared, unknown = map(ip_address, ("192.0.2.2", "192.0.2.7", "192.0.2.8"))
    asked = Place(0, {ip_address("192.0.2.1"), shared}, {named, unknown})
    other = Place(1, {named, shared})

    assert asked.foreign([other]) == {named}
