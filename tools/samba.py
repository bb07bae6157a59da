"""``make samba``: start a Samba lab, run the suite against it, and remove it.

The reports are in reports/samba-<version>/. The lab is removed in any case, also after Ctrl-C.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from swn_torture import lab
from swn_torture.lab.profile import profile, to_toml


def main() -> int:
    """Test a new lab. Return the exit code of the run, or 3 if the lab could not be started."""
    lab_name = "samba"
    try:
        try:
            started = lab.up(lab.LabConfig(name=lab_name), progress=_say)
            version = re.match(r"\d+\.\d+", started.samba)
            name = f"samba-{version.group() if version else 'unknown'}"
            directory = Path("reports") / name
            directory.mkdir(parents=True, exist_ok=True)
            path = directory / "profile.toml"
            path.write_text(to_toml({**profile(started), "name": name}), encoding="utf-8")
            options = ["run", "--target", str(path), "--report", str(directory)]
            return subprocess.run([sys.executable, "-m", "swn_torture", *options], check=False).returncode
        finally:
            lab.down(lab_name, progress=_say)
    except lab.LabError as problem:
        print(f"make samba: {problem}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("make samba: interrupted; the lab is removed", file=sys.stderr)
        return 130


def _say(text: str) -> None:
    print(f"lab: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
