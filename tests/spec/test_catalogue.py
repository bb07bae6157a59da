"""The shipped catalogue is consistent, and the loader rejects a catalogue that contradicts itself."""

from __future__ import annotations

import copy
import tomllib
from importlib import resources
from typing import Any

import pytest

from swn_torture.spec import CatalogueError, load_catalogue, section_key
from swn_torture.spec.catalogue import parse_catalogue
from swn_torture.spec.published import published


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return tomllib.loads(
        resources.files("swn_torture.spec").joinpath("catalogue.toml").read_text(encoding="utf-8")
    )


def test_shipped_catalogue_loads_completely() -> None:
    catalogue = load_catalogue()
    assert len(catalogue.requirements) == 575
    assert len(catalogue.ambiguities) == 46
    assert catalogue.revision == "14.0"


def test_observable_filters_by_role() -> None:
    catalogue = load_catalogue()
    assert len(catalogue.observable("server", "wire")) == 466
    assert len(catalogue.observable("client")) == 84


def test_note_about_a_product_is_no_requirement_on_others() -> None:
    rows = load_catalogue().requirements.values()
    notes = {row.id: row for row in rows if row.level == "product"}
    assert all(row.product for row in notes.values())
    assert not any(row.product for row in rows if row.id not in notes)
    assert not any(row.binding or row.judged for row in notes.values())
    assert notes["SWN-B2-version-2012"].product == "Windows Server 2012"
    counted = [row for row in rows if not row.apart]
    assert len(counted) == 455
    assert sum(row.apart == "product" for row in rows) == 466 - 455
    assert not {row.id for row in counted} & notes.keys()


@pytest.mark.parametrize(("level", "product"), [("product", ""), ("MUST", "Windows Server 2012")])
def test_row_of_the_wrong_level_with_a_product_is_rejected(level: str, product: str) -> None:
    row = {
        "id": "X", "section": "7", "level": level, "role": "server", "source": "MS-SWN", "revision": "both",
        "text": "", "observable": True, "how": "", "needs": [], "notes": "", "product": product,
    }  # fmt: skip
    with pytest.raises(CatalogueError, match="X: a note of level 'product', and no other row"):
        parse_catalogue({"requirement": [row], "ambiguity": []})


def test_record_only_rows_are_neither_binding_nor_judged() -> None:
    for requirement in load_catalogue().requirements.values():
        if requirement.record_only:
            assert not requirement.binding
            assert not requirement.judged


def test_cite_gives_document_and_section() -> None:
    catalogue = load_catalogue()
    assert catalogue.requirements["SWN-3.1.4.2-null-netname"].cite == "MS-SWN 3.1.4.2"
    assert catalogue.requirements["SWN-V14-3.1.4.6-removes"].cite == "MS-SWN 3.1.4.6"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: d["requirement"].append(d["requirement"][0]), "used twice"),
        (lambda d: d["requirement"][0].update(level="WISH"), "level 'WISH'"),
        (lambda d: d["requirement"][0].update(role="proxy"), "role 'proxy'"),
        (lambda d: d["requirement"][0].update(same_as=["SWN-0-nothing"]), "same_as names SWN-0-nothing"),
        (lambda d: d["requirement"][0].update(notes="see AMB-99"), "AMB-99"),
        (lambda d: d["requirement"][0].pop("text"), "SWN-1.5-rpc-prereqs.*text"),
        (lambda d: d["requirement"][0].update(colour="blue"), "colour"),
        (
            lambda d: d["ambiguity"][0]["requirements"].append("RPC-nothing"),
            "AMB-1: names requirement RPC-nothing",
        ),
    ],
)
def test_parse_catalogue_rejects_contradictions(data: dict[str, Any], damage: Any, message: str) -> None:
    damaged = copy.deepcopy(data)
    damage(damaged)
    with pytest.raises(CatalogueError, match=message):
        parse_catalogue(damaged)


def test_section_key_sorts_sections_by_number() -> None:
    assert sorted(["3.1.4.10", "3.1.4.2", "3.1", "C706 12.6"], key=section_key) == [
        "3.1",
        "3.1.4.2",
        "3.1.4.10",
        "C706 12.6",
    ]


# Where the sections are published
# ---------------------------------------------------------------------------------------------------------


def test_every_requirement_has_a_published_section_or_document() -> None:
    urls = {row.cite: row.url for row in load_catalogue().requirements.values()}
    assert all(url.startswith("https://") for url in urls.values()), urls
    assert urls["MS-SWN 3.1.4.2"] != urls["MS-SWN 3.1.4.5"] != published("MS-SWN")
    assert urls["MS-SWN 3.1.6.1"] == published("MS-SWN")  # its page is not known
    assert published("MS-SWN 7 note <3> (3.1.4)") == published("MS-SWN 7")
    assert published("MS-RPCE 3.3.1.5.6; C706 12.6.3.1").startswith(published("MS-RPCE"))
    assert published("NFS 1.2") == ""


def test_every_published_section_is_cited_by_the_catalogue() -> None:
    text = resources.files("swn_torture.spec").joinpath("published.toml").read_text(encoding="utf-8")
    sections = tomllib.loads(text)
    cites = {row.cite.partition(" note")[0] for row in load_catalogue().requirements.values()}
    assert {f"MS-SWN {section}" for section in sections["MS-SWN"]["sections"]} <= cites
