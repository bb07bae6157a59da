"""A sample run of several hundred cases that resembles a real one, and a browser."""

from __future__ import annotations

import base64
import dataclasses
import itertools
import json
import os
import random
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from swn_torture.report.model import CaseOutcome, CaseResult, Check, Choice, Run, TargetInfo
from swn_torture.report.results import Results
from swn_torture.report.verdict import decide_outcome, strictest
from swn_torture.spec import Catalogue, Requirement, load_catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

WITNESS = UUID("ccd8c074-d0e5-4a40-92b4-d074faa6ba28").bytes_le + struct.pack("<HH", 1, 1)
NDR32 = UUID("8a885d04-1ceb-11c9-9fe8-08002b104860").bytes_le + struct.pack("<HH", 2, 0)
NDR64 = UUID("71710533-beba-4937-8319-b5dbef9ccc36").bytes_le + struct.pack("<HH", 1, 0)
VECTORS = json.loads((Path(__file__).parents[2] / "fixtures/samba-ndr-vectors.json").read_text())
REGISTER = bytes.fromhex(VECTORS["reg_in_a_64"])

TRAILER = struct.pack("<BBBBI", 10, 5, 0, 0, 1)  # NTLM, integrity

REASONS = (
    "The target has no controller, so no interface can become UNAVAILABLE.",
    "The controller cannot move a share (MOVE_SHARE).",
    "WitnessrUnRegisterEx ends in fault nca_s_op_rng_error (0x1C010002): the target has no opnum 5.",
    "The target has no IPv6 interface.",
)
CODES = ("ERROR_SUCCESS (0x0)", "ERROR_INVALID_PARAMETER (0x57)", "ERROR_INVALID_STATE (0x139F)")


def pdu(kind: int, call_id: int, body: bytes, *, auth: bytes = b"", order: str = "<") -> bytes:
    """A complete PDU; with ``auth`` it ends with a sec_trailer and these octets."""
    tail = TRAILER + auth if auth else b""
    drep = b"\x10\0\0\0" if order == "<" else b"\0\0\0\0"
    size = 16 + len(body) + len(tail)
    return (
        struct.pack("BBBB", 5, 0, kind, 3)
        + drep
        + struct.pack(order + "HHI", size, len(auth), call_id)
        + body
        + tail
    )


def bind(call_id: int = 1) -> bytes:
    contexts = b"".join(
        struct.pack("<HBB", number, 1, 0) + WITNESS + transfer
        for number, transfer in enumerate((NDR32, NDR64))
    )
    return pdu(
        11, call_id, struct.pack("<HHIBBH", 5840, 5840, 0, 2, 0, 0) + contexts, auth=b"NTLMSSP\0" + bytes(32)
    )


def bind_ack(call_id: int = 1) -> bytes:
    results = struct.pack("<HH", 2, 2) + bytes(20) + struct.pack("<HH", 0, 0) + NDR64
    body = struct.pack("<HHIH", 5840, 5840, 0x53F0, 1) + b"\0\0" + struct.pack("<BBH", 2, 0, 0) + results
    return pdu(12, call_id, body, auth=b"NTLMSSP\0" + bytes(120))


def request(call_id: int, opnum: int, stub: bytes, context: int = 1) -> bytes:
    return pdu(0, call_id, struct.pack("<IHH", len(stub), context, opnum) + stub, auth=bytes(16))


def response(call_id: int, stub: bytes) -> bytes:
    return pdu(2, call_id, struct.pack("<IHBB", len(stub), 1, 0, 0) + stub, auth=bytes(16))


def fault(call_id: int, status: int) -> bytes:
    return pdu(3, call_id, struct.pack("<IHBBII", 32, 0, 0, 0, status, 0))


class Wire:
    """Writes a transcript as the client does, with its own clock."""

    def __init__(self, *, ipv6: bool = False, start: float = 1_780_000_000.0) -> None:
        self.now = start
        self.records: list[dict[str, Any]] = []
        self.local = ("fd00::9" if ipv6 else "192.0.2.9", 50001)
        self.remote = ("fd00::1" if ipv6 else "192.0.2.11", 49152)

    def put(self, kind: str, data: bytes = b"", connection: int = 1, wait: float = 0.0007) -> None:
        self.now += wait
        record = {
            "time": self.now,
            "connection": connection,
            "kind": kind,
            "data": base64.b64encode(data).decode(),
        }
        local = [self.local[0], self.local[1] + connection - 1]
        self.records.append(record | {"local": local, "remote": [*self.remote]})


def exchange(calls: int, *, ipv6: bool = False, end: str = "fin") -> tuple[dict[str, Any], ...]:
    """A transcript: bind, some calls (some replies arrive in two pieces), the end."""
    wire = Wire(ipv6=ipv6)
    for kind, data in (
        ("open", b""),
        ("sent", bind()),
        ("received", bind_ack()),
        ("sent", pdu(16, 1, bytes(4), auth=bytes(200))),
    ):
        wire.put(kind, data)
    for number in range(calls):
        wire.put("sent", request(2 + number, 1, REGISTER))
        reply = response(2 + number, bytes(20) + struct.pack("<I", 0))
        if number % 2:
            wire.put("received", reply[:10], wait=0.002)
            wire.put("received", reply[10:])
        else:
            wire.put("received", reply, wait=0.002)
    wire.put("sent", request(90, 7, b""))
    wire.put("received", fault(90, 0x1C010002))
    wire.put(end)
    return tuple(wire.records)


