"""Kill one scripted load many times and report what was found.

usage: python -m tests.kills [--http] [--kills N] [--seed SEED] [--folder FOLDER]

With --http the load comes over HTTP from another process, by --connections clients.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.kills.chaos import run_chaos
from tests.kills.http_chaos import run_http_chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--http", action="store_true", help="over HTTP")
    parser.add_argument("--connections", type=int, default=100, help="with --http")
    parser.add_argument("--seed", default="")
    parser.add_argument("--folder", type=Path, help="keep the files there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if given.folder is not None:
            place = given.folder
            place.mkdir(parents=True)
        if given.http:
            report = run_http_chaos(place, given.kills, given.connections, given.seed)
        else:
            report = run_chaos(place, given.kills, given.seed)
    print(report)
    if report.problems:
        over = f"--http --connections {given.connections} " if given.http else ""
        print(
            f"again: python -m tests.kills {over}--kills {given.kills} "
            f"--seed {report.seed}"
        )
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
