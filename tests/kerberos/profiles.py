"""Profiles of reference clusters in the realm of these tests."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING, Any

from swn_torture.shipped import fixtures_directory
from swn_torture.target import parse_profile

if TYPE_CHECKING:
    from swn_torture.target import Profile
    from tests.kerberos.realm import Realm


def profile_text(
    realm: Realm, account: dict[str, Any], second: dict[str, Any] | None = None, **embedded: Any
) -> str:
    """The profile of the reference as TOML, with other accounts, the keytab of the realm, other settings."""
    text = (fixtures_directory() / "profiles" / "reference.toml").read_text(encoding="utf-8")
    head, _, rest = text.partition("[account]")
    _, _, rest = rest.partition("[embedded]")
    tables = {"account": account, "second_account": second or realm.account("password", "witness2")}
    lines = [head]
    for name, keys in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items()), ""]
    settings = {"keytab": str(realm.keytab), **embedded}
    lines += ["[embedded]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
    return "\n".join(lines) + rest


def profile_in(realm: Realm, account: dict[str, Any], **embedded: Any) -> Profile:
    """The same as a profile."""
    text = profile_text(realm, account, **embedded)
    return parse_profile(tomllib.loads(text), source="reference.toml")
