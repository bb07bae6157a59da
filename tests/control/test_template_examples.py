"""Every commented example of the template profile loads after its comment signs are removed."""

from __future__ import annotations

import re
from itertools import groupby
from pathlib import Path

import pytest

from swn_torture.target import load_profile, make_controller

TEMPLATE = Path(__file__).parents[2] / "fixtures" / "profiles" / "TEMPLATE.toml"
_EXAMPLE = re.compile(r"# (\[{1,2}[\w.-]+\]{1,2}|\w+ = .*)$")
_ACTIVE_PASSWORD = re.compile(r"^password_env = .*\n", re.MULTILINE)
_ACTIVE_CONTROLLER = '[controller]\nkind = "none"\n'


def examples() -> list[str]:
    """The blocks of commented lines that are TOML, without their comment signs."""
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    runs = groupby(lines, key=lambda line: bool(_EXAMPLE.match(line)))
    return ["\n".join(line.removeprefix("# ") for line in run) for is_example, run in runs if is_example]


def uncommented(example: str) -> str:
    """The template with the comment signs of one example removed."""
    text = TEMPLATE.read_text(encoding="utf-8")
    commented = "\n".join(f"# {line}" for line in example.splitlines())
    assert commented in text
    text = text.replace(commented, example, 1)
    if re.search(r"^(keytab|ccache) =", example, re.MULTILINE):
        text = _ACTIVE_PASSWORD.sub("", text, count=1)  # tickets are used instead of a password
    return text.replace(_ACTIVE_CONTROLLER, "", 1) if example.startswith("[controller]") else text


def test_template_has_an_example_of_each_controller() -> None:
    kinds = {match[1] for example in examples() if (match := re.search(r'kind = "(\w+)"', example))}
    assert kinds == {"clusapi", "command", "ctdb", "manual", "reference"}
    assert _ACTIVE_CONTROLLER in TEMPLATE.read_text(encoding="utf-8")


@pytest.mark.parametrize("example", examples(), ids=lambda example: example.partition("\n")[0])
def test_example_loads(example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWN_PASSWORD", "secret")
    monkeypatch.setenv("SWN_PASSWORD2", "secret")
    for name in ("password.txt", "witness.keytab", "witness.ccache"):
        (tmp_path / name).write_text("secret\n", encoding="utf-8")
    path = tmp_path / "profile.toml"
    path.write_text(uncommented(example), encoding="utf-8")

    profile = load_profile(str(path))

    assert profile.net_name == "MYCLUSTER"
    assert make_controller(profile).kind == profile.controller["kind"]
