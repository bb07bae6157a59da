"""The configuration, files and profile of a lab, and the cache of base trees. No lab is started."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from swn_torture import lab
from swn_torture.control.ctdb.controller import CtdbController
from swn_torture.lab import base, tools
from swn_torture.lab.config import PACKAGES, NodeConfig, namespace
from swn_torture.lab.profile import profile_of, to_toml
from swn_torture.lab.scripts import exec_script, machine_script
from swn_torture.lab.settings import node_files, smb_conf, start_services
from swn_torture.target import load_profile, parse_profile


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"nodes": 0}, "1 to 16 nodes, not 0"),
        ({"nodes": 17}, "1 to 16 nodes, not 17"),
        ({"release": "bookworm"}, r"'bookworm'; known: trixie \(Samba 4\.22\), forky"),
        ({"name": "my-lab"}, "'my-lab' is not a possible name"),
        ({"name": "../etc"}, "is not a possible name"),
        ({"name": "lab."}, "is not a possible name"),
        ({"shares": "many"}, "'many'; known: usual, plain"),
    ],
)
def test_impossible_configuration_is_an_error(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(lab.LabError, match=problem):
        lab.LabConfig(**settings)  # type: ignore[arg-type]


def test_repr_of_the_configuration_has_no_password() -> None:
    assert "Passw0rd" not in repr(lab.LabConfig())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The files of a base tree that the settings read."""
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    for name in ("passwd", "group", "shadow"):
        (etc / name).write_text("root:x:0:0::/root:/bin/sh\n", encoding="utf-8")
    return etc.parent


def test_files_of_a_node(tree: Path) -> None:
    config = lab.LabConfig(nodes=2, include_node_addresses=True, ipv6=True)
    files = node_files(config, config.node_configs[1], tree)
    assert files["etc/hostname"] == ("node2\n", 0o644)
    assert files["etc/ctdb/nodes"][0] == "198.51.100.10\n198.51.100.11\n"
    assert files["etc/ctdb/public_addresses"][0].splitlines() == [
        *("198.51.100.200/24 eth0", "198.51.100.180/24 eth0"),
        *("fd53:574e::200/48 eth0", "fd53:574e::180/48 eth0"),
        *("198.51.100.199/24 eth0", "198.51.100.179/24 eth0"),
        *("fd53:574e::1ff/48 eth0", "fd53:574e::17f/48 eth0"),
    ]
    assert "rpcd witness:include node ips = yes" in files["etc/samba/smb.conf"][0]
    assert files["etc/passwd"][0].splitlines()[1:] == [
        "witness:x:2001:2001::/nonexistent:/usr/sbin/nologin",
        "witness2:x:2002:2002::/nonexistent:/usr/sbin/nologin",
    ]
    # Only one file has a password, and only root can read it.
    assert [path for path, (text, _) in files.items() if "Passw0rd" in text] == ["etc/swn-probe.json"]
    assert files["etc/swn-probe.json"][1] == 0o600


@pytest.mark.parametrize(("shares", "scale_out"), [("usual", 1), ("plain", 3)])
def test_shares_that_are_not_scale_out(shares: str, scale_out: int) -> None:
    text = smb_conf(lab.LabConfig(shares=shares))
    assert [name in text for name in ("[data]", "[moving]", "[plain]")] == [True] * 3
    assert text.count("SCALE OUT = no") == text.count("CLUSTER = no") == scale_out
    assert text.count("ASYMMETRIC = yes") == 1


def test_services_of_a_lab_without_the_share_service() -> None:
    with_it, without = (start_services(lab.LabConfig(share_service=each))[1] for each in (True, False))
    assert with_it[2:] == ("--libexec-rpcds",)
    assert [program.rpartition("/")[2] for program in without[2:]] == ["rpcd_epmapper", "rpcd_witness"]


def test_scripts_are_valid_shell(tmp_path: Path) -> None:
    for text in (exec_script(), machine_script(lab.LabConfig())):
        script = tmp_path / "script"
        script.write_text(text, encoding="utf-8")
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_profile_of_a_lab_loads() -> None:
    text = to_toml(profile_of(lab.LabConfig(nodes=2, name="two"), title='a "lab"'))
    profile = parse_profile(tomllib.loads(text))
    assert (profile.name, profile.title, profile.net_name) == ("samba-two", 'a "lab"', "SWNCLUSTER")
    assert profile.network_namespace == "swn-two-client"
    assert [(n.name, n.address) for n in profile.nodes] == [
        ("node1", NodeConfig(0).address),
        ("node2", NodeConfig(1).address),
    ]
    assert profile.account.password == "Passw0rd!"
    assert profile.second_account is not None
    settings = {key: value for key, value in profile.controller.items() if key != "kind"}
    assert "fail-power-off" in CtdbController.from_settings(settings).capabilities


