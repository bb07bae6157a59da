"""How a case ends when its exchange does not go on: the right rule is blamed, or the case is not tested."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.conftest import Directory

if TYPE_CHECKING:
    from tests.plugin.conftest import Run

#: Cases about one rule, whose exchanges end in errors that have nothing to do with it.
CASES = '''
from swn_torture.casekit import case, returns
from swn_torture.casekit.known import KnownAnswers
from swn_torture.control.base import ControllerError, NotRegistered
from swn_torture.dcerpc.client.client import RpcClient
from swn_torture.dcerpc.errors import DeadlineExceeded, Fault, RemoteProtocolError

RULE = "SWN-3.1.4.2-null-netname"
bind = RpcClient.bind

def unanswered(times):
    """Binds with this fragment size are not answered so many times; every other bind is."""
    async def unanswered_bind(self, *arguments, **options):
        nonlocal times
        if options.get("max_xmit") == 4000 and times:
            times -= 1
            raise DeadlineExceeded("bind 1: no answer in 10 s")
        return await bind(self, *arguments, **options)
    return unanswered_bind

def rejected(account):
    """Binds with this account are rejected; every other bind is accepted."""
    async def rejected_bind(self, *arguments, **options):
        if options.get("credentials") == account:
            raise Fault(5)
        return await bind(self, *arguments, **options)
    return rejected_bind

@case(RULE)
async def test_pdu(spec):
    """Receive a PDU with wrong padding."""
    raise RemoteProtocolError("16 octets of padding", field="sec_trailer.auth_pad_length")

@case(RULE)
async def test_fault(spec):
    """Receive a fault that the case does not expect."""
    raise Fault(5)

@case(RULE)
async def test_unread(witness, spec):
    """Register, but the response cannot be read."""
    client = await witness.connect()
    client.syntax = witness.syntax
    start = client.start
    def start_list(request, **options):
        call = start(request, **options)
        call.request = type("Unlike", (), {"opnum": 0})
        return call
    client.start = start_list
    await witness.register(client)

@case(RULE)
async def test_bind_once(witness, monkeypatch):
    """Bind, without an answer; the next bind has one."""
    monkeypatch.setattr(RpcClient, "bind", unanswered(1))
    await witness.connect(max_xmit=4000)

@case(RULE)
async def test_bind_twice(witness, monkeypatch):
    """Bind, without an answer; the next bind has none either."""
    monkeypatch.setattr(RpcClient, "bind", unanswered(2))
    await witness.connect(max_xmit=4000)

@case(RULE)
async def test_bind_again_later(witness, monkeypatch):
    """Bind, without an answer, some time after earlier cases waited in vain."""
    rule, node, witness.known = "RPC-BIND-result-order", witness.nodes[0].name, KnownAnswers()
    for earlier in ("a", "b"):
        witness.known.add_silence(rule, node, earlier)
    witness.known._tried[rule, node] -= 60
    monkeypatch.setattr(RpcClient, "bind", unanswered(9))
    await witness.connect(max_xmit=4000)

@case(RULE)
async def test_account(witness, monkeypatch):
    """Log on; the server rejects the logon."""
    monkeypatch.setattr(RpcClient, "bind", rejected(witness.credentials))
    await witness.connect()

@case(RULE)
async def test_second_account(witness, monkeypatch):
    """Log on with the second account; the server rejects the logon."""
    monkeypatch.setattr(RpcClient, "bind", rejected(witness.second_credentials))
    await witness.connect(credentials=witness.second_credentials)

@case(RULE)
async def test_found_before(witness, spec, monkeypatch):
    """Find a violation; then the first bind is not answered, and the next one is."""
    spec(RULE).allows(returns(0), returns(0x57))
    monkeypatch.setattr(RpcClient, "bind", unanswered(1))
    await witness.connect(max_xmit=4000)

@case("RPC-BIND-result-order")
async def test_bind_about(witness, monkeypatch):
    """Bind, without an answer, in a case about binds."""
    monkeypatch.setattr(RpcClient, "bind", unanswered(9))
    await witness.connect(max_xmit=4000)

@case(RULE)
async def test_survival(witness, spec, monkeypatch):
    """Check that the server still serves others; it does not answer the first bind."""
    async def first_unanswered(self, *arguments, **options):
        monkeypatch.undo()
        raise DeadlineExceeded("bind 1: no answer in 10 s")
    spec(RULE).allows(returns(0x57), returns(0x57))
    monkeypatch.setattr(RpcClient, "bind", first_unanswered)
    await witness.check_still_serving(spec, RULE)

@case(RULE)
async def test_not_registered(witness):
    """Move a client whose registration the cluster does not list."""
    raise NotRegistered("the cluster lists no registration of the client X")

@case(RULE)
async def test_controller(witness):
    """Move a client; the controller fails."""
    raise ControllerError("no registration matches, but the cluster lists X")

@case(RULE)
async def test_waited(witness, spec):
    """Register where earlier cases waited in vain."""
    for earlier in ("a", "b"):
        witness.known.add_silence("SWN-3.1.4.2-returns-success", witness.nodes[0].name, earlier)
    await witness.register(await witness.connect())

@case("SWN-3.1.4.2-returns-success")
async def test_about(witness, spec):
    """Register where earlier cases waited in vain, in a case about that."""
    for earlier in ("a", "b"):
        witness.known.add_silence("SWN-3.1.4.2-returns-success", witness.nodes[0].name, earlier)
    await witness.register(await witness.connect())
    spec("SWN-3.1.4.2-returns-success").allows(returns(0), returns(0))
'''


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Run:
    directory = Directory(tmp_path_factory.mktemp("ends"))
    directory.write("test_ends", CASES)
    return directory.run("-n", "0")


#: By test: its outcome in the results, the requirement of its only failed check, and a part of its reason.
ENDINGS = {
    "pdu": ("failed", "RPC-AUTH-padding", "auth_pad_length"),
    "fault": ("not-tested", "", "before the case could check anything more: fault ERROR_ACCESS_DENIED"),
    "unread": ("failed", "SWN-2.2.2-others-ndr", "encoded by NDR rules"),
    "bind-once": ("not-tested", "", "did not complete a bind (bind 1: no answer in 10 s), but completed"),
    "bind-twice": ("not-tested", "RPC-BIND-result-order", "because of RPC-BIND-result-order (see own.ends"),
    "bind-again-later": ("not-tested", "RPC-BIND-result-order", "because of RPC-BIND-result-order"),
    "account": ("failed", "RPC-AUTH-three-leg", "completes by auth3 or alter_context"),
    "second-account": ("not-tested", "", "rejects the bind: fault ERROR_ACCESS_DENIED"),
    "bind-about": ("failed", "RPC-BIND-result-order", "one result for each proposed context"),
    "survival": ("not-tested", "", "the server did not answer a bind"),
    "not-registered": ("not-tested", "", "the cluster lists no registration of the client X"),
    "controller": ("error", "", "the controller failed: no registration matches, but the cluster lists X"),
    "waited": ("not-tested", "", "gave no answer to a and b"),
    "about": ("passed", "", ""),
}


def test_case_with_a_finding_is_not_skipped(ended: Run) -> None:
    result = ended.results["own.ends.found-before"]
    failed = [check["requirement"] for check in result["checks"] if check["passed"] is False]
    assert (result["outcome"], failed) == ("failed", ["SWN-3.1.4.2-null-netname"])


@pytest.mark.parametrize("name", ENDINGS)
def test_case_blames_only_what_it_saw(ended: Run, name: str) -> None:
    outcome, requirement, reason = ENDINGS[name]
    result = ended.results[f"own.ends.{name}"]

    failed = [check["requirement"] for check in result["checks"] if check["passed"] is False]
    assert (result["outcome"], failed) == (outcome, [requirement] if requirement else []), result["reason"]
    assert reason in result["reason"]
    assert "SWN-3.1.4.2-null-netname" not in failed


def test_case_that_did_not_wait_names_the_requirement(ended: Run) -> None:
    waited = ended.results["own.ends.waited"]
    assert (waited["because"], waited["checks"]) == ("SWN-3.1.4.2-returns-success", [])
    assert waited["duration_s"] < 5
