"""What a build of Samba lacks, and where it has its files. No lab is started, and nothing is mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from swn_torture import lab
from swn_torture.lab.base import base_path
from swn_torture.lab.samba import libraries
from swn_torture.lab.samba.build import fingerprint
from swn_torture.lab.samba.identity import build_id
from swn_torture.lab.samba.layer import hidden_packages, make_layer
from swn_torture.lab.samba.merged import lower_directories
from swn_torture.lab.samba.parts import REQUIRED, Parts, find_parts, lack, packages_of
from swn_torture.lab.samba.places import DEBIAN, Places, has_cluster_support, smbd_places
from swn_torture.lab.settings import start_services

SMBD_B = """\
Paths:
   SBINDIR: /usr/local/samba/sbin
   CONFIGFILE: /usr/local/samba/etc/smb.conf

--with Options:
   CLUSTER_SUPPORT
"""


def program(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n", encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base tree with a package of Debian's Samba, one of its general libraries, and another package."""
    tree = tmp_path / "base"
    info = tree / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    for name in ("usr/sbin", "usr/lib/x86_64-linux-gnu", "etc", "run"):
        (tree / name).mkdir(parents=True)
    for link in ("sbin", "lib"):
        (tree / link).symlink_to(f"usr/{link}")
    (tree / "var/run").symlink_to("/run")
    files = {
        "samba": ["/usr/sbin/smbd", "/usr/libexec/samba/rpcd_witness"],
        "ctdb": ["/usr/sbin/ctdbd", "/usr/bin/ctdb"],
        "samba-libs:amd64": ["/lib/x86_64-linux-gnu/libsmbconf.so.0"],
        "libtalloc2:amd64": ["/usr/lib/x86_64-linux-gnu/libtalloc.so.2"],
        "dash": ["/usr/bin/sh"],
    }
    for package, paths in files.items():
        (info / f"{package}.list").write_text("/.\n/usr\n" + "".join(f"{p}\n" for p in paths), "utf-8")
        for path in paths:
            program(tree / path.lstrip("/"))
    source = {name.partition(":")[0]: "samba (2:4.22)" for name in files} | {"dash": "dash", "samba": ""}
    status = [
        f"Package: {name}\n" + (f"Source: {src}\n" if src else "") + "Status: install ok installed\n"
        for name, src in source.items()
    ]
    (tree / "var/lib/dpkg/status").write_text("\n".join(status), "utf-8")
    return tree


def complete(tree: Path) -> Path:
    """A directory with a program for each that the lab needs."""
    for name in REQUIRED:
        program(tree / "usr/sbin" / name)
    return tree


# Its programs


def test_complete_build_lacks_nothing(base: Path, tmp_path: Path) -> None:
    parts = find_parts(complete(tmp_path / "build"))
    assert not parts.missing
    assert parts.required("smbd") == "/usr/sbin/smbd"
    assert set(parts.missing_optional) == {"net", "testparm"}
    assert lack(parts, base=base, packages=False, clustered=True, version="4.22.1") == ""


def test_file_that_cannot_be_executed_is_no_program(tmp_path: Path) -> None:
    complete(tmp_path)
    (tmp_path / "usr/sbin/ctdb").chmod(0o644)
    assert set(find_parts(tmp_path).missing) == {"ctdb"}


def without(*names: str) -> Parts:
    return Parts({name: f"/usr/sbin/{name}" for name in REQUIRED if name not in names})


def test_packages_that_bring_missing_programs_are_named(base: Path) -> None:
    text = lack(
        without("rpcd_witness", "ctdbd", "ctdb"), base=base, packages=True, clustered=True, version="4.22"
    )
    assert "rpcd_witness (package samba): the witness service" in text
    assert "ctdbd (package ctdb): the cluster" in text
    assert text.endswith("Add these packages of the same build to the directory: ctdb samba.")
    assert packages_of(["smbd", "ctdb"], base) == {"smbd": "samba", "ctdb": "ctdb"}


