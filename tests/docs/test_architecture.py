"""``docs/architecture.md`` says what the code does: floors, files, names, and the calls of both walks."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.docs.documents import DOCS, PACKAGE, ROOT, blocks, clean_environment, code_spans, prose
from tests.examples import in_gate

if TYPE_CHECKING:
    from pathlib import Path

PAGE = DOCS / "architecture.md"

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*(?:\(\))?")
_PATH = re.compile(r"[\w./-]+(?:/|\.py|\.toml|\.j2)")


def contracts() -> dict[str, dict[str, Any]]:
    """The contracts of import-linter by id."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, dict[str, Any]] = {
        each["id"]: each for each in settings["tool"]["importlinter"]["contracts"]
    }
    return found


def paragraphs(text: str) -> list[str]:
    """The paragraphs and list items of a text."""
    return re.split(r"\n\s*\n|\n(?=\d+\. |- )", text)


def walk(number: int) -> list[str]:
    """The stations of a walk: the numbered items of its section."""
    (section,) = re.findall(rf"^## Walk {number}:.*?(?=^## |\Z)", prose(PAGE), re.MULTILINE | re.DOTALL)
    return [each for each in paragraphs(section) if re.match(r"\d+\. ", each)]


def located(text: str) -> list[tuple[str, str]]:
    """The names of a paragraph in order, each with the file named last before it, or next after it."""
    files = [(at, span) for at, span in enumerate(code_spans(text)) if span.endswith(".py")]
    found = []
    for at, span in enumerate(code_spans(text)):
        if _PATH.fullmatch(span) or not _NAME.fullmatch(span):
            continue
        name = span.removesuffix("()")
        before = [file for position, file in files if position < at][::-1]
        after = [file for position, file in files if position > at]
        file = next((each for each in (*before, *after) if defines(each, name)), "")
        found.append((file, span))
    return found


@cache
def names_of(file: str) -> frozenset[str]:
    """Every class, function and method of a module, as ``Class.method``."""
    found: set[str] = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(prefix + child.name)
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse((PACKAGE / file).read_text(encoding="utf-8")), "")
    return frozenset(found)


def defines(file: str, name: str) -> bool:
    return (PACKAGE / file).is_file() and name in names_of(file)


# The house
# ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "contract", "prefix"),
    [
        ("floors", "floors", "swn_torture."),
        ("floors server", "server", ""),
        ("floors dcerpc", "dcerpc", ""),
        ("floors casekit", "casekit", ""),
    ],
)
def test_floors_are_those_of_the_linter(info: str, contract: str, prefix: str) -> None:
    (block,) = [each for each in blocks(PAGE, "floors") if each.info == info]
    rows = [re.split(r"  +", line)[0] for line in block.text.splitlines()]
    assert rows == [layer.replace(prefix, "") for layer in contracts()[contract]["layers"]]


def test_every_room_stands_on_a_floor() -> None:
    layers = " ".join(contracts()["floors"]["layers"])
    rooms = {name.split(".")[1] for name in re.findall(r"swn_torture\.[\w.]+", layers)}
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    modules = {path.stem for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")}
    assert rooms == packages | modules


# Files and names
# ---------------------------------------------------------------------------------------------------------


def test_every_path_exists() -> None:
    paths = [span for span in code_spans(prose(PAGE)) if _PATH.fullmatch(span)]
    assert paths
    assert not [each for each in paths if not ((PACKAGE / each).exists() or (ROOT / each).exists())]


@pytest.mark.parametrize("number", [1, 2])
def test_every_name_is_defined_in_a_file_of_its_paragraph(number: int) -> None:
    section = prose(PAGE).partition(f"## Walk {number}:")[2].partition("\n## ")[0]
    macros = re.findall(
        r"macro (\w+)\(", (PACKAGE / "report/page/report.html.j2").read_text(encoding="utf-8")
    )
    named = [each for text in paragraphs(section) for each in located(text)]
    assert len(named) > 30
    assert not [span for file, span in named if not file and span not in macros]


# The walks
# ---------------------------------------------------------------------------------------------------------

#: Runs a script under a profiler; prints the calls of the wanted functions, in order, as JSON.
TRACER = """
import json, sys, threading

wanted = {(file, name) for file, name in json.loads(sys.argv[1])}
package = sys.argv[2] + "/"
calls, recording = [], [False]

def profile(frame, event, argument):
    if recording[0] and event == "call":
        call = (frame.f_code.co_filename.removeprefix(package), frame.f_code.co_qualname)
        if call in wanted and calls[-1:] != [call]:
            calls.append(call)

threading.setprofile(profile)
sys.setprofile(profile)
"""

#: A client registers with an embedded cluster. What happens before the RegisterEx is not recorded.
REGISTER_EX = """
import asyncio
from swn_torture.dcerpc.security.context import Credentials
from swn_torture.server.nodes.embedded import EmbeddedCluster
from swn_torture.stubdata.syntax import NDR64
from swn_torture.witness.client import connect

async def register(cluster):
    node = cluster.nodes[0]
    user = Credentials("witness", "Passw0rd!", "SWNTEST")
    where = {"epm_port": node.epm_port, "credentials": user, "syntax": NDR64}
    async with await connect(node.address, **where) as client:
        address = str((await client.get_interface_list()).interfaces[0].ipv4)
        recording[0] = True
        response = await client.register_ex(
            net_name=cluster.config.net_name, ip_address=address, client_computer_name="CLIENT"
        )
        recording[0] = False
        assert response.result == 0

with EmbeddedCluster() as cluster:
    asyncio.run(register(cluster))
"""

#: The case of the second walk, against the fault of the second walk.
ONE_CASE = """
import pytest
recording[0] = True
code = pytest.main([
    "-q", "-n", "0", "-p", "no:cacheprovider", "--pyargs", "swn_torture.rpc.methods.test_register",
    "--swn-fault", "register-ex-version-not-supported",
    "--swn-case", "rpc.register.wrong-version[ndr32-register-ex-0x1]",
    "--swn-html", sys.argv[3],
])
recording[0] = False
assert code == 1, code
"""


def trace(script: str, wanted: list[tuple[str, str]], *arguments: str) -> list[tuple[str, str]]:
    """The calls of the wanted functions during a script, in order."""
    program = f"{TRACER}\n{script}\nprint(json.dumps(calls))"
    command = [sys.executable, "-c", program, json.dumps(wanted), str(PACKAGE), *arguments]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [(file, name) for file, name in json.loads(ended.stdout.splitlines()[-1])]


def called_in(number: int) -> list[tuple[str, str]]:
    """The functions that a walk says are called, in its order."""
    named = [each for station in walk(number) for each in located(station)]
    return [(file, span.removesuffix("()")) for file, span in named if span.endswith("()")]


def first_not_called(expected: list[tuple[str, str]], calls: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The first expected call that does not follow the calls expected before it."""
    remaining = iter(calls)
    return next((each for each in expected if each not in remaining), None)


def test_register_ex_goes_through_the_stations_of_walk_1() -> None:
    expected = called_in(1)
    assert len(expected) > 40
    assert first_not_called(expected, trace(REGISTER_EX, expected)) is None


@in_gate
def test_check_goes_through_the_stations_of_walk_2(tmp_path: Path) -> None:
    expected = called_in(2)
    assert len(expected) > 35
    page = tmp_path / "page.html"
    assert first_not_called(expected, trace(ONE_CASE, expected, str(page))) is None
    assert "rpc.register.wrong-version[ndr32-register-ex-0x1]" in page.read_text(encoding="utf-8")
