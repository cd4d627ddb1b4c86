"""What a power cut leaves of a finished run: as root on Linux, ``python tests/power_cut.py``.

A run writes to an ext4 file system on a loop device. Some seconds after its end, what the device has been given by then
is copied, as it would stand on a disk without power, and the copy is mounted. All results and run folders must be
whole, and the same command must find nothing to do. With ``--without-flushing``, `os.fsync` does nothing: this shows
what is lost then, and that the test would notice.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.inference import load_model
from oodbench.benchmark.results.run_files import read_scores
from oodbench.benchmark.results.store import Store
from oodbench.detectors.base import DetectorError

RUN = ["run", "--dataset", "digits", "--detector", "mean,pca,gmm", "--out"]
TRIALS = 30
BENCH = "from oodbench.benchmark.cli.app import main; main()"
NO_FLUSHING = "import os; os.fsync = lambda file: None\n"


def call(*command: str | Path) -> None:
    """Run a command that must end well."""
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def mounted(image: Path, folder: Path) -> Iterator[Path]:
    """Mount a file system that lies in a file."""
    folder.mkdir()
    call("mount", "-o", "loop", image, folder)
    try:
        yield folder
    finally:
        call("umount", folder)


def bench(out: Path, environment: dict[str, str]) -> str:
    """Run the trials that are not done; return what the command says."""
    command = [sys.executable, "-c", BENCH, *RUN, str(out)]
    ran = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise SystemExit(f"the run ended with {ran.returncode}: {ran.stderr}")
    return ran.stdout


def lost(store: Store) -> list[str]:
    """List what is missing or damaged of the results and run folders."""
    results = store.read_all()
    found = [*results.problems, *[f"a result of {TRIALS} is missing"] * (TRIALS - len(results) - len(results.problems))]
    for result in results:
        folder = store.run_folder(result.trial)
        found += [f"{path} is empty" for path in folder.rglob("*") if path.is_file() and not path.stat().st_size]
        try:
            load_model(folder)
        except (UsageError, DetectorError) as error:
            found.append(str(error))
        if read_scores(folder) is None:
            found.append(f"the scores in {folder} cannot be read")
    return found


def main() -> int:
    """Cut the power; return how many files were lost, at most 1."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--seconds", type=float, default=6, help="Between the end of the run and the power cut.")
    options.add_argument("--without-flushing", action="store_true", help="Run with an os.fsync that does nothing.")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sitecustomize.py").write_text(NO_FLUSHING)
        environment = {"PYTHONPATH": f"{name}:{os.environ.get('PYTHONPATH', '')}"} if given.without_flushing else {}
        disk, copy = folder / "disk", folder / "copy"
        call("truncate", "-s", "256M", disk)
        call("mkfs.ext4", "-q", disk)
        with mounted(disk, folder / "running") as root:
            began = time.perf_counter()
            bench(root / "out", environment)
            print(f"{TRIALS} trials took {time.perf_counter() - began:.1f} s; power cut after {given.seconds:g} s")
            time.sleep(given.seconds)
            call("cp", "--sparse=always", disk, copy)
        with mounted(copy, folder / "after") as root:
            found = lost(Store.at(root / "out"))
            print(f"{len(found)} files are lost or damaged", *found[:5], sep="\n  ")
            said = re.search(r"\d+ trials: .*", bench(root / "out", {}))
            print(f"the same command: {said[0] if said else 'says nothing'}")
            again = lost(Store.at(root / "out"))
            print(f"after it, {len(again)} files are lost or damaged", *again[:5], sep="\n  ")
    return int(bool(found) or bool(again))


if __name__ == "__main__":
    sys.exit(main())
