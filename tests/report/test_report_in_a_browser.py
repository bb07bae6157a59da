"""The page of a run in Chromium, as a reader uses it: findings, filters, widths, paper, accessibility."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from swn_torture.report.html import render_html
from tests.examples import in_gate, one_in
from tests.report.conftest import barriers

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from swn_torture.report.results import Results

#: Unfolds everything inside findings.
UNFOLD = "document.querySelectorAll('.finding details').forEach((each) => { each.open = true; })"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, few: Results) -> str:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(render_html(few), encoding="utf-8")
    return path.as_uri()


def open_page(page: Page, address: str) -> None:
    """Open the page, and wait until what is compressed in it is shown."""
    page.goto(address)
    expect(page.locator(".unpacked")).to_have_count(0)


def shown(page: Page) -> int:
    """The number of cases that are not filtered out."""
    return page.locator(".case:not([hidden])").count()


def test_page_shows_what_is_in_the_data(page: Page, many: Results, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(many), encoding="utf-8")
    assert path.read_text(encoding="utf-8").count('class="meaning unpacked"') == 2
    open_page(page, f"{path.as_uri()}#outcome=passed")
    passed = sum(case.outcome == "passed" for case in many.cases)
    assert shown(page) == page.locator(".case.passed").count() == passed
    assert page.locator('tr[id^="req-"]').count() == len(many.catalogue.requirements)
    expect(page.locator("output").first).to_have_text(f"{passed} of {len(many.cases)} cases")


def test_address_holds_the_filter(page: Page, address: str, browser: Browser, few: Results) -> None:
    failed = [case for case in few.cases if case.outcome == "failed"]
    open_page(page, address)
    page.get_by_label("Outcome").select_option("failed")
    page.get_by_label("Search").fill(failed[0].id)
    page.wait_for_url(re.compile("#.*q="))
    assert parse_qs(urlsplit(page.url).fragment) == {"q": [failed[0].id], "outcome": ["failed"]}
    count = shown(page)
    assert 0 < count < len(few.cases)
    again = browser.new_page()
    open_page(again, page.url)
    assert shown(again) == count
    again.close()


def test_blocked_cases_are_found_and_counted(page: Page, few: Results, tmp_path: Path) -> None:
    """The page has one paragraph for all cases of a test function that a finding blocked."""
    (failed, *_) = (case for case in few.cases if case.outcome == "failed")
    ids = [f"rpc.unexpected-pdus.pdu-of-a-server[{each}]" for each in ("plain-fault", "plain-response")]
    blocked = [
        dataclasses.replace(
            failed,
            id=each,
            outcome="not-tested",
            reason="blocked",
            because="RPC-PTYPE-unexpected",
            transcript=(),
        )
        for each in ids
    ]
    path = tmp_path / "page.html"
    path.write_text(render_html(few.with_cases((*few.cases, *blocked))), encoding="utf-8")
    open_page(page, path.as_uri())
    output, total = page.locator("form.filter output"), len(few.cases) + 2
    expect(output).to_have_text(f"{total} cases")
    page.get_by_label("Search").fill(ids[1])
    expect(output).to_have_text(f"2 of {total} cases")
    expect(page.get_by_text("No case matches the filter.")).to_be_hidden()
    expect(page.locator(".blocked:visible")).to_have_count(1)
    page.get_by_label("Search").fill("no such case")
    expect(output).to_have_text(f"0 of {total} cases")
    expect(page.locator(".blocked:visible")).to_have_count(0)


def test_keys_unfold_the_exchange_of_a_finding(page: Page, address: str) -> None:
    open_page(page, address)
    exchange = page.locator(".finding details.exchange").first
    exchange.locator("summary").first.focus()
    page.keyboard.press("Enter")
    expect(exchange.locator(".frames")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(exchange.locator(".hex").first).to_be_visible()


def test_link_to_a_folded_case_unfolds_it(page: Page, address: str, few: Results) -> None:
    open_page(page, address)
    anchor = page.locator("details.case.passed").first.get_attribute("id")
    page.goto(f"{address}#{anchor}")
    page.reload()
    expect(page.locator(f"#{anchor} ul")).to_be_visible()


@pytest.mark.parametrize("width", one_in(2, [390, 820, 1440, 1920]))
def test_page_is_not_wider_than_the_window(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    open_page(page, address)
    page.evaluate(UNFOLD)
    over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert over <= 0, f"{over} pixels too wide"
    page.close()


@pytest.mark.parametrize("width", [390, 1440])
def test_each_pdu_has_an_arrow_between_the_two_sides(browser: Browser, address: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    open_page(page, address)
    page.evaluate(UNFOLD)
    frames = page.locator(".frames").first
    frames.scroll_into_view_if_needed()
    inside = frames.evaluate(
        """(list) => {
          const box = list.getBoundingClientRect();
          return [...list.querySelectorAll(".way")].map((way) => {
            const arrow = way.getBoundingClientRect();
            return arrow.width >= 20 && arrow.left >= box.left && arrow.right <= box.right;
          });
        }"""
    )
    assert inside
    assert all(inside)
    page.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), pytest.param(1440, "light", marks=in_gate)])
def test_axe_finds_nothing(
    browser: Browser, tmp_path: Path, one_of_each: Results, width: int, scheme: Any
) -> None:
    path = tmp_path / "page.html"
    path.write_text(render_html(one_of_each), encoding="utf-8")
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    open_page(page, path.as_uri())
    assert barriers(page) == []
    page.evaluate(UNFOLD)
    assert barriers(page) == []
    context.close()


def test_paper_shows_the_findings_without_the_filter(page: Page, address: str) -> None:
    open_page(page, address)
    page.emulate_media(media="print")
    expect(page.locator(".filter")).to_be_hidden()
    expect(page.locator(".finding").first).to_be_visible()
    expect(page.locator(".repro button").first).to_be_hidden()