def test_option_of_configure_is_named_without_cluster_support(base: Path) -> None:
    text = lack(without("rpcd_witness", "ctdb"), base=base, packages=False, clustered=False, version="4.22")
    assert "It lacks rpcd_witness: the witness service; ctdb: changes the cluster." in text
    assert "Configure the build with --with-cluster-support, and install it again." in text
    complete_text = lack(without(), base=base, packages=False, clustered=False, version="4.22")
    assert complete_text.startswith("Its smbd has no cluster support")


def test_installed_part_of_a_build_is_not_enough(base: Path) -> None:
    text = lack(without("net", "smbpasswd"), base=base, packages=False, clustered=True, version="4.22")
    assert "It lacks smbpasswd: makes the accounts of the lab. Install the whole build" in text


@pytest.mark.parametrize(
    ("version", "old"), [("4.19.9", True), ("3.6.25", True), ("4.20.0", False), ("", False)]
)
def test_samba_without_a_witness_service_is_named(base: Path, version: str, old: bool) -> None:
    text = lack(without("rpcd_witness"), base=base, packages=False, clustered=True, version=version)
    assert (f"It is Samba {version}, which has no witness service." in text) == old


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ((), "has neither .deb files nor an installed Samba"),
        (
            ("wscript", "bin/smbd"),
            "is a source tree of Samba. Install the build first: make install DESTDIR=",
        ),
        (("usr/bin/ctdb",), "no program smbd"),
        (("samba-dbgsym_1_amd64.deb", "samba-dev_1_amd64.deb"), "has neither .deb files"),
    ],
)
def test_directory_that_is_no_build(tmp_path: Path, files: tuple[str, ...], problem: str) -> None:
    for file in files:
        program(tmp_path / file)
    with pytest.raises(lab.LabError, match=problem):
        lab.find_build(str(tmp_path))
    with pytest.raises(lab.LabError, match="There is no directory"):
        lab.find_build(str(tmp_path / "absent"))


# Its paths


def test_paths_are_read_from_smbd() -> None:
    assert smbd_places(SMBD_B)["SBINDIR"] == "/usr/local/samba/sbin"
    assert has_cluster_support(SMBD_B)
    assert not has_cluster_support(SMBD_B.replace("   CLUSTER", "   NO_CLUSTER"))


def test_programs_of_the_build_come_first_in_path() -> None:
    places = Places(programs=("/opt/samba/sbin", "/usr/bin"), libexec="/opt/samba/libexec")
    assert start_services(lab.LabConfig(), places)[1][0] == "/opt/samba/libexec/samba-dcerpcd"
    assert places.path.split(":")[:3] == ["/opt/samba/sbin", "/usr/bin", "/usr/local/sbin"]
    assert DEBIAN.path == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_layers_with_special_characters_can_be_mounted() -> None:
    assert lower_directories([Path("/a:b"), Path("/c,d")]) == "/a\\:b:/c\\,d"


def test_further_packages_have_a_base_of_their_own() -> None:
    assert base_path("trixie") == base_path("trixie", None, ())
    assert base_path("trixie", None, ("b", "a")) == base_path("trixie", None, ("a", "b"))
    assert base_path("trixie", None, ("a",)) != base_path("trixie")
    with pytest.raises(lab.LabError, match="'Not a package' is not the name of a Debian package"):
        lab.LabConfig(packages=("Not a package",))


def test_fingerprint_changes_with_the_build(tmp_path: Path) -> None:
    complete(tmp_path)
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path) == before
    program(tmp_path / "usr/sbin/ctdb.new")
    (tmp_path / "usr/sbin/ctdb.new").rename(tmp_path / "usr/sbin/ctdb")
    assert fingerprint(tmp_path) != before


def test_build_id_of_what_is_no_program(tmp_path: Path) -> None:
    program(tmp_path / "smbd")
    with pytest.raises(lab.LabError, match="smbd is not a program of this architecture"):
        build_id(tmp_path / "smbd")


# Its layer


def test_samba_of_debian_is_hidden(base: Path) -> None:
    assert hidden_packages(base) == ["samba", "ctdb", "samba-libs"]
    own = libraries.own_libraries(base, hidden_packages(base))
    assert own == {"libsmbconf.so.0": "samba-libs"}


