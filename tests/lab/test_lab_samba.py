"""A lab with a Samba of the user: a tree made from Debian's packages, and .deb files made from that tree."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from swn_torture import lab
from swn_torture.commands.lab import command
from swn_torture.lab.base import ensure_base
from swn_torture.lab.profile import profile_of
from swn_torture.lab.samba import Build, prepare
from swn_torture.lab.samba.layer import files_of, hidden_packages
from swn_torture.target import load_profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.lab

CONTROL = "Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n"


@pytest.fixture(scope="session")
def base(lab_host: None) -> Path:
    return ensure_base("trixie", lambda _: None)


@pytest.fixture
def tree(base: Path, tmp_path: Path) -> Path:
    """The files of Debian's Samba, as `make install DESTDIR=...` would leave them."""
    made = tmp_path / "tree"
    for file in files_of(hidden_packages(base), base):
        target = made / file.relative_to("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(base / file.relative_to("/"), target, follow_symlinks=False)
    # Debian's package has no link for the lab to make.
    shutil.rmtree(made / "etc/ctdb/events/legacy")
    return made


@pytest.fixture
def prepared(base: Path, tmp_path: Path) -> Callable[[Path], Build]:
    """Prepares the build in a directory, as `lab up` does before there is a node."""

    def prepare_build(directory: Path) -> Build:
        files = tmp_path / "files"
        files.mkdir()
        return prepare(lab.LabConfig(samba=str(directory)), base, files, lambda _: None)

    return prepare_build


def build_ids(base: Path) -> dict[str, str]:
    """The build ids of Debian's programs, as file(1) or readelf would print them."""
    paths = {
        "rpcd_witness": "usr/libexec/samba/rpcd_witness",
        "smbd": "usr/sbin/smbd",
        "ctdbd": "usr/sbin/ctdbd",
    }
    # The note has the name GNU, the type 3 and 20 octets.
    header = bytes.fromhex("04000000 14000000 03000000 474e5500")
    found = {}
    for name, path in paths.items():
        octets = (base / path).read_bytes()
        start = octets.index(header) + len(header)
        found[name] = octets[start : start + 20].hex()
    return found


def ctdb_less(tree: Path) -> None:
    for file in [*tree.rglob("ctdb*")]:
        if file.is_file() or file.is_symlink():
            file.unlink()


def needs(program: Path, library: str, other: str) -> None:
    """Let a program need another library than it does; the names have the same length."""
    octets = program.read_bytes()
    assert octets.count(b"\0" + library.encode() + b"\0") == 1
    program.write_bytes(octets.replace(library.encode() + b"\0", other.encode() + b"\0"))


def deb(directory: Path, name: str, tree: Path, *paths: str) -> None:
    """Make a package of files of a tree, which it takes away."""
    content = directory / name
    for path in paths:
        target = content / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (tree / path).rename(target)
    (content / "DEBIAN").mkdir()
    (content / "DEBIAN/control").write_text(CONTROL.format(name=name), encoding="utf-8")
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", "-Znone", content, directory / f"{name}_1_all.deb"],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(content)


@pytest.fixture
def debs(tree: Path, tmp_path: Path) -> Path:
    """The tree as two packages."""
    directory = tmp_path / "debs"
    directory.mkdir()
    deb(directory, "witness", tree, "usr/libexec/samba/rpcd_witness")
    deb(directory, "samba", tree, *(entry.name for entry in tree.iterdir()))
    return directory


# A lab that is up


@pytest.fixture
def lab_with_tree(tree: Path, tmp_path: Path, lab_name: str) -> Iterator[str]:
    """The name of a lab of one node with the tree and a setting of the user."""
    (tree / "usr/bin/smbstatus").unlink()
    settings = tmp_path / "smb.conf"
    settings.write_text("[global]\n  server string = made here\n[more]\n  path = /clusterfs\n", "utf-8")
    name = f"{lab_name}own"
    arguments = ["up", "--name", name, "--nodes", "1", "--samba", str(tree), "--smb-conf", str(settings)]
    try:
        result = CliRunner().invoke(command, arguments)
        assert result.exit_code == 0, result.output
        yield name
    finally:
        lab.down(name)


def on_node(name: str, *words: str) -> str:
    done = subprocess.run(lab.command("node1", words, name), capture_output=True, text=True, check=False)
    return done.stdout


def test_lab_runs_the_tree(lab_with_tree: str, tree: Path, base: Path) -> None:
    name = lab_with_tree
    found = lab.find(name)
    assert found is not None
    assert found.builds == build_ids(base)
    status = CliRunner().invoke(command, ["status", "--name", name])
    assert f"of {tree} on Debian trixie, 1 CTDB node\n" in status.output
    assert f"rpcd_witness: build id {build_ids(base)['rpcd_witness']}\n" in status.output
    profile = load_profile(str(found.directory / "profile.toml"))
    assert profile.product is not None
    assert (profile.product.version, profile.product.builds) == (found.samba, build_ids(base))

    # The tree has no smbstatus, and Debian's is hidden. The settings of the user are used.
    assert on_node(name, "sh", "-c", "command -v smbd smbstatus") == "/usr/sbin/smbd\n"
    assert on_node(name, "testparm", "-s", "--parameter-name=server string") == "made here\n"
    assert "10.interface" in on_node(name, "ctdb", "event", "status", "legacy", "startup")

    # The same lab again: it stays. After another `make install` it would not be the same any more.
    config = found.config
    assert lab.up(config) == found
    build = lab.config.build_directory(name)
    assert build.is_dir()
    (tree / "usr/bin/ctdb").touch()
    with pytest.raises(lab.LabError, match=r"as it was before its last change\. Stop it with"):
        lab.up(config)
    lab.down(name)
    assert not build.exists()
    assert (tree / "usr/bin/ctdb").is_file()


def test_unknown_setting_ends_the_start(tree: Path, tmp_path: Path, lab_name: str) -> None:
    name = f"{lab_name}own"
    config = lab.LabConfig(name=name, nodes=1, samba=str(tree), smb_conf="[global]\n  witnes = yes\n")
    with pytest.raises(lab.LabError, match=r'does not accept the settings of --smb-conf: .*"witnes"'):
        lab.up(config)
    assert lab.status(name).state == "down"
    assert not lab.config.build_directory(name).exists()


# Builds that are prepared, or refused


def test_packages_are_laid_over_debian(prepared: Callable[[Path], Build], debs: Path, base: Path) -> None:
    build = prepared(debs)
    assert build.identity.builds == build_ids(base)
    assert build.identity.version.startswith("4.22.")
    assert build.places.libexec == "/usr/libexec/samba"
    assert (build.layers[0] / "usr/sbin/smbd").is_file()


def test_packages_without_a_witness_service_are_refused(
    prepared: Callable[[Path], Build], debs: Path
) -> None:
    (debs / "witness_1_all.deb").unlink()
    with pytest.raises(lab.LabError) as refused:
        prepared(debs)
    assert str(refused.value) == (
        f"The lab cannot use the Samba in {debs}. It lacks rpcd_witness (package samba-common-bin): the "
        f"witness service. Add these packages of the same build to the directory: samba-common-bin."
    )


def test_two_versions_of_a_package_are_refused(prepared: Callable[[Path], Build], debs: Path) -> None:
    shutil.copy(debs / "witness_1_all.deb", debs / "witness_2_all.deb")
    with pytest.raises(lab.LabError, match=r"two versions of the package witness: witness_1_all.deb and"):
        prepared(debs)


def test_tree_without_ctdb_is_refused(prepared: Callable[[Path], Build], tree: Path) -> None:
    ctdb_less(tree)
    with pytest.raises(lab.LabError, match=r"It lacks ctdbd: the cluster; ctdb: changes the cluster; .*"):
        prepared(tree)


def test_tree_that_lacks_a_library_of_samba(prepared: Callable[[Path], Build], tree: Path) -> None:
    for file in [*tree.rglob("libwbclient.so.0*")]:
        file.unlink()
    with pytest.raises(lab.LabError, match=r"of Samba itself: libwbclient\.so\.0 \(libwbclient0\); install"):
        prepared(tree)


def test_missing_library_is_named_with_its_package(prepared: Callable[[Path], Build], tree: Path) -> None:
    needs(tree / "usr/sbin/smbd", "libpopt.so.0", "libtiff.so.6")
    # Without access to Debian the package is a guess by the name of the library.
    with pytest.raises(
        lab.LabError, match=r"lacks: libtiff\.so\.6 \((probably )?package libtiff6\)\. Add: --pa"
    ):
        prepared(tree)


def test_tree_at_another_place_is_refused(
    prepared: Callable[[Path], Build], tree: Path, tmp_path: Path
) -> None:
    moved = tmp_path / "moved"
    (moved / "opt").mkdir(parents=True)
    (tree / "usr").rename(moved / "opt/samba")
    with pytest.raises(
        lab.LabError,
        match=r"elsewhere than the directory has it \(/opt/samba/lib/.*\): the tree was made for another",
    ):
        prepared(moved)


def test_python_module_is_searched_where_the_build_has_it(
    tree: Path, prepared: Callable[[Path], Build]
) -> None:
    place = tree / "opt/samba/lib/python3.13/site-packages"
    place.parent.mkdir(parents=True)
    (tree / "usr/lib/python3/dist-packages").rename(place)
    build = prepared(tree)
    assert (build.places.python, build.notes) == ("/opt/samba/lib/python3.13/site-packages", ())
    config = lab.LabConfig(samba=str(tree))
    controller = profile_of(config, places=build.places)["controller"]
    assert controller["python"] == "env PYTHONPATH=/opt/samba/lib/python3.13/site-packages python3"


def test_python_module_that_is_found_without_help_needs_no_setting(
    tree: Path, prepared: Callable[[Path], Build]
) -> None:
    build = prepared(tree)
    assert (build.places.python, build.notes) == ("", ())
    assert "python" not in profile_of(lab.LabConfig(), places=build.places)["controller"]


def test_build_without_the_python_module_is_noted(tree: Path, prepared: Callable[[Path], Build]) -> None:
    shutil.rmtree(tree / "usr/lib/python3/dist-packages")
    (note,) = prepared(tree).notes
    assert note.startswith("The build lacks the Python module samba.messaging (it has no such module): ")
