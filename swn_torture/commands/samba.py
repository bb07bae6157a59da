"""Options of the commands that start a lab with a Samba of the user, and the configuration that they make."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from swn_torture.commands.errors import USAGE, CommandError

if TYPE_CHECKING:
    from collections.abc import Callable

    from swn_torture.lab import LabConfig


@dataclass(frozen=True, slots=True)
class SambaChoice:
    """The Samba that the user wants in a lab.

    Attributes:
        directory: an installed tree or a directory of .deb files; None for Debian's packages.
        packages: further Debian packages of the base.
        smb_conf: a file with settings to add; None for none.
    """

    directory: Path | None
    packages: tuple[str, ...]
    smb_conf: Path | None


def samba_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--samba``, ``--package`` and ``--smb-conf``; the function gets ``samba``, a `SambaChoice`."""

    @functools.wraps(function)
    def with_samba(
        *arguments: Any,
        samba_dir: Path | None,
        packages: tuple[str, ...],
        smb_conf: Path | None,
        **options: Any,
    ) -> Any:
        return function(*arguments, samba=SambaChoice(samba_dir, packages, smb_conf), **options)

    decorated: Callable[..., Any] = click.option(
        "--smb-conf",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Add the settings in this file to the end of smb.conf, on every node.",
    )(with_samba)
    decorated = click.option(
        "--package",
        "packages",
        metavar="NAME",
        multiple=True,
        help="Also install this Debian package below the Samba of --samba (repeatable).",
    )(decorated)
    return click.option(
        "--samba",
        "samba_dir",
        type=click.Path(path_type=Path),
        metavar="DIR",
        help="Run this Samba instead of Debian's: a tree of `make install DESTDIR=DIR`, or .deb packages.",
    )(decorated)


def domain_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--domain`` and ``--no-ntlm``; the function gets ``in_domain`` and ``no_ntlm``."""
    decorated: Callable[..., Any] = click.option(
        "--no-ntlm", is_flag=True, help="The domain and the cluster refuse NTLM; with --domain."
    )(function)
    return click.option(
        "--domain",
        "in_domain",
        is_flag=True,
        help="Start an Active Directory domain, too; the cluster is a member of it, and the suite logs on by "
        "Kerberos.",
    )(decorated)


def lab_config(
    *,
    nodes: int,
    release: str,
    name: str,
    samba: SambaChoice,
    in_domain: bool = False,
    no_ntlm: bool = False,
) -> LabConfig:
    """Return the configuration of a lab.

    Args:
        nodes: the number of nodes.
        release: the Debian release.
        name: the name of the lab.
        samba: the Samba to run.
        in_domain: whether it has a domain.
        no_ntlm: whether the domain and the cluster refuse NTLM.

    Raises:
        CommandError: a value is not possible.
    """
    from swn_torture import lab

    try:
        return lab.LabConfig(
            nodes=nodes,
            release=release,
            name=name,
            samba="" if samba.directory is None else str(lab.find_build(str(samba.directory))),
            packages=tuple(sorted(samba.packages)),
            smb_conf="" if samba.smb_conf is None else _settings(samba.smb_conf),
            in_domain=in_domain,
            ntlm=not no_ntlm,
        )
    except lab.LabError as problem:
        raise CommandError(problem, USAGE) from problem


def _settings(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"Cannot read {file}: {problem}.", USAGE) from problem
    if "[" not in text.partition("=")[0]:
        raise CommandError(
            f"{file} must begin with the section of its settings, such as [global]: they stand at the end "
            f"of smb.conf, after the shares.",
            USAGE,
        )
    return f"\n# The settings of --smb-conf {file}\n{text.rstrip()}\n"
