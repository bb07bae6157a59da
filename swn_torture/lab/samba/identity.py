"""Which build of Samba it is: the version that it prints, and the build ids of its programs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import NoteSection

from swn_torture.lab.errors import LabError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROGRAMS: Final = ("rpcd_witness", "smbd", "ctdbd")
"""The programs whose build ids identify a build."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which build of Samba it is.

    Attributes:
        version: as ``smbd --version`` prints it, without the first word: ``4.22.11-Debian-4.22.11+dfsg``.
        builds: program -> build id of its ELF note, in hexadecimal digits; ``sha256:`` and the first digits
            of its digest if it has no such note.
    """

    version: str
    builds: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """The build ids in one line."""
        return ", ".join(f"{program} {build}" for program, build in self.builds.items())


def version_in(text: str) -> str:
    """Return the version from the output of ``smbd --version``."""
    return text.strip().removeprefix("Version ")


def build_id(program: Path) -> str:
    """Return the build id of a program.

    Args:
        program: an ELF file.

    Raises:
        LabError: it cannot be read, or it is not an ELF file.
    """
    try:
        with program.open("rb") as file:
            for section in ELFFile(file).iter_sections():
                if not isinstance(section, NoteSection):
                    continue
                for note in section.iter_notes():
                    if note["n_type"] == "NT_GNU_BUILD_ID":
                        return str(note["n_desc"])
            file.seek(0)
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    except OSError as error:
        raise LabError(f"Cannot read {program}: {error.strerror}.") from error
    except ELFError as error:
        raise LabError(f"{program} is not a program of this architecture: {error}.") from error