def sample(number: int = 480, *, seed: int = 7, complete: bool = True) -> Results:
    """A run with this number of cases."""
    dice, catalogue = random.Random(seed), load_catalogue()
    rows = [row for row in catalogue.requirements.values() if row.observable and row.role != "client"]
    cases = []
    for index, start in zip(range(number), itertools.cycle(range(0, len(rows) - 3, 3)), strict=False):
        named = rows[start : start + dice.randint(1, 3)]
        cases.append(_case(index, named, dice, catalogue))
    ambiguities = itertools.cycle(catalogue.ambiguities.values())
    for index in range(0, number, max(1, number // 40)):
        ambiguity, case = next(ambiguities), cases[index]
        seen = Choice(ambiguity.id, dice.choice(CODES), case.id)
        cases[index] = dataclasses.replace(case, choices=(seen,))
    facts = {"product": "Samba 4.22.11 with CTDB", "nodes": "3", "unused registration time-out": "30 s"}
    return Results(
        run=Run(
            started="2026-11-22T09:14:03+00:00", duration_s=212.4, complete=complete,
            stopped="" if complete else "Interrupted from the keyboard.",
            command="swn-torture run --target samba-4.22 -n 4", host="Linux 6.1 x86_64, Python 3.11.7",
            workers=4,
        ),
        target=TargetInfo(
            "samba-4.22", "ctdb", ("disable-node", "fail-crash", "list-nodes", "move-client"),
            "192.0.2.11", "SWNCLUSTER", facts,
        ),
        cases=tuple(cases),
        catalogue=catalogue,
    )  # fmt: skip


def _case(index: int, named: list[Requirement], dice: random.Random, catalogue: Catalogue) -> CaseResult:
    suite = ("ndr", "rpc", "cluster")[index % 3]
    slug = named[0].id.split("-", 2)[-1].lower()
    id_ = (
        f"{suite}.{('register', 'notify', 'bind')[index % 3]}.{slug}-{index}[{('ndr32', 'ndr64')[index % 2]}]"
    )
    draw = dice.random()
    checks = [Check(row.id, passed=True, expected=(row.how,), observed=dice.choice(CODES)) for row in named]
    outcome: CaseOutcome = "passed"
    reason, observed = "", ""
    expected: tuple[str, ...] = ()
    if draw < 0.07:
        outcome, checks, reason = "not-tested", [], dice.choice(REASONS)
    elif draw < 0.085:
        outcome, checks = "error", checks[:1]
        reason = (
            "The connection to 192.0.2.12 port 49153 was lost while the case was set up: reset by the peer."
        )
    elif draw < 0.15:
        row = named[-1]
        expected = ("ERROR_INVALID_STATE (0x139F)", "ERROR_INVALID_PARAMETER (0x57)")
        observed = "ERROR_SUCCESS (0x0), context handle 6d1f…c2"
        note = "second WitnessrRegister"
        checks[-1] = Check(row.id, passed=False, expected=expected, observed=observed, note=note)
        outcome, _ = decide_outcome(checks, catalogue)
        reason = row.text if outcome != "passed" else ""
    return CaseResult(
        id=id_,
        title=f"{named[0].how[:90] or 'Sends a Register request'}",
        suite=suite,
        requirements=tuple(row.id for row in named),
        level=strictest([row.id for row in named], catalogue),
        outcome=outcome,
        reason=reason,
        expected=tuple(expected),
        observed=observed,
        checks=tuple(checks),
        duration_s=dice.expovariate(4),
        repro=f"swn-torture run --target samba-4.22 --case '{id_}'",
        transcript=() if outcome == "not-tested" else exchange(1 + index % 3, ipv6=index % 5 == 0),
        node_id=f"swn_torture/{suite}/test_sample.py::test_{index}",
    )


@pytest.fixture(scope="session")
def many() -> Results:
    """Several hundred cases with every outcome."""
    return sample()


@pytest.fixture(scope="session")
def few() -> Results:
    """60 cases with every outcome, for tests that need no large run."""
    return sample(60)


@pytest.fixture(scope="session")
def one_of_each(few: Results) -> Results:
    """One case of each outcome and level, and their requirements: for what looks at every element."""
    chosen = {(case.outcome, case.level): case for case in reversed(few.cases)}
    named = {id_ for case in chosen.values() for id_ in case.requirements}
    rows = {id_: row for id_, row in few.catalogue.requirements.items() if id_ in named or row.record_only}
    catalogue = dataclasses.replace(few.catalogue, requirements=rows)
    return dataclasses.replace(few, cases=tuple(chosen.values()), catalogue=catalogue)


# Not longer than for a module: Playwright's event loop counts as running until it is closed, and meanwhile no
# other test could run one.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium of the system, without a window: its headless shell takes a third of the processor time."""
    from playwright.sync_api import sync_playwright

    programs = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    program = next(filter(None, map(shutil.which, programs)), None)
    if program is None:
        if os.environ.get("SWN_TORTURE_REQUIRE_BROWSER"):
            pytest.fail("SWN_TORTURE_REQUIRE_BROWSER is set, but no Chromium is installed")
        pytest.skip("no Chromium is installed (Debian: apt install chromium)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


def barriers(page: Page, parts: list[str] | None = None) -> list[tuple[str, str, str]]:
    """What axe finds on the page or in these parts of it: rule, impact, and the first element of each."""
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        "parts => axe.run(parts ?? document, {resultTypes: ['violations']}).then(found => found.violations)",
        parts,
    )
    return [(each["id"], each["impact"], each["nodes"][0]["html"]) for each in found]


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test if its script fails, or if it asks for anything but itself."""
    context = browser.new_context()
    page = context.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on(
        "request", lambda asked: problems.append(asked.url) if not asked.url.startswith("file:") else None
    )
    yield page
    context.close()
    assert problems == []
