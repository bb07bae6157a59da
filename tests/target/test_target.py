"""Target profiles: the shipped ones load, and an error in a profile names its key."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from swn_torture.target import NetworkName, ProfileError, load_profile, parse_profile, shipped_profiles

PROFILES = Path(__file__).parents[2] / "fixtures" / "profiles"


def minimal() -> dict[str, Any]:
    return {
        "schema": "swn-torture-target/1",
        "name": "x",
        "net_name": "CLUSTER",
        "account": {"username": "u", "password": "p"},
        "node": [{"name": "a", "address": "127.0.0.1"}],
    }


#: The profile of an environment that sets variables; tests/control loads it there.
_OF_ENVIRONMENT = "samba-selftest"


def test_every_shipped_profile_loads() -> None:
    assert {"reference", _OF_ENVIRONMENT} <= set(shipped_profiles())
    for name in set(shipped_profiles()) - {_OF_ENVIRONMENT}:
        assert load_profile(name).name


def test_variables_of_the_environment_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWN_TEST_NAME", "FS")
    data = {**minimal(), "net_name": "${SWN_TEST_NAME}.${SWN_TEST_NAME}", "environment": "a test"}
    assert parse_profile(data).net_name == "FS.FS"
    assert parse_profile({**minimal(), "net_name": "${SWN_TEST_NAME}"}).net_name == "${SWN_TEST_NAME}"
    with pytest.raises(ProfileError, match="SWN_NOT_SET is not set; the profile is for a test, which sets"):
        parse_profile({**data, "net_name": "${SWN_NOT_SET}"})


def test_the_template_loads_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWN_PASSWORD", "secret")
    profile = load_profile(str(PROFILES / "TEMPLATE.toml"))
    assert [node.name for node in profile.nodes] == ["node1", "node2"]
    assert profile.account.password == "secret"


def test_the_template_explains_every_key() -> None:
    text = (PROFILES / "TEMPLATE.toml").read_text(encoding="utf-8")
    for key in (
        "spn_host",
        "network_namespace",
        "network",
        "environment",
        "second_account",
        "realm",
        "keytab",
        "ccache",
        "kdc",
        "spn =",
        "endpoint_mapper_port",
        "port",
        "[[network_name]]",
        "aliases",
        "variants",
    ):
        assert key in text


def test_a_profile_without_controller_has_kind_none() -> None:
    profile = parse_profile(minimal())
    assert profile.controller == {"kind": "none"}
    assert profile.expect.unused_timeout == 30.0
    assert profile.nodes[0].endpoint_mapper_port == 135


def test_network_names_have_aliases_and_addresses() -> None:
    assert parse_profile(minimal()).network_names == ()
    rows = [
        {"name": minimal()["net_name"], "addresses": ["192.0.2.1"]},
        {"name": "ARCHIVE", "aliases": ["OLD"], "addresses": ["2001:DB8::1"]},
    ]
    assert parse_profile({**minimal(), "network_name": rows}).network_names[1] == NetworkName(
        "ARCHIVE", ("OLD",), ("2001:db8::1",)
    )


def test_a_password_is_not_in_the_repr() -> None:
    assert "secret" not in repr(
        parse_profile({**minimal(), "account": {"username": "u", "password": "secret"}})
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "swn-torture-target/9"}, "must contain schema"),
        ({"node": []}, r"has no \[\[node\]\]"),
        ({"node": {"name": "a"}}, "array of tables"),
        ({"node": [{"name": "a"}]}, "node 1 has no address"),
        ({"node": [{"name": "a", "address": "127.0.0.1", "port": 70000}]}, "TCP port"),
        ({"node": [{"name": "a", "adress": "127.0.0.1"}]}, "unknown key adress; close match: address"),
        ({"colour": "blue"}, "unknown key colour"),
        ({"network": "token-ring"}, "network must be one of ip, socket-wrapper, not 'token-ring'"),
        ({"net_name": 5}, "net_name .* must be a string"),
        ({"expect": {"unused_timeout": "soon"}}, "unused_timeout .* must be a number"),
        ({"expect": {"unused_timeout": -1.0}}, "number of seconds"),
        ({"expect": {"unused_timeout": math.inf}}, "number of seconds"),
        ({"expect": {"reply_deadline": math.nan}}, "number of seconds"),
        ({"expect": {"long_call": -1}}, "number of seconds"),
        ({"expect": 5}, r"\[expect\] must be a table, not 5"),
        ({"expect": {"shares": 5}}, r"shares in \[expect\] must be an array of tables"),
        ({"variants": "none"}, r"\[variants\] must be a table, not 'none'"),
        ({"controller": "none"}, r"\[controller\] must be a table, not 'none'"),
        ({"account": {"username": "u", "password_env": 5}}, "password_env .* must be a string, not 5"),
        (
            {"account": {"username": "u", "password_env": "SWN_NOT_SET"}},
            "environment variable SWN_NOT_SET, .* is not set",
        ),
        ({"account": {"username": "u"}}, "has no password"),
        ({"controller": {}}, "has no kind"),
        ({"network_name": [{"aliases": []}]}, "network_name 1 has no name"),
        ({"network_name": [{"name": "OTHER"}]}, r"net_name, .*, is not the name of a \[\[network_name\]\]"),
        ({"network_name": [{"name": "A", "aliases": "B"}]}, "aliases in network_name 1 must be a list"),
        ({"network_name": [{"name": "A", "addresses": ["b"]}]}, "addresses in network_name 1 must be a list"),
        (
            {"network_name": [{"name": "A", "aliases": ["B"]}, {"name": "b"}]},
            "b is in network_name 1 and in network_name 2",
        ),
        (
            {"network_name": [{"name": "A", "addresses": ["::1"]}, {"name": "B", "addresses": ["0::1"]}]},
            "::1 is in network_name 1 and in network_name 2",
        ),
    ],
)
def test_an_error_names_the_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ProfileError, match=message):
        parse_profile({**minimal(), **change})


def test_a_profile_needs_an_account() -> None:
    data = minimal()
    del data["account"]
    with pytest.raises(ProfileError, match=r"no \[account\]"):
        parse_profile(data)


def test_an_unknown_profile_lists_the_shipped_ones() -> None:
    with pytest.raises(
        ProfileError, match=r"Unknown target profile .windows-95.. This package has: .*reference"
    ):
        load_profile("windows-95")


def test_malformed_toml_names_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("schema = \n", encoding="utf-8")
    with pytest.raises(ProfileError, match=r"bad\.toml is not valid TOML: .*line 1"):
        load_profile(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"none\.toml cannot be read: No such file"):
        load_profile(str(tmp_path / "none.toml"))


def test_a_profile_that_is_not_utf8_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProfileError, match="not UTF-8"):
        load_profile(str(path))


def test_the_reference_profile_has_three_embedded_nodes() -> None:
    data = tomllib.loads((PROFILES / "reference.toml").read_text(encoding="utf-8"))
    assert data["embedded"]["nodes"] == 3
