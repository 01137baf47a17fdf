"""pykka's published behaviour: its own test-suite, run with our actors as the runtime.

The suite is not copied into this project: it comes from the source distribution, which
is downloaded, or unpacked already in the folder that ``PYKKA_SDIST`` names.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.actors import pykka_adapter

VERSION = "4.5.0"
HERE = Path(__file__).parent
DOWNLOAD_SECONDS = 120
SUITE_SECONDS = 300
#: How many tests the suite of this version has; one that vanished would be noticed.
SUITE_SIZE = 152


def unpacked_sdist(folder: Path) -> Path:
    given = os.environ.get("PYKKA_SDIST")
    if given:
        return Path(given)
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        *("--no-binary", "pykka", f"pykka=={VERSION}", "--dest", str(folder)),
    ]
    try:
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_SECONDS,
        )
        problem = done.stderr.strip()
    except subprocess.TimeoutExpired:
        problem = f"no answer within {DOWNLOAD_SECONDS} seconds"
    archives = list(folder.glob("*.tar.gz"))
    if not archives:
        pytest.skip(
            "PYKKA'S OWN TEST-SUITE DID NOT RUN: its source distribution cannot be "
            f"downloaded, and PYKKA_SDIST names no folder with it. pip: {problem}"
        )
    with tarfile.open(archives[0]) as archive:
        archive.extractall(folder, filter="data")
    return folder / f"pykka-{VERSION}"


@pytest.mark.real_time
def test_pykkas_own_suite_passes_with_our_actors(tmp_path: Path) -> None:
    pytest.importorskip(
        "pytest_mock",
        reason="PYKKA'S OWN TEST-SUITE DID NOT RUN: it needs pytest-mock",
    )
    download = tmp_path / "download"
    download.mkdir()
    suite = tmp_path / "suite"
    suite.mkdir()
    pykka_adapter.copy_with_our_runtime(unpacked_sdist(download), suite)
    (suite / "pytest.ini").write_text("[pytest]\n")
    paths = [str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])]
    deselected = [f"--deselect={test}" for test in pykka_adapter.EXCEPTIONS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests", *deselected],
        check=False,
        cwd=suite,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=SUITE_SECONDS,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    passed = re.search(r"(\d+) passed, (\d+) deselected", done.stdout)
    assert passed is not None, done.stdout[-500:]
    assert int(passed[2]) == len(pykka_adapter.EXCEPTIONS)
    assert int(passed[1]) + int(passed[2]) == SUITE_SIZE
