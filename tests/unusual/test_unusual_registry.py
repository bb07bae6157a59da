"""The declarations of unusual servers, and the servers for the values of options."""

from __future__ import annotations

import dataclasses
import importlib
from pathlib import Path

import pytest

from swn_torture.harness.session import chosen_profile, with_unusual
from swn_torture.server.config import ClusterConfig
from swn_torture.server.nodes.parts import REPLACEABLE_PARTS, Parts, replaced_part
from swn_torture.spec import load_catalogue
from swn_torture.target import Expectations, Profile, ProfileError, load_profile
from swn_torture.unusual.library import AREAS, UnknownUnusual, Unusual, find_unusual, load_unusual
from swn_torture.unusual.options import EXPECT, NOT_TRIED, VALUES, Option, option_server, options

DECLARED = [server for server in load_unusual().values() if server.area != "options"]


def test_more_than_twenty_servers_are_declared() -> None:
    assert len(DECLARED) > 20


def test_names_are_unique() -> None:
    names = [
        server.name
        for area in AREAS[:-1]
        for server in importlib.import_module(f"swn_torture.unusual.servers.{area}").SERVERS
    ]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("server", DECLARED, ids=lambda server: server.name)
def test_server_says_what_is_unusual_and_why_it_conforms(server: Unusual) -> None:
    for text in (server.summary, server.conforms):
        assert text.endswith("."), text
        assert len(text) <= 170


@pytest.mark.parametrize("name", load_unusual())
def test_settings_make_a_configuration(name: str) -> None:
    server = find_unusual(name)
    settings = server.embedded({"rpc": {"keep_alive": 1.0}})

    assert settings.pop("unusual") == name
    config, _ = server.apply(ClusterConfig.from_mapping(settings), Parts())
    assert config.rpc.keep_alive == server.settings.get("rpc", {}).get("keep_alive", 1.0)


def test_profile_keys_exist() -> None:
    expected = {field.name for field in dataclasses.fields(Expectations)}
    of_profile = {field.name for field in dataclasses.fields(Profile)}

    for server in load_unusual().values():
        assert set(server.expect) <= expected, server.name
        assert set(server.profile) <= of_profile, server.name


def test_every_part_of_a_server_is_in_the_cluster() -> None:
    for server in DECLARED:
        _, parts = server.apply(ClusterConfig(), Parts())
        for part in server.parts:
            used: object = parts
            path: list[str] = []
            original = replaced_part(part)
            while original is not Parts:
                original, attribute = REPLACEABLE_PARTS[original]
                path.insert(0, attribute)
            for attribute in path:
                used = getattr(used, attribute)
            assert isinstance(used, type)
            assert issubclass(used, part), server.name


def test_requirements_that_are_not_followed_are_judged() -> None:
    rows = load_catalogue().requirements

    for server in load_unusual().values():
        for name in (*server.breaks, *server.consequences):
            assert rows[name].observable, name
            assert rows[name].judged, name


def test_server_needs_an_address_of_this_machine() -> None:
    assert Unusual(name="a", summary="A.").can_run
    assert Unusual(name="a", summary="A.", address="127.9.9.9").can_run
    assert not Unusual(name="a", summary="A.", address="192.0.2.1").can_run
    assert not Unusual(name="a", summary="A.", address="2001:db8::1").can_run


def test_only_options_break_a_must() -> None:
    rows = load_catalogue().requirements

    assert not [(s.name, r) for s in DECLARED for r in s.breaks if rows[r].level.startswith("MUST")]


def test_every_option_is_tried_or_says_why_not() -> None:
    """`Option.values` raises where neither the type nor a table gives the values of a new option."""
    known = {option.name for option in options()}

    assert known >= {*VALUES, *NOT_TRIED}
    assert {name.partition("=")[0] for name in EXPECT} <= known
    for option in options():
        assert option.values() or option.name in NOT_TRIED, option.name


def test_option_of_another_type_needs_a_row() -> None:
    with pytest.raises(LookupError, match="colour"):
        Option("colour", int, 1, ()).values()


def test_every_value_that_breaks_something_is_tried() -> None:
    for option in options():
        for mark in option.breaks:
            assert mark.value is ... or mark.value in option.values(), option.name


def test_values_of_an_option() -> None:
    names = [server.name for server in load_unusual().values() if server.area == "options"]

    assert "interface_list_waits=never" in names
    assert "interface_list_waits=witness" in names
    assert "interface_list_waits=any" not in names, "the default is not unusual"
    assert "rpc.multiplex=false" not in names, "it is the server no-multiplexing"
    assert find_unusual("interface_list_waits=never").breaks == ("SWN-3.1.4.1-wait-available",)
    assert not find_unusual("interface_list_waits=witness").breaks


def test_any_value_of_an_option_is_a_server() -> None:
    assert find_unusual("rpc.multiplex=false").settings == {"rpc": {"multiplex": False}}
    assert find_unusual("max_registrations=7").settings == {"max_registrations": 7}
    assert find_unusual('pending_order=["change"]').settings == {"pending_order": ["change"]}
    assert option_server("max_registrations") is None


def test_unknown_server_lists_close_matches() -> None:
    with pytest.raises(UnknownUnusual, match=r"'two-node'.*Close matches: two-nodes.*swn-torture unusual"):
        find_unusual("two-node")
    with pytest.raises(UnknownUnusual, match="max_registration=7"):
        find_unusual("max_registration=7")


# In a profile


def test_profile_of_an_unusual_server() -> None:
    profile = with_unusual(load_profile("reference"), "short-unused-timeout")

    assert profile.embedded is not None
    assert profile.embedded["unusual"] == "short-unused-timeout"
    assert profile.embedded["unused_timeout"] == profile.expect.unused_timeout == 2.0
    assert profile.embedded["rpc"] == {"keep_alive": 1.0}, "settings of the profile stay"
    assert with_unusual(profile, "no-second-account").second_account is None


def test_embedded_table_can_name_an_unusual_server(tmp_path: Path) -> None:
    text = Path(load_profile("reference").source).read_text(encoding="utf-8")
    path = tmp_path / "unusual.toml"
    path.write_text(text.replace("[embedded]\n", '[embedded]\nunusual = "one-node"\n'), encoding="utf-8")

    embedded = chosen_profile(str(path)).embedded
    assert embedded is not None
    assert embedded["nodes"] == 1


def test_unusual_server_cannot_have_a_fault() -> None:
    with pytest.raises(ProfileError, match="not both"):
        chosen_profile("reference", fault="codes-as-hresult", unusual="one-node")
    with pytest.raises(ProfileError, match="Unknown unusual server"):
        chosen_profile("reference", unusual="none")
    with pytest.raises(ProfileError, match="not embedded"):
        chosen_profile("samba-lab", unusual="one-node")
