"""A server that is broken at its root is one finding, and does not make every case wait for its deadline."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from typing_extensions import override

from swn_torture.dcerpc.connection import MAX_FRAGMENT
from swn_torture.dcerpc.pdu.bind import Bind
from swn_torture.dcerpc.server.connection import ServerConnection
from swn_torture.harness.live_target import embedded_cluster
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.nodes.parts import Parts, with_parts
from swn_torture.target import load_profile
from tests.plugin.conftest import Directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from swn_torture.dcerpc.pdu.pdus import Pdu
    from swn_torture.dcerpc.security.protection import SecurityEntry
    from swn_torture.dcerpc.server.interface import ServerCall
    from swn_torture.dcerpc.server.request_assembly import AssembledRequest
    from tests.plugin.conftest import Run

LIST = "SWN-3.1.4.1-returns-success"

#: A case about the interface list, cases that need it to register, and cases that call it for another rule.
MODULES = (
    "swn_torture.rpc.methods.test_get_interface_list",
    "swn_torture.rpc.methods.test_register",
    "swn_torture.rpc.calls.test_segmentation",
)
CASES = "list_is_returned or null_name or wrong_version or two_requests or octet_by_octet"


class AnswersNothing(WitnessEndpoint):
    """Binds are accepted, and no call is answered."""

    @override
    def call(self, call: ServerCall) -> None:
        return


class ClosesAtEveryCall(ServerConnection):
    """Binds are accepted, and every request ends the connection."""

    @override
    def _dispatch(self, whole: AssembledRequest, entry: SecurityEntry | None) -> None:
        self.closing = True


class ClosesAtSmallFragments(ServerConnection):
    """A bind that proposes smaller fragments than usual ends the connection."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if isinstance(pdu, Bind) and pdu.max_xmit < MAX_FRAGMENT:
            self.closing = True
        else:
            super().process_pdu(pdu, raw)


class ClosesWithoutAuthentication(ServerConnection):
    """A bind without a token ends the connection."""

    @override
    def process_pdu(self, pdu: Pdu, raw: bytes) -> None:
        if isinstance(pdu, Bind) and pdu.trailer is None:
            self.closing = True
        else:
            super().process_pdu(pdu, raw)


PROFILE = """
schema = "swn-torture-target/1"
name = "broken"
title = "a broken server"
net_name = "{profile.net_name}"

[account]
username = "{profile.account.username}"
password = "{profile.account.password}"
domain = "{profile.account.domain}"

[controller]
kind = "reference"
address = "{cluster.admin_address}"
port = {cluster.admin_port}

[expect]
reply_deadline = 1.0
event_deadline = 1.0
quiet_time = 0.2

[[node]]
name = "{node.name}"
address = "{node.address}"
endpoint_mapper_port = {node.epm_port}
"""


@contextmanager
def serving(part: type, path: Path) -> Iterator[None]:
    """A cluster with one part replaced, and its profile in a file."""
    profile = load_profile("reference")
    cluster = embedded_cluster(profile)
    cluster._parts = with_parts(Parts(), [part])
    with cluster:
        text = PROFILE.format(profile=profile, cluster=cluster, node=cluster.nodes[0])
        path.write_text(text, encoding="utf-8")
        yield


@pytest.fixture(scope="module", params=[AnswersNothing, ClosesAtEveryCall], ids=lambda part: part.__name__)
def ended(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of some modules against the server."""
    directory = Directory(tmp_path_factory.mktemp("broken"))
    profile = directory.path / "broken.toml"
    with serving(request.param, profile):
        return directory.run("-n", "0", "--pyargs", *MODULES, "-k", CASES, "--swn-target", str(profile))


def test_a_bind_with_unusual_sizes_is_a_finding_about_binds(tmp_path: Path) -> None:
    directory, module = Directory(tmp_path), "swn_torture.rpc.calls.test_fragments"
    profile = tmp_path / "broken.toml"
    with serving(ClosesAtSmallFragments, profile):
        sizes = ("-k", "sizes", "--swn-target", str(profile))
        run = directory.run("-n", "0", "--pyargs", module, *sizes)

    failed = [name for name, each in run.results.items() if each["outcome"] == "failed"]
    assert failed == ["rpc.fragments.sizes-are-negotiated[2048-2048]"], run.text
    reasons = {each["reason"] for each in run.results.values() if each["outcome"] == "not-tested"}
    assert reasons == {f"not tested because of RPC-BIND-result-order (see {failed[0]})"}


def test_a_bind_without_an_answer_says_nothing_about_rejected_calls(tmp_path: Path) -> None:
    directory, module = Directory(tmp_path), "swn_torture.rpc.security.test_access"
    profile = tmp_path / "broken.toml"
    with serving(ClosesWithoutAuthentication, profile):
        run = directory.run(
            "-n", "0", "--pyargs", module, "-k", "caller_without_authentication", "--swn-target", str(profile)
        )

    result = run.results["rpc.access.caller-without-authentication[ndr32]"]
    assert result["outcome"] == "passed", result["reason"]
    (denied,) = {c["passed"] for c in result["checks"] if c["requirement"] == "SWN-3.1.4-access-denied"}
    assert denied is None


def test_one_root_is_one_finding(ended: Run) -> None:
    findings = {name for name, each in ended.results.items() if each["outcome"] in {"failed", "deviation"}}

    assert findings == {
        "rpc.get-interface-list.list-is-returned[ndr32]",
        "rpc.get-interface-list.list-is-returned[ndr64]",
    }, ended.text
    assert not [name for name, each in ended.results.items() if each["outcome"] == "error"]


def test_what_needs_a_call_is_not_tested_because_of_it(ended: Run) -> None:
    blocked = [each for each in ended.results.values() if each["because"]]

    assert len(blocked) > 30
    assert {each["because"] for each in blocked} == {LIST}
    assert {each["found_by"] for each in blocked} == {"rpc.get-interface-list.list-is-returned[ndr32]"}
    assert f"{len(blocked)} cases were not tested because of this." in ended.text


def test_not_every_case_waits(ended: Run) -> None:
    waited = [name for name, each in ended.results.items() if each["duration_s"] > 4]
    assert len(waited) < len(ended.results) / 3, waited
