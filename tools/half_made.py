"""Run the suite on every half-made server, and write docs/half-made-servers.md: what its author sees.

    python tools/half_made.py                  all servers: about an hour
    python tools/half_made.py --resume         the rest of a run that was interrupted
    python tools/half_made.py --only no-method some servers; no page is written

The measurements of each server stay in reports/half-made/. Exit code 0, or 2 if the command line is wrong.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from swn_torture.halfmade.gallery import Seen, see
from swn_torture.halfmade.library import UnknownHalfMade, find_half_made, load_half_made
from swn_torture.halfmade.page import page, row

if TYPE_CHECKING:
    from swn_torture.halfmade.registry import HalfMade

REPORTS = Path("reports/half-made")
PAGE = Path("docs/half-made-servers.md")


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="only this server (repeatable)")
    parser.add_argument("--resume", action="store_true", help="keep the measurements that exist")
    parser.add_argument("-j", type=int, default=1, metavar="N", help="servers at the same time (default: 1)")
    chosen = parser.parse_args()
    try:
        servers = [*map(find_half_made, chosen.only or load_half_made())]
    except UnknownHalfMade as problem:
        print(problem, file=sys.stderr)
        return 2
    with ThreadPoolExecutor(chosen.j) as pool:
        seen = [*pool.map(lambda server: measured(server, resume=chosen.resume), servers)]
    if not chosen.only:
        today = dt.datetime.now(tz=dt.UTC).date()
        PAGE.write_text(
            page([*zip(servers, seen, strict=True)], today, len(os.sched_getaffinity(0))), "utf-8"
        )
        print(f"{PAGE} is written.")
    return 0


def measured(server: HalfMade, *, resume: bool) -> Seen:
    """Measure a server, or read its measurement."""
    path = REPORTS / f"{server.name}.json"
    if resume and path.is_file():
        return Seen.from_json(json.loads(path.read_text(encoding="utf-8")))
    seen = see(server, REPORTS / server.name, arguments(server))
    path.write_text(json.dumps(seen.to_json(), indent=1), encoding="utf-8")
    print(row(server, seen), flush=True)
    return seen


def arguments(server: HalfMade) -> list[str]:
    """What an author runs: no more than his server can show."""
    return ["--up-to", "state-changes" if server.events else "async-notify", "-n", "2"]


if __name__ == "__main__":
    sys.exit(main())
