"""The HTML page: complete, self-contained, readable, and safe against anything that a target sends."""

from __future__ import annotations

import base64
import dataclasses
import json
import re
import zlib
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from typing import TYPE_CHECKING

import pytest

from swn_torture.report.finding import case_findings
from swn_torture.report.html import FINDING_OCTETS, SHOWN_FRAMES, anchor, render_html
from swn_torture.report.model import CaseResult, Check, Choice
from swn_torture.spec import load_catalogue

if TYPE_CHECKING:
    from swn_torture.report.results import Results

VOID = {"meta", "link", "input", "br", "option", "td", "tr"}  # or closed by the next tag


class Page(HTMLParser):
    """Ids, links, text and cases of a page; checks that every tag is closed.

    What the script shows is read from the data of the page, as the script reads it.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: Counter[str] = Counter()
        self.cases: list[dict[str, str | None]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.packed = ""
        self.last_id = ""
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"
        self.html_ids = [*self.ids]
        self.data = json.loads(zlib.decompress(base64.b64decode(self.packed), -zlib.MAX_WBITS))
        self._show_data()
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.last_id = given.get("id") or ""
        self.tags[tag] += 1
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.links += [value for name, value in attrs if name in {"href", "src", "action"} and value]
        if "data-outcome" in given:
            self.cases.append(given)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open, f"{tag} was not open"
        assert self.open.pop() == tag

    def _show_data(self) -> None:
        texts = self.data["texts"]
        for suite, cases in self.data["passed"].items():
            assert f"passed-{suite}" in self.html_ids
            for place, id_, title, requirements, duration, checks, *capture in cases:
                self.ids.append(f"case-{place}")
                named = " ".join(texts[each] for each in requirements)
                self.cases.append(
                    {
                        "id": f"case-{place}",
                        "data-outcome": "passed",
                        "data-suite": suite,
                        "data-requirements": named,
                    }
                )
                self.words += [
                    id_,
                    texts[title],
                    texts[duration],
                    *(texts[n] for check in checks for n in check),
                ]
                self.links += [*capture, *(f"#req-{texts[check[0]]}" for check in checks)]
        for row in (*self.data["counted"], *self.data["apart"]):
            if isinstance(row, str):
                assert f"req-{row}" in self.html_ids
            else:
                self.ids.append(f"req-{row[0]}")
                self.words += [row[0], row[1], *(texts[number] for number in row[2:7])]

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["script"] and self.last_id == "data":
            self.packed += data
        if not {"style", "script"} & set(self.open):
            self.words.append(data)


def squeeze(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


@pytest.fixture(scope="module")
def page(many: Results) -> Page:
    return Page(render_html(many))


def test_every_case_is_shown_once_and_can_be_filtered(page: Page, many: Results) -> None:
    assert len(page.cases) == len(many.cases)
    assert Counter(case["data-outcome"] for case in page.cases) == Counter(
        case.outcome for case in many.cases
    )
    known = {case["id"]: case for case in page.cases}
    for case in many.cases:
        shown = known[anchor(case.id)]
        assert shown["data-suite"] == case.suite
        assert (shown["data-requirements"] or "").split() == list(case.requirements)
        assert case.id in page.text


def test_findings_come_before_passed_cases(page: Page) -> None:
    order = [case["data-outcome"] for case in page.cases]
    assert list(dict.fromkeys(order)) == ["failed", "error", "deviation", "not-tested", "passed"]


def test_finding_has_rule_comparison_and_command(page: Page, many: Results) -> None:
    for case in many.cases:
        if case.outcome in {"failed", "deviation"}:
            row = many.catalogue.requirements[next(c.requirement for c in case.checks if c.passed is False)]
            for part in (row.text, row.id, row.cite, case.title, case.observed, *case.expected, case.repro):
                assert squeeze(part) in page.text


def test_octets_of_a_finding_are_shown_by_field(page: Page) -> None:
    assert "nca_s_op_rng_error (0x1C010002)" in page.text
    assert "fragment length 164, authentication length 40" in page.text
    assert "53 00 57 00 4e 00 43 00" in page.text  # SWNC, the start of a NetName


def test_every_requirement_and_choice_is_shown(page: Page, many: Results) -> None:
    ids = set(page.ids)
    assert {f"req-{id_}" for id_ in many.catalogue.requirements} <= ids
    assert set(many.catalogue.ambiguities) <= ids
    for choice in many.choices:
        assert choice.observed in page.text


def test_how_a_violated_requirement_is_tested_is_said_once(page: Page, many: Results) -> None:
    case = next(case for case in many.cases if case.outcome == "failed")
    row = case_findings(case, many.catalogue)[0].row
    assert row is not None
    assert row.how
    assert page.text.count(squeeze(row.how)) == 1


def test_cases_not_tested_are_grouped_by_reason(page: Page, many: Results) -> None:
    reasons = Counter(case.reason for case in many.cases if case.outcome == "not-tested")
    findings, _, table = page.text.rpartition("Choices of the target ")
    for reason, number in reasons.items():
        assert findings.count(squeeze(reason)) == 1
        assert f"{squeeze(reason)} {number} case" in findings
    assert all(squeeze(each.reasons[0]) in table for each in many.requirements if each.reasons)


def test_ids_are_unique_and_links_have_targets(page: Page) -> None:
    assert [id_ for id_, number in Counter(page.ids).items() if number > 1] == []
    broken = {link for link in page.links if link.startswith("#") and link[1:] not in page.ids}
    broken -= {f"#requirement={id_[4:]}" for id_ in page.ids if id_.startswith("req-")}  # a filter
    assert broken == set()


def test_page_needs_no_network_and_no_other_file(page: Page, many: Results) -> None:
    # A reader may follow a link to a published section; nothing is loaded from there.
    sections = {row.url for row in load_catalogue().requirements.values()}
    assert {link for link in page.links if not link.startswith("#")} - sections == {"data:,"}
    assert not {"img", "iframe", "object", "embed"} & set(page.tags)
    text = re.sub(r'<a href="https://[^"]+"', "<a", render_html(many))
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|@font-face|https?://", text)


def test_without_script_only_the_filter_is_hidden(many: Results) -> None:
    style = resources.files("swn_torture.report").joinpath("page/report.css").read_text()
    hidden = re.findall(r"([^{}]+)\{[^{}]*display: none", style.split("@media print")[0])
    assert [squeeze(rule) for rule in hidden] == [
        ".filter",
        "details.case > summary::-webkit-details-marker",
        "[hidden]",
    ]


def hostile(case: CaseResult) -> CaseResult:
    evil = '</script><script>alert("1")</script><b onclick=x> {{ 7*7 }} \x00\x1b[31m\ud800 \u202e'
    check = Check(case.requirements[0], passed=False, expected=(evil,), observed=evil, note=evil)
    return dataclasses.replace(
        case, id=f"x{evil}", title=evil, reason=evil, outcome="failed", checks=(check,), expected=(evil,),
        observed=evil, repro=evil, choices=(Choice("AMB-1", evil, f"x{evil}"),), capture="c/a b#?.pcapng",
    )  # fmt: skip


def test_text_from_the_target_is_escaped(few: Results) -> None:
    target = dataclasses.replace(few.target, name="</title><script>", facts={"<i>": "<script>"})
    text = render_html(dataclasses.replace(few.with_cases([hostile(few.cases[0])]), target=target))
    text.encode()
    shown = Page(text)
    assert shown.tags["script"] == 3
    assert "\x00" not in text
    assert "49" not in re.findall(r"onclick=x&gt; (.{2,9}?) \\x00", text)
    assert "c/a%20b%23%3F.pcapng" in shown.links


def test_target_and_warnings_come_before_the_verdict(few: Results) -> None:
    target = dataclasses.replace(
        few.target, title="Samba <4.22>", nodes=("node1 (192.0.2.11)",), warnings=("No <share>.",)
    )
    text = render_html(dataclasses.replace(few, target=target))
    parts = ("Samba &lt;4.22&gt;", "Nodes: node1 (192.0.2.11)", "No &lt;share&gt;.", '<p class="verdict">')
    places = [text.index(part) for part in parts]
    assert places == sorted(places)


def test_page_says_that_little_was_tested(few: Results) -> None:
    cases = [dataclasses.replace(case, outcome="not-tested", reason="no lab") for case in few.cases]
    sentence = "60 of 60 cases were not tested; the main reason, for 60 of them: no lab."
    assert sentence in render_html(few.with_cases(cases))
    assert "Most cases were not tested" not in render_html(few)


def test_damaged_record_hides_only_its_exchange(few: Results) -> None:
    broken = dataclasses.replace(
        few.cases[0], transcript=({"time": 1, "connection": 1, "kind": "sent", "data": "?"},)
    )
    assert len(Page(render_html(few.with_cases([broken]))).cases) == 1


def test_long_pdus_are_cut_with_a_remark(few: Results) -> None:
    import base64
    import struct

    failed = next(case for case in few.cases if case.outcome == "failed")
    octets = struct.pack("<BBBBIHHI", 5, 0, 0, 3, 16, 60_000, 0, 1) + bytes(60_000 - 16)
    record = failed.transcript[1] | {"data": base64.b64encode(octets).decode()}
    text = render_html(few.with_cases([dataclasses.replace(failed, transcript=(record,))]))
    assert f"{60_000 - FINDING_OCTETS} more octets are in the capture" in text
    assert len(text) < 700_000


def test_middle_of_long_exchange_is_omitted_with_a_remark(few: Results) -> None:
    failed = next(case for case in few.cases if case.outcome == "failed")
    records = tuple(
        failed.transcript[1] | {"time": failed.transcript[1]["time"] + number} for number in range(5000)
    )
    text = render_html(few.with_cases([dataclasses.replace(failed, transcript=records)]))
    assert f"{5000 - SHOWN_FRAMES} more PDUs and events are in the capture" in text
    assert len(text) < 3_000_000


def test_equal_octets_are_shown_once(few: Results) -> None:
    failed = next(case for case in few.cases if case.outcome == "failed")
    other = dataclasses.replace(
        failed,
        id="rpc.other.case",
        checks=tuple(dataclasses.replace(check, requirement="SWN-1.9-uuid") for check in failed.checks),
    )
    alone = render_html(few.with_cases([failed]))
    both = render_html(few.with_cases([failed, other]))
    for dumped in ("association group 0x", "secondary address"):
        assert alone.count(dumped) == both.count(dumped) > 0
    assert f'with the octets of a PDU of <a href="#{anchor(failed.id)}">{failed.id}</a>' in both
    assert Page(both).tags["details"] < 2 * Page(alone).tags["details"]


def test_empty_incomplete_and_passed_runs_have_pages(few: Results) -> None:
    empty = Page(render_html(few.with_cases([])))
    assert "No case was run" in empty.text
    cut = dataclasses.replace(few, run=dataclasses.replace(few.run, complete=False, stopped="Interrupted."))
    assert "This run is not complete. Interrupted." in Page(render_html(cut)).text
    good = Page(render_html(few.with_cases(case for case in few.cases if case.outcome == "passed")))
    assert "No violation of MS-SWN 14.0 was found in " in good.text
    assert "Violated requirements" not in good.text


def test_page_with_480_cases_stays_below_6_mb(many: Results) -> None:
    assert len(render_html(many)) < 6_000_000


def palettes() -> list[dict[str, str]]:
    style = resources.files("swn_torture.report").joinpath("page/report.css").read_text()
    blocks = re.findall(r":root \{([^}]*--paper[^}]*)\}", style)
    return [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{3,6})", block)) for block in blocks]


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("palette", palettes(), ids=["light", "dark"])
def test_text_has_sufficient_contrast(palette: dict[str, str]) -> None:
    """WCAG 2.1, level AA: 4.5 to 1."""
    for ground in ("paper", "panel"):
        for ink in set(palette) - {"paper", "panel", "line"}:
            light, dark = sorted((luminance(palette[ink]), luminance(palette[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, f"{ink} on {ground}"
