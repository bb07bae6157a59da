"""Samba's test of witness servers, `smbtorture rpc.witness`, passes against the reference.

It is known to pass against Windows. It fails against Samba, which has no ClusAPI. It uses ClusAPI to take
the network name of the cluster offline and online, and checks what AsyncNotify returns. It lists the shares
by the server service on its named pipe. So the cluster here has both services.

The rest of what it asserts is as in MS-SWN 14.0 and as in the reference with default options: a second
UnRegister returns 0x57; a share that does not exist returns 0x139F if there is a scale-out share; empty names
return 0x57, because they are not names of the cluster.

Its time-outs take 231 s for each interface of another node, one after the other. Here the clock of the server
runs faster, and the unused-registration timer is longer than any test.
"""

from __future__ import annotations

import itertools
import re
import shlex
import signal
import subprocess
from typing import TYPE_CHECKING, Literal

import pytest

from swn_torture.commands.serve import command as serve_command
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
from tests.preloaded import program

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.dcerpc.server.interface import ServerCall, ServerInterface
    from swn_torture.stubdata.syntax import SyntaxId
    from tests.instruments.samba_tree import SambaTree

pytestmark = pytest.mark.lab

SCALE = 400.0
"""How much faster the clock of the server runs."""

DEFAULT_OPTIONS = Options(time_scale=SCALE, unused_timeout=60 * SCALE)
SUBTESTS = ["GetInterfaceList", "Register", "UnRegister", "RegisterEx", "AsyncNotify", "AsyncNotify_timeouts"]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> dict[SyntaxId, set[tuple[SyntaxId, int]]]:
    """For each interface, the transfer syntaxes and authentication levels of the calls to the cluster."""
    calls: dict[SyntaxId, set[tuple[SyntaxId, int]]] = {}

    def record_calls_of(kind: type[ServerInterface]) -> None:
        original = kind.call

        def call(self: ServerInterface, call: ServerCall) -> None:
            calls.setdefault(self.syntax, set()).add((call.syntax, call.caller.level))
            original(self, call)

        monkeypatch.setattr(kind, "call", call)

    record_calls_of(WitnessEndpoint)
    record_calls_of(TableInterface)
    return calls


def smbtorture(
    tree: SambaTree,
    directory: Path,
    binding: str,
    options: Options,
    shares: tuple[Share, ...] = DEFAULT_SHARES,
) -> tuple[dict[str, str], str]:
    """Run smbtorture; return the outcome of each subtest by its name, and the output."""
    config = ClusterConfig(clusapi=True, smb_port=0, options=options, shares=shares)
    with EmbeddedCluster(config) as cluster:
        node = cluster.nodes[0]
        done = tree.run(
            "smbtorture",
            f"ncacn_ip_tcp:{node.address}[{','.join(filter(None, (str(node.port), binding)))}]",
            f"--user={config.domain}\\witness%{config.users['witness']}",
            f"--option=torture:net_name={config.net_name}",
            f"--option=smb ports={node.smb_port}",
            "rpc.witness",
            directory=directory,
        )
    output = f"smbtorture ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    outcomes = re.findall(r"^(success|failure|error|skip): witness\.(\w+)", done.stdout, re.MULTILINE)
    return {name: outcome for outcome, name in outcomes}, output


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
    called: dict[SyntaxId, set[tuple[SyntaxId, int]]],
    binding: str,
    level: AuthLevel,
    pipe_level: AuthLevel,
) -> None:
    outcomes, output = smbtorture(tree, tmp_path, binding, DEFAULT_OPTIONS)

    assert outcomes == dict.fromkeys(SUBTESTS, "success"), output
    syntax = NDR64 if "ndr64" in binding else NDR32
    # By default Samba signs over TCP and does not protect the pipe; it always seals ClusAPI.
    assert called == {
        WITNESS: {(syntax, level)},
        CLUSAPI: {(syntax, AuthLevel.PRIVACY)},
        SRVSVC: {(syntax, pipe_level)},
    }


@pytest.mark.parametrize("binding", ["connect", "packet"])
def test_every_subtest_passes_at_lower_levels(tree: SambaTree, tmp_path: Path, binding: str) -> None:
    # By MS-SWN note 4 Windows rejects these levels; another server may accept them (AMB-22).
    options = Options(
        time_scale=SCALE, unused_timeout=DEFAULT_OPTIONS.unused_timeout, minimum_level=AuthLevel.CONNECT
    )

    outcomes, output = smbtorture(tree, tmp_path, binding, options)

    assert outcomes == dict.fromkeys(SUBTESTS, "success"), output


@pytest.mark.parametrize(("unknown_share", "outcome"), [("text", "failure"), ("refuse", "success")])
def test_unknown_share_without_scale_out_shares(
    tree: SambaTree, tmp_path: Path, unknown_share: Literal["text", "refuse"], outcome: str
) -> None:
    # By MS-SWN 3.1.4.5 ShareName is ignored here (AMB-4); smbtorture always expects 0x139F.
    options = Options(
        time_scale=SCALE, unused_timeout=DEFAULT_OPTIONS.unused_timeout, unknown_share=unknown_share
    )

    outcomes, output = smbtorture(tree, tmp_path, "sign", options, (Share("PLAIN", ShareType.CLUSTER_FS),))

    assert outcomes == dict.fromkeys(SUBTESTS, "success") | {"RegisterEx": outcome}, output
    assert ("WERR_OK, expected WERR_INVALID_STATE" in output) == (outcome == "failure"), output


def test_server_of_revision_11_fails_the_second_unregister(tree: SambaTree, tmp_path: Path) -> None:
    options = Options(
        time_scale=SCALE,
        unused_timeout=DEFAULT_OPTIONS.unused_timeout,
        unregister_unknown=Win32.ERROR_NOT_FOUND,
    )

    outcomes, output = smbtorture(tree, tmp_path, "sign", options)

    failing = {"Register", "RegisterEx", "AsyncNotify", "AsyncNotify_timeouts"}
    assert {name for name, outcome in outcomes.items() if outcome == "failure"} == failing, output
    assert outcomes["GetInterfaceList"] == outcomes["UnRegister"] == "success", output
    assert output.count("WERR_NOT_FOUND, expected WERR_INVALID_PARAMETER") >= len(failing), output


def test_example_in_the_help_of_serve_passes(tree: SambaTree, tmp_path: Path) -> None:
    text = re.sub(r"\\\n\s*", "", serve_command.help or "")
    (served,) = re.findall(r"^\s*swn-torture (serve --clusapi .*)$", text, re.MULTILINE)
    (example,) = re.findall(r"^\s*smbtorture (.*)$", text, re.MULTILINE)
    # A shell without job control makes its background processes ignore the signal.
    server = ["env", "--default-signal=INT", *program(), *shlex.split(served)]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            lines = itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), process.stdout)
            address, port = re.findall(r"NODE1 +(\S+) .*witness (\d+)", "".join(lines))[0]
            words = shlex.split(example.replace("ADDRESS", address).replace("PORT", port))
            done = tree.run("smbtorture", *words, directory=tmp_path)
        finally:
            process.send_signal(signal.SIGINT)

    assert set(re.findall(r"^success: witness\.(\w+)", done.stdout, re.MULTILINE)) == set(SUBTESTS), done
