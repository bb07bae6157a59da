"""The shares of a node by Samba's smbd: what the node does with its addresses.

tests/instruments has a real smbd.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from swn_torture.server.companions import file_service
from swn_torture.server.companions.file_service import FileService
from swn_torture.server.config import ClusterConfig, ConfigError
from swn_torture.server.state.shares import ShareTable

if TYPE_CHECKING:
    from pathlib import Path

ONE, OTHER = "127.0.0.1", "127.0.0.2"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is called of smbd and of the servers of the addresses, in order."""
    calls: list[str] = []

    class Smbd:
        def __init__(self, program: str, **_: Any) -> None:
            calls.append(f"start {program}")

        def close(self) -> None:
            calls.append("close")

    class Server:
        def __init__(self, address: str, port: int, _: Smbd) -> None:
            self.address, self.port = address, port or 4455
            calls.append(f"serve {address}")

        def freeze(self) -> None:
            calls.append(f"freeze {self.address}")

        def thaw(self) -> None:
            calls.append(f"thaw {self.address}")

        def stop(self, *, reset: bool) -> None:
            calls.append(f"{'reset' if reset else 'close'} {self.address}")

    monkeypatch.setattr(file_service, "check_smbd", lambda program: f"/usr/sbin/{program}")
    monkeypatch.setattr(file_service, "Smbd", Smbd)
    monkeypatch.setattr(file_service, "SambaServer", Server)
    return calls


def test_one_smbd_serves_every_address_until_the_node_stops(calls: list[str], tmp_path: Path) -> None:
    async def steps() -> None:
        config = dataclasses.replace(ClusterConfig(), smbd="smbd", smb_port=0)
        service = FileService("NODE1", config, ShareTable(config.shares), tmp_path, 0)
        await service.listen(ONE)
        await service.listen(OTHER)
        assert service.port == 4455
        service.freeze()
        service.thaw()
        await service.withdraw(OTHER)
        await service.stop(reset=False)
        await service.stop(reset=False)

    asyncio.run(steps())
    assert calls == [
        "start /usr/sbin/smbd", f"serve {ONE}", f"serve {OTHER}",
        f"freeze {ONE}", f"freeze {OTHER}", f"thaw {ONE}", f"thaw {OTHER}",
        f"reset {OTHER}", f"close {ONE}", "close",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "problem"),
    [({"smb_port": None}, "smbd needs smb_port"), ({"ntlm": False, "keytab": "k"}, "by NTLM only")],
)
def test_smbd_needs_a_port_and_ntlm(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig(**{"smbd": "smbd", "smb_port": 0, **settings})