def test_shipped_profile_fits_the_default_lab_without_title() -> None:
    shipped = Path(__file__).parents[2] / "fixtures/profiles/samba-lab.toml"
    tables = tomllib.loads(shipped.read_text(encoding="utf-8"))
    assert tables == tomllib.loads(to_toml(profile_of(lab.LabConfig())))
    assert "title" not in tables


@pytest.mark.parametrize(
    ("config", "samba", "title"),
    [
        (lab.LabConfig(), "4.22.11-Debian-1", "Samba 4.22.11-Debian-1 on Debian trixie, 3 CTDB nodes"),
        (lab.LabConfig(nodes=1, release="forky"), "4.25.3", "Samba 4.25.3 on Debian forky, 1 CTDB node"),
    ],
)
def test_title_has_the_release_and_the_samba_of_the_lab(
    config: lab.LabConfig, samba: str, title: str, tmp_path: Path
) -> None:
    path = lab.write_profile(lab.Lab(config, samba, tmp_path))
    assert path == tmp_path / "profile.toml"
    assert load_profile(str(path)).title == title


def test_labs_are_found_by_their_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        namespace("a", "node1"),
        namespace("a", "switch"),
        namespace("ab", "client"),
        "swn-x",
        "other",
    ):
        (tmp_path / name).touch()
    monkeypatch.setattr("swn_torture.lab.namespaces._DIRECTORY", tmp_path)
    assert lab.lab_names() == ["a", "ab"]
    assert not lab.in_client_namespace("a")


def test_missing_commands_name_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools, "missing_tools", lambda: {"ip": "iproute2", "unshare": "util-linux"})
    assert lab.unavailable_reason() == (
        "This machine lacks ip, unshare. Install with: apt-get install iproute2 util-linux"
    )


def test_lab_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(lab.LabError, match="run it as root"):
        lab.up()


# The cache


def test_base_tree_depends_on_release_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {base.base_path("trixie", tmp_path), base.base_path("forky", tmp_path)}
    monkeypatch.setattr(base, "PACKAGES", (*PACKAGES, "one-more"))
    paths.add(base.base_path("trixie", tmp_path))
    assert len(paths) == 3


def test_cache_follows_xdg_cache_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/.cache")
    assert lab.cache_directory() == Path("/home/me/.cache/swn-torture")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert lab.cache_directory() == Path("/var/cache/swn-torture")


class Interrupted(BaseException):
    """An exception that the build does not expect."""


def test_interrupted_build_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(release: str, partial: Path, *_: object) -> None:
        (partial / "etc").mkdir(parents=True)
        raise Interrupted

    def build(release: str, partial: Path, *_: object) -> None:
        (partial / "etc").mkdir(parents=True)

    monkeypatch.setattr(base, "_contained", lambda *_: None)
    monkeypatch.setattr(base, "_verify", lambda *_: None)
    monkeypatch.setattr(base, "_debootstrap", interrupt)
    with pytest.raises(Interrupted):
        base.ensure_base("trixie", lambda _: None, tmp_path)
    tree = base.base_path("trixie", tmp_path)
    assert not tree.exists()

    # The next build removes the tree of a killed process, and reports that.
    (tree.with_name(f"{tree.name}.partial") / "proc").mkdir(parents=True)
    progress: list[str] = []
    monkeypatch.setattr(base, "_debootstrap", build)
    assert base.ensure_base("trixie", progress.append, tmp_path) == tree
    assert (tree / "etc").is_dir()
    assert not (tree / "proc").exists()
    assert progress[0] == "removing an incomplete base tree"


def test_tree_in_the_cache_is_used_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_build", lambda *_: pytest.fail("built again"))
    base.base_path("forky", tmp_path).mkdir()
    assert base.ensure_base("forky", lambda _: None, tmp_path) == base.base_path("forky", tmp_path)


def test_unreachable_mirror_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_contained_code", lambda *_: (1, "E: Failed getting release file"))
    with pytest.raises(lab.LabError, match=r"could not fetch Debian trixie.*Failed getting.*http_proxy"):
        base.ensure_base("trixie", lambda _: None, tmp_path)
    assert list(tmp_path.glob("trixie-*/*")) == []
