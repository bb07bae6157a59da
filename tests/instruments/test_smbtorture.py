"""Samba's own test of witness servers, `smbtorture rpc.witness`, passes against the reference.

It is known to pass against Windows, and to fail against Samba, which has no ClusAPI: it takes the network
name of the cluster offline and online by that protocol to see what AsyncNotify tells, and lists shares by the
server service on its named pipe. So the cluster here serves both. What it asserts beside witness is how
MS-SWN 14.0 reads, and the reference at its defaults: a second UnRegister is refused with 0x57, a share that
does not exist with 0x139F where there is a scale-out share, and empty names with 0x57, for they are not the
cluster's.

Its time-outs take 231 s for each interface of another node, one after the other. Here they are seconds of the
protocol's clock, which runs faster; and registrations go unused for longer than any test takes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import pytest

from swn_torture.dcerpc.security.levels import AuthLevel
from swn_torture.server.companions.clusapi.messages import CLUSAPI
from swn_torture.server.companions.dispatch import TableInterface
from swn_torture.server.companions.srvsvc.messages import SRVSVC
from swn_torture.server.config import DEFAULT_SHARES, ClusterConfig
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.server.nodes.endpoint import WitnessEndpoint
from swn_torture.server.state.options import Options
from swn_torture.server.state.shares import Share, ShareType
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.stubdata.win32 import Win32
from swn_torture.witness.constants import WITNESS

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.dcerpc.server.interface import ServerCall, ServerInterface
    from swn_torture.stubdata.syntax import SyntaxId
    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab

SCALE = 400.0
PATIENT = Options(time_scale=SCALE, unused_timeout=60 * SCALE)
SUBTESTS = ["GetInterfaceList", "Register", "UnRegister", "RegisterEx", "AsyncNotify", "AsyncNotify_timeouts"]


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> dict[SyntaxId, set[tuple[SyntaxId, int]]]:
    """For each interface the transfer syntaxes and levels by which the cluster is called."""
    calls: dict[SyntaxId, set[tuple[SyntaxId, int]]] = {}

    def listening(kind: type[ServerInterface]) -> None:
        answer = kind.call

        def call(self: ServerInterface, call: ServerCall) -> None:
            calls.setdefault(self.syntax, set()).add((call.syntax, call.caller.level))
            answer(self, call)

        monkeypatch.setattr(kind, "call", call)

    listening(WitnessEndpoint)
    listening(TableInterface)
    return calls


def smbtorture(
    tree: SambaTree, ours: Path, binding: str, options: Options, shares: tuple[Share, ...] = DEFAULT_SHARES
) -> tuple[dict[str, str], str]:
    """The outcome of each subtest by name, as smbtorture tells it, and all it said."""
    config = ClusterConfig(clusapi=True, smb_port=0, options=options, shares=shares)
    with EmbeddedCluster(config) as cluster:
        node = cluster.nodes[0]
        notified = tree.run(
            "smbtorture",
            f"ncacn_ip_tcp:{node.address}[{','.join(filter(None, (str(node.port), binding)))}]",
            f"--user={config.domain}\\witness%{config.users['witness']}",
            f"--option=torture:net_name={config.net_name}",
            f"--option=smb ports={node.smb_port}",
            "rpc.witness",
            ours=ours,
        )
    said = f"smbtorture ended with {notified.returncode}\n{notified.stdout}\n{notified.stderr}"
    outcomes = re.findall(r"^(success|failure|error|skip): witness\.(\w+)", notified.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in outcomes}, said


@pytest.mark.parametrize(
    ("binding", "level", "pipe_level"),
    [
        ("", AuthLevel.INTEGRITY, AuthLevel.NONE),
        ("sign", AuthLevel.INTEGRITY, AuthLevel.INTEGRITY),
        ("seal", AuthLevel.PRIVACY, AuthLevel.PRIVACY),
        ("spnego,sign", AuthLevel.INTEGRITY, AuthLevel.INTEGRITY),
        ("spnego,seal", AuthLevel.PRIVACY, AuthLevel.PRIVACY),
        ("bigendian,sign", AuthLevel.INTEGRITY, AuthLevel.INTEGRITY),
        ("ndr64", AuthLevel.INTEGRITY, AuthLevel.NONE),
        ("sign,ndr64", AuthLevel.INTEGRITY, AuthLevel.INTEGRITY),
        ("seal,ndr64", AuthLevel.PRIVACY, AuthLevel.PRIVACY),
        ("spnego,sign,ndr64", AuthLevel.INTEGRITY, AuthLevel.INTEGRITY),
        ("spnego,seal,ndr64", AuthLevel.PRIVACY, AuthLevel.PRIVACY),
    ],
    ids=lambda value: value or "plain" if isinstance(value, str) else "",
)
def test_every_subtest_passes(
    tree: SambaTree,
    tmp_path: Path,
    waited: dict[SyntaxId, set[tuple[SyntaxId, int]]],
    binding: str,
    level: AuthLevel,
    pipe_level: AuthLevel,
) -> None:
    outcomes, said = smbtorture(tree, tmp_path, binding, PATIENT)

    assert outcomes == dict.fromkeys(SUBTESTS, "success"), said
    syntax = NDR64 if "ndr64" in binding else NDR32
    # Without a word about it Samba signs over TCP, and leaves the pipe to SMB; ClusAPI it always seals.
    assert waited == {
        WITNESS: {(syntax, level)},
        CLUSAPI: {(syntax, AuthLevel.PRIVACY)},
        SRVSVC: {(syntax, pipe_level)},
    }


@pytest.mark.parametrize("binding", ["connect", "packet"])
def test_lower_levels_pass_where_the_server_asks_for_no_more(
    tree: SambaTree, tmp_path: Path, binding: str
) -> None:
    # MS-SWN note 4 refuses them; AMB-22 leaves a server free to.
    options = Options(
        time_scale=SCALE, unused_timeout=PATIENT.unused_timeout, minimum_level=AuthLevel.CONNECT
    )

    outcomes, said = smbtorture(tree, tmp_path, binding, options)

    assert outcomes == dict.fromkeys(SUBTESTS, "success"), said


@pytest.mark.parametrize(("unknown_share", "outcome"), [("text", "failure"), ("refuse", "success")])
def test_without_a_scale_out_share_an_unknown_one_is_refused_by_option_only(
    tree: SambaTree, tmp_path: Path, unknown_share: Literal["text", "refuse"], outcome: str
) -> None:
    # MS-SWN 3.1.4.5 has ShareName ignored there (AMB-4); smbtorture wants 0x139F whatever the shares are.
    options = Options(time_scale=SCALE, unused_timeout=PATIENT.unused_timeout, unknown_share=unknown_share)

    outcomes, said = smbtorture(tree, tmp_path, "sign", options, (Share("PLAIN", ShareType.CLUSTER_FS),))

    assert outcomes == dict.fromkeys(SUBTESTS, "success") | {"RegisterEx": outcome}, said
    assert ("WERR_OK, expected WERR_INVALID_STATE" in said) == (outcome == "failure"), said


def test_a_server_of_revision_11_fails_wherever_it_unregisters_twice(tree: SambaTree, tmp_path: Path) -> None:
    options = Options(
        time_scale=SCALE,
        unused_timeout=PATIENT.unused_timeout,
        unregister_unknown=Win32.ERROR_NOT_FOUND,
    )

    outcomes, said = smbtorture(tree, tmp_path, "sign", options)

    failing = {"Register", "RegisterEx", "AsyncNotify", "AsyncNotify_timeouts"}
    assert {name for name, outcome in outcomes.items() if outcome == "failure"} == failing, said
    assert outcomes["GetInterfaceList"] == outcomes["UnRegister"] == "success", said
    assert said.count("WERR_NOT_FOUND, expected WERR_INVALID_PARAMETER") >= len(failing), said
