"""``make samba``: bring the Samba lab up, judge it, take it down; reports stay in reports/samba-<version>/.

The lab is taken down whatever happens, Ctrl-C included.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from swn_torture import lab


def main() -> int:
    """Judge a fresh lab; the exit code is that of the run, 3 when there could be none."""
    name = "judge"
    try:
        try:
            made = lab.up(lab.LabConfig(name=name), progress=_say)
            version = re.match(r"\d+\.\d+", made.samba)
            directory = Path("reports") / f"samba-{version.group() if version else 'unknown'}"
            directory.mkdir(parents=True, exist_ok=True)
            profile = directory / "profile.toml"
            profile.write_text(lab.profile_text(made), encoding="utf-8")
            command = [
                sys.executable,
                "-m",
                "swn_torture",
                "run",
                "--target",
                str(profile),
                "--report",
                str(directory),
            ]
            return subprocess.run(command, check=False).returncode
        finally:
            lab.down(name, progress=_say)
    except lab.LabError as problem:
        print(f"make samba: {problem}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("make samba: interrupted; the lab is gone", file=sys.stderr)
        return 130


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
