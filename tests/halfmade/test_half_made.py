"""Half-made servers: each differs from the reference; few findings and a small page say why."""

from __future__ import annotations

import datetime as dt
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from swn_torture.commands.serve import command as serve_command
from swn_torture.halfmade.gallery import Seen, see
from swn_torture.halfmade.library import AREAS, UnknownHalfMade, find_half_made, load_half_made
from swn_torture.halfmade.page import page, says, stops_at
from swn_torture.halfmade.servers.encodings import SERVERS as ENCODINGS
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.parts import Parts
from swn_torture.stubdata.syntax import NDR32, NDR64
from swn_torture.witness.codec import encode
from swn_torture.witness.messages import (
    AsyncNotifyResponse,
    ContextHandle,
    GetInterfaceListResponse,
    InterfaceInfo,
    InterfaceList,
    RegisterResponse,
    RespAsyncNotify,
    UnRegisterResponse,
)
from tests.examples import one_in
from tests.preloaded import python

if TYPE_CHECKING:
    from pathlib import Path

    from swn_torture.stubdata.syntax import SyntaxId
    from swn_torture.witness.messages import AnyResponse

#: Servers that CI runs, with the requirements that may be violated: no more than the defect explains.
SAMPLE = {
    "no-method": {f"SWN-3.1.4-opnum-{number}" for number in range(5)},
    "silent-after-bind": {"SWN-3.1.4.1-returns-success"},
    "bind-nak": {"RPC-BIND-result-order"},
    "list-count": {"SWN-2.2.2.6-count"},
    "list-no-padding": {"SWN-2.2.2.5-ipv4-if-flag"},
}


def test_there_are_at_least_25_of_every_area() -> None:
    servers = load_half_made()
    assert len(servers) >= 25
    assert {server.area for server in servers.values()} == set(AREAS)
    assert all(server.if_ and not server.if_.endswith(".") for server in servers.values())


@pytest.mark.parametrize("name", load_half_made())
def test_each_server_differs_from_the_reference(name: str) -> None:
    server, reference = find_half_made(name), (ClusterConfig(), Parts())
    assert server.apply(*reference) != reference or not server.mapper


def test_unknown_name_lists_close_matches() -> None:
    with pytest.raises(UnknownHalfMade, match="Close matches: no-method"):
        find_half_made("no-methods")


def _responses() -> list[AnyResponse]:
    info = InterfaceInfo("NODE1", 0x20000, 1, IPv4Address("192.0.2.1"), IPv6Address(0), 1)
    handle = ContextHandle(0, uuid4())
    return [
        GetInterfaceListResponse(InterfaceList((info,) * 3), 0),
        RegisterResponse(handle, 0),
        UnRegisterResponse(0),
        AsyncNotifyResponse(RespAsyncNotify(1, 1, bytes(20)), 0),
    ]


class _Call:
    byte_order = "little"

    def __init__(self, syntax: SyntaxId) -> None:
        self.syntax = syntax


@pytest.mark.parametrize("syntax", [NDR32, NDR64], ids=["ndr32", "ndr64"])
@pytest.mark.parametrize(
    "server", [s for s in ENCODINGS if s.name != "reads-no-strings"], ids=lambda s: s.name
)
def test_each_wrong_encoding_spoils_one_response(server: Any, syntax: SyntaxId) -> None:
    endpoint = server.parts[0].__new__(server.parts[0])
    endpoint.reply_byte_order = "little"
    spoiled = [r for r in _responses() if endpoint.encode(_Call(syntax), r) != encode(r, syntax)]
    assert len(spoiled) == 1


def test_serve_names_the_page_of_half_made_servers() -> None:
    option = next(each for each in serve_command.params if each.name == "half_made")
    assert "docs/half-made-servers.md" in str(getattr(option, "help", ""))


@pytest.mark.parametrize("name", one_in(len(SAMPLE), SAMPLE))
def test_author_sees_few_findings(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", python())
    seen = see(find_half_made(name), tmp_path, ["--up-to", "interface-list", "-n", "0"], timeout=300)

    assert seen.terminal
    assert "Traceback" not in "\n".join(seen.terminal)
    assert seen.exit_code == 1
    assert seen.violated
    assert set(seen.violated) <= SAMPLE[name]
    assert 0 < seen.page_octets < 300_000
    assert "Next: " in "\n".join(says(seen))


def test_page_has_a_row_and_a_section_for_each_server() -> None:
    server = find_half_made("no-method")
    ladder = {"rungs": [{"title": "Reachable", "violated": []}, {"title": "Register", "violated": ["X"]}]}
    seen = Seen(
        "no-method", 1, 1.0, 2.0, 280_000, ("X",), ladder=ladder, terminal=("a", "Ladder:", "  b", "")
    )
    text = page([(server, seen)], dt.date(2026, 11, 28), 2)
    assert "| the server has no method | `no-method` | Register | 5 | 1 | 0 | 280 kB | 1 s | 2 s |  |" in text
    assert "```text\nLadder:\n  b\n```" in text
    assert Seen.from_json(seen.to_json()) == seen
    assert stops_at(Seen("x", 3, 1.0, 1.0)) == "exit code 3"
