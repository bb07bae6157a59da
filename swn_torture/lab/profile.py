"""The target profile of a lab: what the suite has to know to judge it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from swn_torture.lab.config import SPARE_ADDRESSES, namespace, run_directory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from swn_torture.lab.config import LabConfig
    from swn_torture.lab.lifecycle import Lab

# Samba 4.22 and 4.25: swn_service_init_globals() has it fixed.
_UNUSED_TIMEOUT: Final = 30.0


def profile(lab: Lab) -> dict[str, Any]:
    """The profile of a lab that is up, as the tables of a TOML file."""
    return profile_of(lab.config, title=f"Samba {lab.samba}, {lab.config.nodes} CTDB nodes")


def profile_of(config: LabConfig, *, title: str) -> dict[str, Any]:
    """The profile of a lab as configured; a lab of the same configuration always has the same."""
    directory = run_directory(config.name)
    accounts = [
        {"username": user.name, "password": user.password, "domain": config.domain} for user in config.users
    ]
    tables: dict[str, Any] = {
        "schema": "swn-torture-target/1",
        "name": "samba-lab" if config.name == "lab" else f"samba-{config.name}",
        "title": title,
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


def profile_text(lab: Lab) -> str:
    """The profile of a lab that is up, as TOML."""
    return to_toml(profile(lab))


def to_toml(tables: Mapping[str, Any]) -> str:
    """Write plain tables, strings, numbers and lists as TOML; enough for profiles."""
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
    # JSON's strings, numbers and truth values are TOML's too.
    return json.dumps(value)
