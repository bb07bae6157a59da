"""Which requirements are of one section, and of one subject."""

from __future__ import annotations

from swn_torture.faults.matrix.subjects import ENTRY, SUBJECTS, related, same_section, section_or_topic
from swn_torture.spec import load_catalogue


def test_same_section_is_one_section_or_topic() -> None:
    assert "SWN-3.1.4.2-null-ipaddress" in same_section(["SWN-3.1.4.2-null-netname"])
    assert "SWN-3.1.4.5-null-netname" not in same_section(["SWN-3.1.4.2-null-netname"])
    assert "RPC-FRAG-oversize" in same_section(["RPC-FRAG-request"])
    assert "RPC-CTXH-rundown" not in same_section(["RPC-FRAG-request"])


def test_related_is_one_subject() -> None:
    assert "SWN-3.1.4.5-null-netname" in related(["SWN-3.1.4.2-null-netname"])
    assert "SWN-3.1.4.1-groupname" not in related(["SWN-3.1.4.2-null-netname"])
    assert same_section(["RPC-OPNUM-unknown"]) == related(["RPC-OPNUM-unknown"]), (
        "a topic that is in no subject is a subject by itself"
    )


def test_subjects_name_known_sections() -> None:
    known = {ENTRY} | {section_or_topic(name) for name in load_catalogue().requirements}

    assert not {section for subject in SUBJECTS.values() for section in subject} - known
