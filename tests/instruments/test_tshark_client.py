"""tshark reads what our client sends by default: the values of ``docs/our-client.md``, and no warning.

A client of the reference is bound with NTLM or SPNEGO. A second connection belongs to the same association.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.dcerpc.security.context import Credentials
from swn_torture.dcerpc.security.levels import AuthLevel, AuthType
from swn_torture.dcerpc.transcript import Transcript
from swn_torture.report.exchange.captures import write_capture
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.witness.client import connect
from tests.instruments import tshark

if TYPE_CHECKING:
    from pathlib import Path

    from tests.instruments.tshark import Row

PASSWORD = "Passw0rd!"
BIND, ALTER_CONTEXT, AUTH3, REQUEST, CO_CANCEL = "11", "14", "16", "0", "18"

COLUMNS = (
    *("tcp.srcport", "tcp.dstport", "dcerpc.pkt_type", "dcerpc.cn_flags", "dcerpc.cn_call_id"),
    *("dcerpc.cn_max_xmit", "dcerpc.cn_max_recv", "dcerpc.cn_assoc_group", "dcerpc.cn_ctx_id"),
    *("dcerpc.cn_bind_trans_id", "dcerpc.auth_ctx_id", "dcerpc.auth_rsrvd", "dcerpc.opnum"),
    *("ntlmssp.negotiateflags", "ntlmssp.auth.hostname", "ntlmssp.ntlmv2_response.channel_bindings"),
    *("ntlmssp.ntlmv2_response.target_name", "ntlmssp.ntlmv2_response.restrictions", "spnego.MechType"),
)

NDR32 = "8a885d04-1ceb-11c9-9fe8-08002b104860"
FEATURES = "6cb71c2c-9812-4540-0300-000000000000"


@pytest.fixture(autouse=True, scope="module")
def _tshark() -> None:
    if reason := tshark.missing():
        if os.environ.get("SWN_TORTURE_REQUIRE_LAB") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


async def two_connections(node: Any, transcript: Transcript, auth_type: AuthType) -> None:
    logon: dict[str, Any] = {
        "credentials": Credentials("witness", PASSWORD, "SWNTEST"),
        "auth_type": auth_type,
        "level": AuthLevel.INTEGRITY,
        "net_name": "SWNCLUSTER",
        "transcript": transcript,
    }
    async with await connect(node.address, node.port, **logon) as client:
        address = node.address
        response = await client.register(
            net_name="SWNCLUSTER", ip_address=address, client_computer_name="CLIENT1"
        )
        pending = client.async_notify(response.context)
        group = client.rpc.core.assoc_group
        async with await connect(node.address, node.port, assoc_group=group, **logon) as second:
            await second.get_interface_list()
        await client.get_interface_list()
        pending.cancel()
        await client.unregister(response.context)


@pytest.mark.parametrize("auth_type", [AuthType.NTLM, AuthType.SPNEGO])
def test_tshark_finds_the_documented_values(auth_type: AuthType, tmp_path: Path) -> None:
    transcript = Transcript()
    with EmbeddedCluster() as cluster:
        node = cluster.nodes[0]
        asyncio.run(two_connections(node, transcript, auth_type))
    write_capture(tmp_path / "capture.pcapng", transcript.to_dicts())

    rows = tshark.dissect(tmp_path / "capture.pcapng", COLUMNS, password=PASSWORD)

    assert tshark.with_problems(rows) == []
    rows = [row for row in rows if "dcerpc.pkt_type" in row]
    sent = [row for row in rows if row["tcp.dstport"] == [str(node.port)]]
    kinds = [row["dcerpc.pkt_type"][0] for row in sent]
    leg = AUTH3 if auth_type == AuthType.NTLM else ALTER_CONTEXT
    assert kinds == [BIND, leg, REQUEST, REQUEST, BIND, leg, REQUEST, REQUEST, CO_CANCEL, REQUEST]
    check_binds([row for row in sent if row["dcerpc.pkt_type"] == [BIND]], rows)
    check_call_ids(sent)
    check_logon(sent, auth_type)


def check_binds(binds: list[Row], rows: list[Row]) -> None:
    (group,) = {row["dcerpc.cn_assoc_group"][0] for row in rows if row["dcerpc.pkt_type"] == ["12"]}
    assert [row["dcerpc.cn_assoc_group"] for row in binds] == [["0x00000000"], [group]]
    for row in binds:
        assert row["dcerpc.cn_flags"] == ["0x17"]
        assert row["dcerpc.cn_max_xmit"] == row["dcerpc.cn_max_recv"] == ["5840"]
        assert row["dcerpc.cn_ctx_id"] == ["0", "1"]
        assert row["dcerpc.cn_bind_trans_id"] == [NDR32, FEATURES]
        assert (row["dcerpc.auth_ctx_id"], row["dcerpc.auth_rsrvd"]) == (["1"], ["0"])


def check_call_ids(sent: list[Row]) -> None:
    """Those of one association increase, except that auth3 and co_cancel repeat one."""
    numbers = [
        int(row["dcerpc.cn_call_id"][0])
        for row in sent
        if row["dcerpc.pkt_type"][0] not in {AUTH3, CO_CANCEL}
    ]
    assert numbers == list(range(1, len(numbers) + 1))


def check_logon(sent: list[Row], auth_type: AuthType) -> None:
    for negotiate, authenticate in ((sent[0], sent[1]), (sent[4], sent[5])):
        assert negotiate["ntlmssp.negotiateflags"] == ["0xe2088217"]
        assert authenticate["ntlmssp.negotiateflags"] == ["0xe2888215"]
        assert authenticate["ntlmssp.auth.hostname"] == ["SWN-TORTURE"]
        assert authenticate["ntlmssp.ntlmv2_response.channel_bindings"] == ["00" * 16]
        assert authenticate["ntlmssp.ntlmv2_response.target_name"] == ["cifs/SWNCLUSTER"]
        mechanisms = ["1.3.6.1.4.1.311.2.2.10"] if auth_type == AuthType.SPNEGO else None
        assert negotiate.get("spnego.MechType") == mechanisms
