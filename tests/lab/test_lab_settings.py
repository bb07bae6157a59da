"""The lab before it is up: settings, files, profile, and the cache of base trees."""

from __future__ import annotations

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from swn_torture import lab
from swn_torture.control.ctdb import CtdbController
from swn_torture.lab import base, tools
from swn_torture.lab.config import PACKAGES, NodeConfig, namespace
from swn_torture.lab.profile import profile_of, to_toml
from swn_torture.lab.scripts import exec_script, machine_script
from swn_torture.lab.settings import node_files
from swn_torture.target import parse_profile


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"nodes": 0}, "1 to 16 nodes, not 0"),
        ({"nodes": 17}, "1 to 16 nodes, not 17"),
        ({"release": "bookworm"}, r"'bookworm'; there is: trixie \(Samba 4\.22\), forky"),
        ({"name": "my-lab"}, "cannot be called 'my-lab'"),
        ({"name": "../etc"}, "cannot be called"),
    ],
)
def test_a_lab_that_cannot_be(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(lab.LabError, match=problem):
        lab.LabConfig(**settings)  # type: ignore[arg-type]


def test_addresses_of_a_full_lab_are_all_different() -> None:
    nodes = lab.LabConfig(nodes=lab.MAX_NODES).node_configs
    assert len({n.address for n in nodes} | {n.public_address for n in nodes}) == 2 * lab.MAX_NODES


def test_passwords_do_not_show() -> None:
    assert "Passw0rd" not in repr(lab.LabConfig())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """As much of a base tree as the settings read."""
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    for name in ("passwd", "group", "shadow"):
        (etc / name).write_text("root:x:0:0::/root:/bin/sh\n", encoding="utf-8")
    return etc.parent


def test_files_of_a_node(tree: Path) -> None:
    config = lab.LabConfig(nodes=2, include_node_addresses=True)
    files = node_files(config, config.node_configs[1], tree)
    assert files["etc/hostname"] == ("node2\n", 0o644)
    assert files["etc/ctdb/nodes"][0] == "198.51.100.10\n198.51.100.11\n"
    assert files["etc/ctdb/public_addresses"][0] == "198.51.100.200/24 eth0\n198.51.100.199/24 eth0\n"
    assert "rpcd witness:include node ips = yes" in files["etc/samba/smb.conf"][0]
    assert files["etc/passwd"][0].splitlines()[1:] == [
        "witness:x:2001:2001::/nonexistent:/usr/sbin/nologin",
        "witness2:x:2002:2002::/nonexistent:/usr/sbin/nologin",
    ]
    # The one file with a password in it is root's alone.
    assert [path for path, (text, _) in files.items() if "Passw0rd" in text] == ["etc/swn-probe.json"]
    assert files["etc/swn-probe.json"][1] == 0o600


def test_scripts_are_ones_that_a_shell_can_read(tmp_path: Path) -> None:
    for text in (exec_script(), machine_script(lab.LabConfig())):
        script = tmp_path / "script"
        script.write_text(text, encoding="utf-8")
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_profile_of_a_lab_is_one_that_the_suite_can_read() -> None:
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


def test_the_shipped_profile_is_the_one_of_the_default_lab() -> None:
    shipped = Path(__file__).parents[2] / "fixtures/profiles/samba-lab.toml"
    tables = tomllib.loads(shipped.read_text(encoding="utf-8"))
    assert tables == tomllib.loads(to_toml(profile_of(lab.LabConfig(), title=tables["title"])))


def test_namespaces_of_a_lab_are_told_from_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        namespace("a", "node1"),
        namespace("a", "switch"),
        namespace("ab", "client"),
        "swn-x",
        "other",
    ):
        (tmp_path / name).touch()
    monkeypatch.setattr("swn_torture.lab.namespaces._DIRECTORY", tmp_path)
    assert lab.labs() == ["a", "ab"]
    assert not lab.in_client_namespace("a")


def test_a_host_without_the_tools_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(tools, "missing_tools", lambda: {"ip": "iproute2", "unshare": "util-linux"})
    assert lab.unavailable() == (
        "The lab needs ip, unshare, which this host lacks: apt-get install iproute2 util-linux."
    )


def test_nobody_but_root_gets_a_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(lab.LabError, match="run it as root"):
        lab.up()


# The cache


def test_a_base_tree_belongs_to_its_release_and_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = {base.base_path("trixie", tmp_path), base.base_path("forky", tmp_path)}
    monkeypatch.setattr(base, "PACKAGES", (*PACKAGES, "one-more"))
    paths.add(base.base_path("trixie", tmp_path))
    assert len(paths) == 3


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/me/.cache")
    assert lab.cache_directory() == Path("/home/me/.cache/swn-torture")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert lab.cache_directory() == Path("/var/cache/swn-torture")


class Interrupted(BaseException):
    """Stands for what no build expects."""


def test_an_interrupted_build_never_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_half_way(release: str, partial: Path, progress: base.Progress) -> None:
        (partial / "etc").mkdir(parents=True)
        raise Interrupted

    def build(release: str, partial: Path, progress: base.Progress) -> None:
        (partial / "etc").mkdir(parents=True)

    monkeypatch.setattr(base, "_contained", lambda *_: None)
    monkeypatch.setattr(base, "_verify", lambda _: None)
    monkeypatch.setattr(base, "_debootstrap", stop_half_way)
    with pytest.raises(Interrupted):
        base.ensure_base("trixie", lambda _: None, tmp_path)
    tree = base.base_path("trixie", tmp_path)
    assert not tree.exists()

    # One that a killed process left behind is cleared away and said so.
    (tree.with_name(f"{tree.name}.partial") / "proc").mkdir(parents=True)
    said: list[str] = []
    monkeypatch.setattr(base, "_debootstrap", build)
    assert base.ensure_base("trixie", said.append, tmp_path) == tree
    assert (tree / "etc").is_dir()
    assert not (tree / "proc").exists()
    assert said[0] == "clearing away a base tree that was never finished"


def test_a_cached_tree_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_build", lambda *_: pytest.fail("built again"))
    base.base_path("forky", tmp_path).mkdir()
    assert base.ensure_base("forky", lambda _: None, tmp_path) == base.base_path("forky", tmp_path)


def test_a_mirror_out_of_reach_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_contained_code", lambda *_: (1, "E: Failed getting release file"))
    with pytest.raises(lab.LabError, match=r"could not fetch Debian trixie.*Failed getting.*http_proxy"):
        base.ensure_base("trixie", lambda _: None, tmp_path)
    assert list(tmp_path.glob("trixie-*/*")) == []
