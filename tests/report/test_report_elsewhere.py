"""What the page says of other implementations: from the catalogue and the shipped baselines."""

from __future__ import annotations

from swn_torture.report.elsewhere import known_elsewhere
from swn_torture.spec import load_catalogue


def test_samba_is_known_by_its_baselines() -> None:
    texts = known_elsewhere("RPC-BIND-context-limit", load_catalogue())
    title = "The number of presentation contexts on a connection has no limit"
    assert texts[0] == f"Samba 4.22 and Samba 4.25 in our lab: {title}."


def test_windows_is_known_by_open_points_and_notes() -> None:
    texts = known_elsewhere("SWN-V14-3.1.4.3-unknown-handle", load_catalogue())
    assert any("AMB-1, " in text and "Windows Server 2012" in text for text in texts)


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert known_elsewhere("SWN-3.1.4.2-null-netname", load_catalogue()) == ()
    assert known_elsewhere("OWN-1", load_catalogue()) == ()