@pytest.mark.skipif("os.geteuid() != 0", reason="only root can hide a file from an overlay")
def test_layer_follows_the_links_of_the_base(base: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for path in ("sbin/smbd", "lib/libsmbconf.so.0", "var/run/samba/x", "opt/samba/bin/net"):
        program(tree / path)
    (tree / "opt/samba/lib").symlink_to("/lib")
    layer = tmp_path / "layer"
    make_layer(tree, "/", base, layer, lambda _: None)

    assert (layer / "sbin").readlink() == Path("usr/sbin")
    assert (layer / "usr/sbin/smbd").samefile(tree / "sbin/smbd")
    assert (layer / "usr/lib/libsmbconf.so.0").is_file()
    # A link that leads out of the layer would lead to the files of this machine.
    assert (layer / "var/run").readlink() == Path("../run")
    assert (layer / "run/samba/x").is_file()
    assert (layer / "opt/samba/lib").is_symlink()
    assert (layer / "usr/sbin/ctdbd").is_char_device()
    assert not (layer / "usr/lib/x86_64-linux-gnu/libtalloc.so.2").exists()


# Its libraries

LDD = """\
/usr/sbin/smbd:
\tlinux-vdso.so.1 (0x00007fff)
\tlibcups.so.2 => not found
\tlibsmbconf.so.0 => not found
\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)
/usr/sbin/ctdbd:
\tlibcups.so.2 => not found
"""
OLD = "/usr/sbin/smbd: /lib/libc.so.6: version `GLIBC_2.43' not found (required by /usr/sbin/smbd)\n"


class Apt:
    """A base in which apt-cache prints these packages."""

    def __init__(self, *packages: str, code: int = 0) -> None:
        self.stdout = "".join(f"{name} - a library\n" for name in packages)
        self.returncode = code

    def run(self, _: list[str], **__: object) -> Apt:
        return self


def said(base: Path, apt: Apt, *, packages: bool = False, text: str = LDD) -> str:
    own = libraries.own_libraries(base, ["samba-libs"])
    missing = libraries.parse(text)
    return libraries.problem(missing, displaced={}, own=own, base=apt, packages=packages, release="trixie")  # type: ignore[arg-type]


def test_loader_says_what_is_missing() -> None:
    assert libraries.parse(LDD).absent == ("libcups.so.2", "libsmbconf.so.0")
    assert libraries.parse(OLD).too_old == {"libc.so.6": "GLIBC_2.43"}


@pytest.mark.parametrize(
    ("soname", "package"),
    [
        ("libjansson.so.4", "libjansson4"),
        ("libldap-2.5.so.0", "libldap-2.5-0"),
        ("libgpg_error.so.0", "libgpg-error0"),
        ("libplugin.so", ""),
    ],
)
def test_package_is_named_after_the_library(soname: str, package: str) -> None:
    assert libraries.package_name(soname) == package


def test_missing_libraries_are_named_with_their_packages(base: Path) -> None:
    text = said(base, Apt("libcups2t64"))
    assert (
        "lacks shared libraries of Samba itself: libsmbconf.so.0 (samba-libs); install the whole build."
        in text
    )
    assert "need shared libraries that the base lacks: libcups.so.2 (package libcups2t64)." in text
    assert text.endswith("Add: --package libcups2t64.")
    assert "add these packages of the same build" in said(base, Apt(), packages=True)


def test_library_of_another_release_is_named(base: Path) -> None:
    assert "No package of Debian trixie was found for libcups.so.2: build on Debian trixie" in said(
        base, Apt()
    )


def test_package_is_guessed_without_access_to_debian(base: Path) -> None:
    assert "libcups.so.2 (probably package libcups2)" in said(base, Apt(code=100))


def test_build_for_a_newer_release_is_named(base: Path) -> None:
    text = said(base, Apt(), text=OLD)
    assert text.startswith(
        "Its programs need GLIBC_2.43 of libc.so.6, which is newer than that of Debian trixie."
    )
