"""The matrix in Chromium, as a reader uses it: filters, evidence, keys, addresses, widths, accessibility."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import expect

from swn_torture.report.matrix import Matrix, render_matrix
from tests.examples import in_gate, one_in
from tests.report.conftest import barriers

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from swn_torture.report.results import Results

VIOLATED = "SWN-3.1.4.2-null-netname"
NULL_NAME = "rpc.register.null-name[ndr32]"
VIEWS = ("causes", "requirements", "cases", "choices", "totals")


@pytest.fixture
def address(tmp_path: Path, good: Results, explained: Results) -> str:
    path = tmp_path / "matrix.html"
    path.write_text(render_matrix(Matrix.of([good, explained])), encoding="utf-8")
    return path.as_uri()


def rows(page: Page) -> list[str]:
    """The ids of the rows that are shown."""
    return [text or "" for text in page.locator("tbody th code").all_text_contents()]


def query(page: Page) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).fragment)


def test_first_table_has_the_causes(page: Page, address: str) -> None:
    page.goto(address)
    assert rows(page) == ["null-name"]
    assert page.locator(".cell").all_inner_texts() == ["✓ not seen", "✗ 1 of 1 case"]


def test_evidence_is_one_click_away(page: Page, address: str) -> None:
    page.goto(f"{address}#view=cases&verdict=f")
    assert rows(page) == [NULL_NAME]
    page.locator('.cell[data-column="1"]').click()
    panel = page.locator("#evidence")
    expect(panel).to_be_visible()
    text = panel.inner_text()
    for part in (
        "bad: violation",
        "ERROR_INVALID_PARAMETER (0x57)",
        "ERROR_SUCCESS (0x0)",
        VIOLATED,
        "--case",
    ):
        assert part in text
    panel.get_by_role("button", name="good").click()  # the other target, in the same panel
    assert "0x57 of good" in panel.inner_text()


def test_address_holds_filters_and_the_chosen_verdict(page: Page, address: str, browser: Browser) -> None:
    page.goto(address)
    page.locator(".views").get_by_text("Requirements").click()
    page.get_by_label("Search").fill("null")
    page.get_by_label("Differences only").check()
    page.wait_for_url(re.compile(r"#(?=.*diff=1)(?=.*q=null)"))
    assert rows(page) == [VIOLATED]
    page.locator('.cell[data-column="1"]').click()
    assert query(page) == {
        "view": ["requirements"],
        "q": ["null"],
        "diff": ["1"],
        "at": [f"requirements~{VIOLATED}~bad"],
    }
    again = browser.new_page()
    again.goto(page.url)
    assert rows(again) == [VIOLATED]
    assert "bad: violated" in again.locator("#evidence").inner_text()
    again.close()


def test_differences_only_leaves_out_what_all_targets_do_alike(page: Page, address: str) -> None:
    page.goto(f"{address}#view=requirements")
    every = len(rows(page))
    assert f"{every} requirements" in page.locator("output").inner_text()
    page.goto(f"{address}#view=requirements&diff=1")
    page.reload()
    assert rows(page) == [VIOLATED]
    page.goto(f"{address}#view=requirements&diff=1&hide=bad")
    page.reload()
    expect(page.locator(".nothing")).to_be_visible()
    page.goto(f"{address}#view=choices&diff=1")
    page.reload()
    assert rows(page) == ["AMB-1"]
    assert page.locator(".cell").all_inner_texts() == ["ERROR_NOT_FOUND (0x490)", "ERROR_SUCCESS (0x0)"]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("view=requirements&section=MS-SWN 3.1.4.2&verdict=f", {VIOLATED}),
        ("view=requirements&section=MS-SWN 3.1.4.1&verdict=f", set()),
        ("view=requirements&level=SHOULD&verdict=f", set()),
        ("view=cases&q=register-ex", {"rpc.register-ex.wrong-version"}),
        ("view=totals&q=must", {"MUST", "MUST NOT"}),
    ],
)
def test_filters_select_rows(page: Page, address: str, filters: str, found: set[str]) -> None:
    page.goto(f"{address}#{filters}")
    shown = (
        page.locator("tr[data-total]:visible th").all_text_contents() if "totals" in filters else rows(page)
    )
    assert set(shown) == found


def test_a_hidden_target_has_no_column(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("good", exact=True).uncheck()
    expect(page.locator("#table thead th")).to_have_count(2)
    assert query(page)["hide"] == ["good"]
    expect(page.locator('.targets [data-col="0"], .targets li').first).to_be_hidden()


def test_keys_move_open_and_close(page: Page, address: str) -> None:
    page.goto(address)
    page.keyboard.press("3")
    page.wait_for_url(re.compile("#.*view=cases"))
    first = page.locator(".cell").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    at = page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column]")
    assert at == [rows(page)[1], "1"]
    page.keyboard.press("Enter")
    expect(page.locator("#evidence")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#evidence")).to_be_hidden()
    assert page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column]") == at
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    page.keyboard.type("d1")  # in a field these are letters
    assert page.get_by_label("Search").input_value() == "d1"
    assert not page.get_by_label("Differences only").is_checked()


def test_only_one_cell_is_in_the_order_of_tab(page: Page, address: str) -> None:
    page.goto(f"{address}#view=requirements")
    assert page.locator('.cell[tabindex="0"]').count() == 1


@pytest.mark.parametrize("view", one_in(2, VIEWS))
def test_no_table_is_wider_than_the_window(browser: Browser, address: str, view: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}#view={view}")
    for chosen in (False, True):
        if chosen and view != "totals":
            page.locator('.cell[data-column="1"]').first.click()
        for width in (390, 820, 1440, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            over = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert over <= 0, f"{over} pixels too wide for {width}"
    page.close()


@in_gate
@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1440, "light")])
def test_axe_finds_nothing(browser: Browser, address: str, width: int, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    for view in VIEWS:
        page.goto(f"{address}#view={view}&diff=1")
        page.reload()
        for parts in (None, ["#evidence", "#table tbody tr:first-child"]):
            if parts:
                if view == "totals":
                    continue
                page.locator('.cell[data-column="1"]').first.click()
                expect(page.locator("#evidence")).to_be_visible()
            assert barriers(page, parts) == []
    context.close()


def test_paper_shows_the_table_without_the_filters(page: Page, address: str) -> None:
    page.goto(f"{address}#view=cases&verdict=f")
    page.emulate_media(media="print")
    expect(page.locator(".filter")).to_be_hidden()
    expect(page.locator(".cell").first).to_be_visible()


def test_without_a_script_targets_and_totals_are_there(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    assert "need JavaScript" in page.locator("main").inner_text()
    expect(page.locator('tr[data-total="MUST"]')).to_be_visible()
    expect(page.locator(".filter")).to_be_hidden()
    context.close()


def test_octets_of_a_finding_are_shown_by_field(page: Page, tmp_path: Path, few: Results) -> None:
    path = tmp_path / "few.html"
    other = dataclasses.replace(few, target=dataclasses.replace(few.target, name="other"))
    path.write_text(render_matrix(Matrix.of([few, other])), encoding="utf-8")
    case = next(case for case in few.cases if case.outcome == "failed")
    page.goto(f"{path.as_uri()}#view=cases&at=cases~{case.id}~samba-4.22")
    panel = page.locator("#evidence")
    assert panel.locator(".frames li").count() > 3
    assert "0000  05 00" in panel.locator(".octets").last.inner_text()
