"""``swn-torture run`` asks the target before the first case, goes by what it offers, and says what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.casekit.facts import BrokenMethod, TargetFacts
from swn_torture.commands.run import _at_most, _processes
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.parts import Parts
from swn_torture.server.state.options import Options
from swn_torture.target import load_profile
from tests.acceptors import NtlmOnly, SpnegoOnly

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    Command = Callable[..., subprocess.CompletedProcess[str]]
    Text = Callable[..., str]


class Bench:
    """Runs cases against a cluster of this process; keeps the results."""

    def __init__(self, command: Command, text: Text, directory: Path) -> None:
        self._command, self._text, self._directory = command, text, directory
        self.report = directory / "report"

    def run(
        self, cluster: EmbeddedCluster, *arguments: str, changes: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run the cases that the arguments select; ``changes`` are lines at the end of the profile."""
        path = self._directory / "served.toml"
        path.write_text(self._text(cluster) + changes, encoding="utf-8")
        return self._command("run", "--target", str(path), "--report", str(self.report), *arguments)

    @property
    def results(self) -> dict[str, Any]:
        loaded: dict[str, Any] = json.loads((self.report / "results.json").read_text(encoding="utf-8"))
        return loaded

    @property
    def outcomes(self) -> dict[str, str]:
        return {case["id"]: case["outcome"] for case in self.results["cases"]}


@pytest.fixture
def tested(swn_torture: Command, profile_text: Text, tmp_path: Path) -> Bench:
    return Bench(swn_torture, profile_text, tmp_path)


@pytest.fixture
def emptied() -> Iterator[EmbeddedCluster]:
    """A cluster without interfaces."""
    with EmbeddedCluster(ClusterConfig(list_interfaces=False)) as cluster:
        yield cluster


# Services and levels
# ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("acceptor", "offered", "missing"), [(NtlmOnly, "ntlm", "spnego"), (SpnegoOnly, "spnego", "ntlm")]
)
def test_one_service_is_enough(tested: Bench, acceptor: type, offered: str, missing: str) -> None:
    with EmbeddedCluster(parts=Parts(acceptor=acceptor)) as cluster:
        cases = (
            "rpc.authentication.levels",
            "rpc.authentication.services",
            "rpc.register.valid-registration",
        )
        ended = tested.run(cluster, "-n", "2", *(f"--case={case}" for case in cases))

    assert ended.returncode == 0, ended.stderr
    for case, outcome in tested.outcomes.items():
        not_offered = missing in case or "kerberos" in case
        assert outcome == ("not-tested" if not_offered else "passed"), case
    says = f"{offered.upper()} at PKT_INTEGRITY; offered: {offered.upper()}; not offered: {missing.upper()}"
    assert tested.results["target"]["facts"]["authentication"].startswith(says)
    assert f"Authentication: {says}" in ended.stderr
    assert f"Authentication: {says}" in ended.stdout


def test_privacy_may_be_required(tested: Bench) -> None:
    config = ClusterConfig(options=Options.from_mapping({"minimum_level": "PRIVACY"}))
    with EmbeddedCluster(config) as cluster:
        cases = ("rpc.call-ids.answers-carry-the-id", "rpc.register.valid-registration")
        ended = tested.run(cluster, "-n", "2", *(f"--case={case}" for case in cases))

    assert ended.returncode == 0, ended.stderr
    for case, outcome in tested.outcomes.items():
        assert outcome == ("not-tested" if "[integrity]" in case else "passed"), case
    assert tested.results["target"]["facts"]["authentication"].startswith("NTLM at PKT_PRIVACY; ")


# Warnings, and what comes first
# ----------------------------------------------------------------------------------------------------------


def test_contradiction_is_the_first_thing_to_read(tested: Bench, served: EmbeddedCluster) -> None:
    ended = tested.run(served, "-n", "2", "--case=rpc.check-order.every-defect", changes="version = 1\n")

    warning = (
        "Warning: The profile served.toml says version = 1 in [expect], but NODE1 announces version 2 "
        "(0x00020000) in the interface list."
    )
    head = [
        f"Nodes: {served.nodes[0].name} ({served.nodes[0].address})",
        "Authentication: NTLM at PKT_INTEGRITY; offered: NTLM, SPNEGO; not offered: KERBEROS",
        warning,
    ]
    assert ended.stdout.splitlines()[:3] == head
    said = ended.stderr.splitlines()
    first = said[:2]
    assert first == [f"Calling {head[0].removeprefix('Nodes: ')}, before the first case.", "First look:"]
    assert said[said.index(head[0]) :][:3] == head
    assert tested.results["target"]["warnings"] == [warning.removeprefix("Warning: ")]
    page = (tested.report / "index.html").read_text(encoding="utf-8")
    assert page.index("but NODE1 announces version 2") < page.index('class="counts"')


