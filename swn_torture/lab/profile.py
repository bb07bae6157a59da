"""The target profile of a lab: everything that the suite needs to test it.

The title of a profile names the Debian release and the Samba version of the running lab. The shipped profile
``samba-lab`` has no title, because it fits a default lab of any release.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from swn_torture.lab.addresses import spare_addresses
from swn_torture.lab.config import namespace, run_directory
from swn_torture.lab.directory import service_keytab
from swn_torture.lab.domain.names import REALM, kdc
from swn_torture.lab.samba.places import DEBIAN
from swn_torture.lab.settings import shares_of, start_services
from swn_torture.lab.variants import MISSING_VARIANTS, VARIANTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from swn_torture.lab.config import LabConfig
    from swn_torture.lab.lifecycle import Lab
    from swn_torture.lab.samba.places import Places

# Fixed in swn_service_init_globals() of Samba 4.22 and 4.25.
_UNUSED_TIMEOUT: Final = 30.0


def profile(lab: Lab, auth: str = "kerberos") -> dict[str, Any]:
    """Return the profile of a lab that is up, as the tables of a TOML file.

    Args:
        lab: the lab.
        auth: how the suite logs on in a domain; a lab without one has no such key.
    """
    tables = profile_of(lab.config, title=title(lab), places=lab.places, auth=auth)
    if lab.config.in_domain and not lab.config.network:
        tables["account"]["service_keytab"] = str(service_keytab(lab.name))
    return {**tables, "product": product(lab)}


def title(lab: Lab) -> str:
    """Return the title of a lab, for the head of a report: the product, its version and the release."""
    nodes = f"{lab.config.nodes} CTDB node{'s' if lab.config.nodes > 1 else ''}"
    own = f" of {lab.config.samba}" if lab.config.samba else ""
    domain = "" if not lab.config.in_domain else " in a domain"
    ntlm = "" if lab.config.ntlm else " without NTLM"
    return f"Samba {lab.samba}{own} on Debian {lab.config.release}, {nodes}{domain}{ntlm}"


def product(lab: Lab) -> dict[str, Any]:
    """Return the product under test, as the table ``product`` of a profile: its version and build ids."""
    return {"name": "Samba", "version": lab.samba, "builds": dict(lab.builds)}


def profile_of(
    config: LabConfig, *, title: str = "", places: Places = DEBIAN, auth: str = "kerberos"
) -> dict[str, Any]:
    """Return the profile of a lab with this configuration, whether it is up or not.

    Args:
        config: the configuration of the lab.
        title: one line for the head of a report; without it, the profile has none.
        places: where the Samba of the lab has its programs.
        auth: how the suite logs on in a domain.
    """
    directory = run_directory(config.name)
    tickets = {"auth": auth, "realm": REALM, "kdc": kdc()} if config.in_domain else {}
    accounts = [
        {"username": user.name, "password": user.password, "domain": config.domain, **tickets}
        for user in config.users
    ]
    tables: dict[str, Any] = {
        "schema": "swn-torture-target/1",
        "name": "samba-lab" if config.name == "lab" else f"samba-{config.name}",
        **({"title": title} if title else {}),
        "net_name": config.net_name,
        "network_namespace": namespace(config.network_lab, "client"),
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
        "start_services": [" ".join(words) for words in start_services(config, places)],
        "ready": "swn-probe 0 {address}",
        "power_off": f"{directory}/machine {{node}} power-off",
        "power_on": f"{directory}/machine {{node}} power-on",
        "partition": f"{directory}/machine {{node}} partition",
        "heal": f"{directory}/machine {{node}} heal",
        "link_down": f"{directory}/machine {{node}} link-down",
        "link_up": f"{directory}/machine {{node}} link-up",
        **({"python": f"env PYTHONPATH={places.python} python3"} if places.python else {}),
    }
    tables["expect"] = {
        "version": 2,
        "unused_timeout": _UNUSED_TIMEOUT,
        "scan_interval": 5.0,
        "event_deadline": 30.0,
        "spare_addresses": list(spare_addresses(config.block)),
        "shares": [{"name": name, "scale_out": scale_out} for name, scale_out in shares_of(config).items()],
    }
    if not config.network:
        tables["variants"] = {name: dict(table) for name, table in VARIANTS.items()}
        tables["missing_variants"] = dict(MISSING_VARIANTS)
    return tables


def write_profile(lab: Lab, path: Path | None = None) -> Path:
    """Write the profile of a lab that is up, and return the path of the file.

    A lab in a domain also gets ``profile-spnego.toml`` in its directory. By the first one the suite logs on
    by Kerberos, by the other by SPNEGO.

    Args:
        lab: the lab.
        path: the file; None for ``profile.toml`` in the directory of the lab, which ``down`` removes.

    Raises:
        OSError: the file cannot be written.
    """
    if lab.config.in_domain:
        text = to_toml(profile(lab, "spnego"))
        (lab.directory / "profile-spnego.toml").write_text(text, encoding="utf-8")
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
