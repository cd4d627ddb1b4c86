"""The command where the environment is not what its makers had: it works, or ends with one sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from oodbench.benchmark.files import PARTIAL
from oodbench.benchmark.results.store import Store
from tests.benchmark.running.test_cluster import PLUGIN
from tests.benchmark.running.test_engine import command, wait_for
from tests.benchmark.running.test_pressure import STORED, needs_mount, on_disk

BENCH = Path(sys.executable).with_name("bench")
MEAN = ("--detector", "mean", "--class", "0")


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Variables of a process whose temporary files lie in a folder."""
    folder.mkdir(parents=True)
    return {**os.environ, "TMPDIR": str(folder), **more}


@pytest.mark.slow
def test_a_long_tmpdir_settings_of_notebooks_and_output_in_ascii(tmp_path: Path) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_bytes(b"text.usetex: True\naxes.facecolor: \xff\n")
    temporary = tmp_path / ("x" * 120)
    notebooks = "module://matplotlib_inline.backend_inline"
    variables = environment(temporary, MPLBACKEND=notebooks, MATPLOTLIBRC=str(settings), PYTHONIOENCODING="ascii")
    words = command(tmp_path / "out", *MEAN)
    done = subprocess.run(words, capture_output=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert rb"| \u2014 | mean" in done.stdout
    assert done.stdout.isascii()
    assert list((tmp_path / "out" / "runs").rglob("roc.png"))
    assert list(temporary.iterdir()) == []


def test_a_locale_without_utf_8() -> None:
    locale = {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run([BENCH, "list"], capture_output=True, env={**os.environ, **locale}, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"8\u00d78 handwritten digits" in done.stdout
    assert done.stdout.isascii()


@pytest.mark.slow
def test_a_limit_on_the_size_of_files(tmp_path: Path) -> None:
    script = 'ulimit -f 60; "$@"; echo "code $?"'
    words = ["sh", "-c", script, "sh", *command(tmp_path, *MEAN)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("code 1\n")
    assert done.stderr.startswith("Error: ")
    assert done.stderr.endswith(f"cannot be written to (File too large, see `ulimit -f`). {STORED}")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


@pytest.mark.slow
@needs_mount
@pytest.mark.parametrize("where", ["here", "on Dask"])
def test_a_read_only_shared_memory(tmp_path: Path, where: str) -> None:
    script = 'mount -t tmpfs -o ro none /dev/shm; "$@"; echo "code $?"'
    more = ["--scheduler", "local:1"] if where == "on Dask" else []
    done = on_disk(script, tmp_path, command(tmp_path, *MEAN, *more))
    if where == "here":
        assert done.stdout.endswith("code 0\n")
        assert done.stderr == ""
    else:
        assert done.stdout.endswith("code 1\n")
        cause = "OSError: [Errno 30] Read-only file system"
        said = f"Dask cannot start workers on this machine ({cause}): leave out --scheduler."
        assert done.stderr == f"Error: {said} {STORED}"


@pytest.mark.parametrize("scheduler", [None, pytest.param("local:1", marks=pytest.mark.slow)])
def test_terminated(tmp_path: Path, scheduler: str | None) -> None:
    """SIGTERM, to the command alone as `kill` sends it, ends it like Ctrl-C; nothing is left among temporary files."""
    temporary, notes = tmp_path / "temporary", tmp_path / "notes"
    notes.mkdir()
    more = ["--plugin", str(PLUGIN), "--detector", "test-patient", "--set", "test-patient.seconds=60"]
    more += ["--set", f"test-patient.notes={notes}", *(["--scheduler", scheduler] if scheduler else [])]
    process = subprocess.Popen(
        command(tmp_path / "out", *more),
        env=environment(temporary),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(lambda: list(notes.iterdir()))
    process.send_signal(signal.SIGTERM)
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert errors == f"Interrupted. {STORED}"
    assert list(temporary.iterdir()) == []
    assert not list((tmp_path / "out").rglob(f"{PARTIAL}*"))
    assert list(Store.at(tmp_path / "out").read_all()) == []
