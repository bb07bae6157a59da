"""The profile of the `command` controller: what it accepts, and how it fills in placeholders."""

from __future__ import annotations

from typing import Any

import pytest

from swn_torture.control import ControllerError
from swn_torture.control.command.output import Shown, addresses_in
from swn_torture.control.command.template import Command
from swn_torture.control.kinds import controller_from

PAIR = {"disable": ["ctl", "off", "{node}"], "enable": ["ctl", "on", "{node}"]}


def command(value: Any, **placeholders: tuple[str, ...]) -> Command:
    return Command.from_setting(value, "run.x", timeout=5.0, **placeholders)


def test_placeholders_are_filled_in_once() -> None:
    made = command(
        ["ctl", "--node={node}", "{{node}}", ["-n", "{name}"]], required=("node",), optional=("name",)
    )
    assert made.argv({"node": "{name}", "name": None}) == ["ctl", "--node={name}", "{node}"]
    assert made.argv({"node": "a b", "name": ""}) == ["ctl", "--node=a b", "{node}", "-n", ""]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"run": "ctl {node} | grep x", "shell": True}, ["/bin/sh", "-c", "ctl 'a; b' | grep x"]),
        (["ssh", "root@h", "ctl", "{node}"], ["ssh", "root@h", "ctl", "'a; b'"]),
        (["sudo", "/usr/bin/ssh", "root@{node}"], ["sudo", "/usr/bin/ssh", "root@'a; b'"]),
        (["ctl", "{node}"], ["ctl", "a; b"]),
    ],
)
def test_value_is_quoted_for_a_shell(value: Any, expected: list[str]) -> None:
    assert command(value, required=("node",)).argv({"node": "a; b"}) == expected


def test_words_arrive_unchanged_behind_a_prefix_with_ssh() -> None:
    made = Command.from_setting(
        ["ctl", "a b", "{node}"], "x", timeout=1, prefix=("ssh", "h"), required=("node",)
    )
    assert made.argv({"node": "c d"}) == ["ssh", "h", "ctl 'a b' 'c d'"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({}, "there is no command"),
        ({"run": {"reboot": ["x"]}}, "unknown key 'reboot'; known keys: disable"),
        ({"run": {"disable": ["x"]}}, "run.disable needs run.enable, which undoes it"),
        ({"run": PAIR | {"enable": "ctl on"}}, "run.enable must be a list of words, as in"),
        ({"run": PAIR | {"enable": {"run": ["ctl"], "shell": True}}}, "run must be the text for the shell"),
        ({"run": PAIR | {"enable": {"run": ["ctl"], "retries": 3}}}, "unknown key 'retries'"),
        ({"run": PAIR | {"enable": ["ctl", 3]}}, "3 is not a word; write numbers in quotation marks"),
        ({"run": PAIR | {"enable": ["ctl", "{nod}"]}}, "unknown placeholder {nod}; known: {node}, {address}"),
        (
            {"run": {"move-client": ["ctl", "{client}", "{net_name}"]}},
            "{net_name} does not always have a value; put the words that need it into an inner list",
        ),
        ({"run": PAIR, "timeout": 0}, "timeout must be a number of seconds"),
        (
            {"run": PAIR | {"enable": {"run": ["x"], "exit_codes": 0}}},
            "exit_codes must be a list of integers",
        ),
        ({"run": PAIR, "server_selects": "yes"}, "server_selects must be true or false"),
        ({"run": PAIR, "prefix": "ssh"}, "prefix must be a list of words"),
        ({"show": {"nodes": {"run": ["x"]}}}, "either json"),
        ({"show": {"nodes": {"run": ["x"], "lines": "("}}}, "lines must be a regular expression"),
        ({"show": {"nodes": {"run": ["x"], "lines": "(?P<name>x)"}}}, "the groups of lines have no state"),
        (
            {"show": {"nodes": {"run": ["x"], "json": "", "fields": {"ip": "a"}}}},
            "fields have the unknown 'ip'",
        ),
        (
            {"show": {"nodes": {"run": ["x"], "json": "", "states": {"up": ["a"]}}}},
            "unknown state 'up'; known: ok, disabled",
        ),
    ],
)
def test_wrong_setting_is_named(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="(?s)" + ".*".join(map(_literal, problem.split("...")))):
        controller_from({"kind": "command", **settings})


def _literal(text: str) -> str:
    return "".join(f"[{c}]" if c in "{}()[].+*?" else c for c in text)


def shown(**table: Any) -> Shown:
    known = ("name", "state", "addresses")
    return Shown.from_setting(table, "show.nodes", required=known[:1], known=known, states=("ok", "down"))


def test_json_is_read_by_paths() -> None:
    view = shown(json="r.nodes", fields={"name": "@key", "addresses": "nics.*.ip"}, states={"ok": ["1"]})
    text = '{"r": {"nodes": {"a": {"state": 1, "nics": [{"ip": "192.0.2.1/24"}, {}]}, "b": {}}}}'
    first, second = view.read(text)
    assert first == {"name": "a", "state": 1, "addresses": ["192.0.2.1/24"]}
    assert second == {"name": "b", "addresses": []}
    assert view.state(first["state"]) == "ok"
    assert addresses_in(first["addresses"]) == ("192.0.2.1",)
    with pytest.raises(ControllerError, match="unknown state 'mad'; add it to states in the profile"):
        view.state("mad")
    for wrong, problem in (("{", "not JSON"), ('{"r": 1}', "without a list at 'r.nodes'")):
        with pytest.raises(ControllerError, match=problem):
            view.read(wrong)


def test_lines_that_do_not_match_are_left_out() -> None:
    view = shown(lines=r"^(?P<name>\S+) +(?P<state>ok|down)(?: (?P<addresses>.*))?$")
    assert view.read("NAME STATE\n a ok\nb down 192.0.2.2\n") == [
        {"name": "b", "state": "down", "addresses": "192.0.2.2"}
    ]