def test_run_in_which_little_is_tested_says_so(tested: Bench, served: EmbeddedCluster) -> None:
    ended = tested.run(served, "-n", "0", "--case=rpc.access.account-without-access")

    assert ended.stdout.splitlines()[-1] == (
        "1 of 1 cases were not tested; the main reason, for 1 of them: the profile has no [second_account]."
    )


# What cannot be used
# ----------------------------------------------------------------------------------------------------------


def test_cluster_without_interfaces_is_not_tested(tested: Bench, emptied: EmbeddedCluster) -> None:
    ended = tested.run(emptied)

    assert ended.returncode == 3
    text = " ".join(ended.stderr.split())
    assert "swn-torture: The cluster has no usable witness interface" in text
    assert "GetInterfaceList of NODE1 lists no interface." in text
    assert "GetInterfaceList no usable answer" in text
    assert " passed " not in ended.stderr
    assert not ended.stdout
    results = tested.results
    assert results["summary"]["verdict"] == "undecided"
    assert not results["run"]["complete"]
    rungs = {rung["rung"]: rung for rung in results["ladder"]["rungs"]}
    assert rungs["reachable"]["verdict"] == "conforms"
    assert rungs["interface-list"]["reason"].startswith("The cluster has no usable witness interface")
    assert "The cluster has no usable witness interface" in (tested.report / "index.html").read_text("utf-8")


def test_report_about_nobody_says_how_far_it_came(tested: Bench) -> None:
    with EmbeddedCluster() as cluster:
        pass
    ended = tested.run(cluster)

    assert ended.returncode == 3
    assert "First look:" in ended.stderr
    assert "  Reachable  no: NODE1 does not answer" in ended.stderr.splitlines()
    (reachable, *others) = tested.results["ladder"]["rungs"]
    assert (reachable["verdict"], reachable["reason"]) == ("not-tested", "No node of the target answers.")
    assert {rung["verdict"] for rung in others} == {"not-run"}
    assert "<span>no: No node of the target answers.</span>" in (tested.report / "index.html").read_text()


def test_wrong_embedded_table_is_a_usage_error(swn_torture: Command, tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    shipped = Path(load_profile("reference").source).read_text(encoding="utf-8")
    path.write_text(shipped.replace("nodes = 3", "nodes = 0"), encoding="utf-8")

    ended = swn_torture("run", "--target", str(path))

    assert ended.returncode == 2
    assert "The [embedded] table of" in ended.stderr
    assert "nodes must be a number from 1 to 250, not 0" in " ".join(ended.stderr.split())


@pytest.mark.parametrize(
    ("asked", "limit", "processes"), [("auto", None, 10), ("auto", 60, 7), ("auto", 3, 1), ("4", 3, 4)]
)
def test_few_registrations_mean_few_processes(asked: str, limit: int | None, processes: int) -> None:
    facts = TargetFacts(registrations=limit)
    assert _processes(asked, load_profile("samba-lab"), facts, None) >= processes
    if limit is not None:
        assert _processes(asked, load_profile("samba-lab"), facts, None) == processes


def test_without_waits_a_few_processes_suffice() -> None:
    lab = load_profile("samba-lab")
    broken = TargetFacts(broken=(BrokenMethod(1, "SWN-3.1.4-opnum-1", "fault"),))
    few = _processes("auto", lab, broken, None)
    assert few == _processes("auto", lab, TargetFacts(), "register")
    assert (
        few
        < _processes("auto", lab, TargetFacts(), "async-notify")
        == _processes("auto", lab, TargetFacts(), None)
    )


def test_no_more_processes_than_cases() -> None:
    one, two = ("rpc.check-order.every-defect[register]",), ("rpc.check-order.every-defect",)

    assert [_at_most("auto", cases) for cases in (one, two, (*one, *two))] == [1, 2, 2]
    assert _at_most("auto", ()) > 1000
    assert _at_most("4", one) > 1000


def test_a_part_of_the_suite_has_fewer_processes_than_all_of_it() -> None:
    reference = load_profile("reference")
    facts = TargetFacts()

    all_of_it = _processes("auto", reference, facts, None)
    assert all_of_it > _processes("auto", reference, facts, "register")
    assert all_of_it > _processes("auto", reference, facts, None, selected=True)
