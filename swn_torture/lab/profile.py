"""The target profile of a lab: everything that the suite needs to test it.

The title of a profile names the Debian release and the Samba version of the running lab. The shipped profile
``samba-lab`` has no title, because it fits a default lab of any release.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from swn_torture.lab.config import SPARE_ADDRESSES, namespace, run_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swn_torture.lab.config import LabConfig
    from swn_torture.lab.lifecycle import Lab

# Fixed in swn_service_init_globals() of Samba 4.22 and 4.25.
_UNUSED_TIMEOUT: Final = 30.0


def profile(lab: Lab) -> dict[str, Any]:
    """Return the profile of a lab that is up, as the tables of a TOML file."""
    nodes = f"{lab.config.nodes} CTDB node{'s' if lab.config.nodes > 1 else ''}"
    return profile_of(lab.config, title=f"Samba {lab.samba} on Debian {lab.config.release}, {nodes}")


def profile_of(config: LabConfig, *, title: str = "") -> dict[str, Any]:
    """Return the profile of a lab with this configuration, whether it is up or not.

    Args:
        config: the configuration of the lab.
        title: one line for the head of a report; without it, the profile has none.
    """
    directory = run_directory(config.name)
    accounts = [
        {"username": user.name, "password": user.password, "domain": config.domain} for user in config.users
    ]
    tables: dict[str, Any] = {
        "schema": "swn-torture-target/1",
        "name": "samba-lab" if config.name == "lab" else f"samba-{config.name}",
        **({"title": title} if title else {}),
        "net_name": config.net_name,
        "network_namespace": namespace(config.name, "client"),
        "account": accounts[0],
    }
    if len(accounts) > 1:
        tables["second_account"] = accounts[1]
    tables["node"] = [{"name": node.name, "address": node.address} for node in config.node_configs]
    tables["controller"] = {
        "kind": "ctdb",
        "nodes": {node.name: node.address for node in config.node_configs},
        "prefix": [f"{directory}/exec", "{node}"],
        "start_ctdb": "ctdbd",
        "start_services": ["smbd -D", "/usr/libexec/samba/samba-dcerpcd -D --libexec-rpcds"],
        "ready": "swn-probe 0 {address}",
        "power_off": f"{directory}/machine {{node}} power-off",
        "power_on": f"{directory}/machine {{node}} power-on",
        "partition": f"{directory}/machine {{node}} partition",
        "heal": f"{directory}/machine {{node}} heal",
    }
    tables["expect"] = {
        "version": 2,
        "unused_timeout": _UNUSED_TIMEOUT,
        "scan_interval": 5.0,
        "event_deadline": 30.0,
        "spare_addresses": list(SPARE_ADDRESSES),
        "shares": [{"name": "data", "scale_out": True}, {"name": "moving", "scale_out": True}],
    }
    return tables


def write_profile(lab: Lab, path: Path | None = None) -> Path:
    """Write the profile of a lab that is up, and return the path of the file.

    Args:
        lab: the lab.
        path: the file; None for ``profile.toml`` in the directory of the lab, which ``down`` removes.

    Raises:
        OSError: the file cannot be written.
    """
    file = path or lab.directory / "profile.toml"
    file.write_text(profile_text(lab), encoding="utf-8")
    return file


def profile_text(lab: Lab) -> str:
    """Return the profile of a lab that is up, as TOML."""
    return to_toml(profile(lab))


def to_toml(tables: Mapping[str, Any]) -> str:
    """Return tables of strings, numbers, truth values, lists and tables as TOML; sufficient for profiles."""
    plain = {key: value for key, value in tables.items() if not isinstance(value, dict) and not _rows(value)}
    lines = [f"{key} = {_value(value)}" for key, value in plain.items()]
    for key, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *(f"{name} = {_value(each)}" for name, each in value.items())]
        elif _rows(value):
            for row in value:
                lines += ["", f"[[{key}]]", *(f"{name} = {_value(each)}" for name, each in row.items())]
    return "\n".join(lines) + "\n"


def _rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    # Strings, numbers and truth values are the same in JSON and TOML.
    return json.dumps(value)
