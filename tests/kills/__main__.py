"""Kill one scripted load many times and report what was found.

usage: python -m tests.kills [--kills N] [--seed SEED] [--folder FOLDER]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.kills.chaos import run_chaos


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=25)
    parser.add_argument("--seed", default="")
    parser.add_argument("--folder", type=Path, help="keep the files there")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True)
        report = run_chaos(given.folder, given.kills, given.seed)
    else:
        with tempfile.TemporaryDirectory() as folder:
            report = run_chaos(Path(folder), given.kills, given.seed)
    print(report)
    if report.problems:
        print(
            f"again: python -m tests.kills --kills {given.kills} --seed {report.seed}"
        )
    return bool(report.problems)


if __name__ == "__main__":
    sys.exit(main())
