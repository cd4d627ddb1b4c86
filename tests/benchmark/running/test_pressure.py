"""Full and read-only disks, impatient users, two runs at once, many results: nothing is lost, nothing half-written."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodbench.benchmark import errors
from oodbench.benchmark.cli.app import app
from oodbench.benchmark.errors import check_room
from oodbench.benchmark.files import PARTIAL
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting import leaderboard
from oodbench.benchmark.results.identity import identity_of
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running import engine
from oodbench.benchmark.trials import Trial
from tests.benchmark.made_up import result
from tests.benchmark.running.test_cluster import PLUGIN, started
from tests.benchmark.running.test_engine import command, run, stored, wait_for

STORED = "Everything that had finished is stored: the same command goes on from there.\n"


def mounting_is_allowed() -> bool:
    """Whether a namespace of our own can be had, in which a small file system can be mounted."""
    probe = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


needs_mount = pytest.mark.skipif(not mounting_is_allowed(), reason="needs a namespace to mount file systems in")


def on_disk(script: str, folder: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which $FOLDER is a folder to mount on, and "$@" a command."""
    whole = ["unshare", "-rm", "sh", "-c", script, "sh", *words]
    return subprocess.run(whole, capture_output=True, text=True, env={**os.environ, "FOLDER": str(folder)}, check=False)


@pytest.mark.slow
@needs_mount
def test_a_full_disk(tmp_path: Path) -> None:
    """A run that fills the disk ends with a sentence, and goes on once there is room."""
    folder, kept = tmp_path / "small", tmp_path / "kept"
    folder.mkdir()
    script = (
        'mount -t tmpfs -o size=1200k none "$FOLDER"; "$@"; echo "code $?"; '
        f'cp -a "$FOLDER" "{kept}"; mount -o remount,size=50m "$FOLDER"; "$@"; echo "code $?"; ls -aR "$FOLDER"'
    )
    done = on_disk(script, folder, command(folder, "--detector", "gmm", "--detector", "mean"))
    first, second = done.stdout.split("code ", 1)
    assert second.startswith("1\n"), done.stdout + done.stderr
    assert done.stderr.endswith(f"cannot be written to (No space left on device). {STORED}"), done.stderr
    assert "Traceback" not in done.stderr
    assert "FAILED" not in first
    results = sorted((kept / "results").rglob("*.json"))
    assert 0 < len(results) < 20
    assert all(json.loads(path.read_text())["status"] == "done" for path in results)
    assert not list(kept.rglob(f"{PARTIAL}*"))
    assert f"20 trials: {len(results)} done already, {20 - len(results)} to run" in second
    assert "code 0" in second
    assert PARTIAL not in second


@needs_mount
def test_a_read_only_folder(tmp_path: Path) -> None:
    script = 'mount -t tmpfs -o ro none "$FOLDER"; "$@"; echo "code $?"'
    done = on_disk(script, tmp_path, command(tmp_path, "--detector", "mean", "--class", "0"))
    assert done.stdout == "code 2\n"
    assert done.stderr.startswith("Error: ")
    assert f"{tmp_path} cannot be written to (" in done.stderr
    assert "Read-only file system): choose another folder with --out." in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_lack_of_room_is_told_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries do not always say so."""
    check_room(tmp_path, ValueError("of another kind"))
    with pytest.raises(OSError, match="No space left") as full:
        check_room(tmp_path, OSError(errno.EDQUOT, "Disk quota exceeded"))
    assert full.value.errno == errno.ENOSPC
    monkeypatch.setattr(errors, "LEAST_ROOM", 10**18)
    with pytest.raises(OSError, match="No space left"):
        check_room(tmp_path / "not there yet", RuntimeError("I/O error"))


def started_alone(words: list[str]) -> subprocess.Popen[str]:
    """Start a command as a terminal does: it and all that it starts are a group of processes."""
    return subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)


def interrupt(process: subprocess.Popen[str], times: int) -> None:
    """Press Ctrl-C, which reaches the whole group; nobody but the command may say anything."""
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.05)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == f"Interrupted. {STORED}"


def test_interrupted_while_it_starts(tmp_path: Path) -> None:
    process = started_alone(command(tmp_path, "--detector", "mean"))
    time.sleep(1)
    interrupt(process, times=1)


@pytest.mark.slow
def test_interrupted_twice(tmp_path: Path) -> None:
    more = ["--plugin", str(PLUGIN), "--detector", "test-patient", "--set", "test-patient.seconds=60"]
    process = started_alone(command(tmp_path, *more))
    wait_for(lambda: list((tmp_path / "runs" / ".locks").glob("*")) if (tmp_path / "runs").exists() else [])
    interrupt(process, times=3)
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))


@pytest.mark.slow
def test_interrupted_twice_on_a_cluster(tmp_path: Path) -> None:
    """The workers that a run has started end with it; those of a scheduler elsewhere are there for the next run."""
    out, notes = tmp_path / "out", tmp_path / "notes"
    notes.mkdir()
    more = ["--plugin", str(PLUGIN), "--detector", "test-patient", "--set", f"test-patient.notes={notes}"]
    with started(tmp_path, 1) as cluster:
        for scheduler in ("local:1", cluster.address):
            before = len(list(notes.iterdir()))
            process = started_alone(command(out, *more, "--set", "test-patient.seconds=6", "--scheduler", scheduler))
            wait_for(lambda before=before: len(list(notes.iterdir())) > before)
            interrupt(process, times=3)
            assert not list(out.rglob("*.json"))
            assert not list(out.rglob(f"{PARTIAL}*"))
        begun = len(list(notes.iterdir()))
        again = command(out, *more, "--class", "3", "--set", "test-patient.seconds=0", "--scheduler", cluster.address)
        assert subprocess.run(again, capture_output=True, check=False, timeout=60).returncode == 0
        assert len(list(notes.iterdir())) == begun + 1, "what was interrupted is not begun again"
        assert cluster.workers[0].poll() is None


@pytest.mark.slow
def test_two_runs_at_once_share_the_work(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    more = ["--plugin", str(PLUGIN), "--detector", "test-patient", "--set", "test-patient.notes=notes"]
    more += ["--set", "test-patient.seconds=0.4"]
    runs = [
        subprocess.Popen(
            command(tmp_path / "out", *more),
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=120) for process in runs]
    assert [process.returncode for process in runs] == [0, 0], said
    assert all(errors == "" for _, errors in said)
    assert len(Store.at(tmp_path / "out").read_all()) == 10
    assert len(list(notes.iterdir())) == 10, "no trial is done twice"
    assert not list(tmp_path.rglob(f"{PARTIAL}*"))
    assert CliRunner().invoke(app, ["leaderboard", "--check", "--out", str(tmp_path / "out")]).exit_code == 0


def test_what_another_run_did_is_done_again_if_it_is_of_other_code(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial, store = Trial("digits", "mean", 0, 0), Store.at(tmp_path)
    about = asdict(identity_of(trial, plugins))
    store.write(result("digits", "mean", 0, **{**about, "fingerprint": "other"}))
    monkeypatch.setattr(engine, "stored_digest", lambda *_: None)  # as if nothing had been there
    assert run([trial], plugins, tmp_path).done == 1
    stored = store.read(trial)
    assert stored is not None
    assert stored.fingerprint == about["fingerprint"]


def test_what_another_run_did_is_not_done_again(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with --force, and where the folder's clock is behind."""
    trial, store = Trial("digits", "mean", 0, 0), Store.at(tmp_path)
    store.write(result("digits", "mean", 0, auroc=0.123, **asdict(identity_of(trial, plugins))))
    os.utime(store.result_path(trial), (0, 0))
    monkeypatch.setattr(engine, "stored_digest", lambda *_: "of an earlier result")
    run([trial], plugins, tmp_path, force=True, keep=False)
    assert stored(tmp_path, trial).auroc == 0.123


def test_what_was_there_before_is_done_again_whatever_the_clock_says(plugins: Plugins, tmp_path: Path) -> None:
    trial, store = Trial("digits", "mean", 0, 0), Store.at(tmp_path)
    store.write(result("digits", "mean", 0, auroc=0.123, **asdict(identity_of(trial, plugins))))
    store.run_folder(trial).mkdir(parents=True)
    future = time.time() + 3600
    os.utime(store.result_path(trial), (future, future))
    assert run([trial], plugins, tmp_path, force=True).done == 1
    assert stored(tmp_path, trial).auroc > 0.5


def test_the_page_is_written_after_a_run_whatever_the_clock_says(tmp_path: Path) -> None:
    select = ["run", "--dataset", "digits", "--class", "3", "--results-only", "--out", str(tmp_path)]
    page = tmp_path / "README.md"
    for detector in ("mean", "gmm"):
        assert CliRunner().invoke(app, [*select, "--detector", detector]).exit_code == 0
        assert detector in page.read_text()
        future = time.time() + 3600
        os.utime(page, (future, future))


def test_a_thousand_results(plugins: Plugins, tmp_path: Path) -> None:
    """None is done again, one is added, and all are in the table."""
    store = Store.at(tmp_path)
    trials = [Trial("digits", "ae", k, seed) for k in range(10) for seed in range(100)]
    about = asdict(identity_of(trials[0], plugins))
    for trial in trials:
        store.write(result("digits", "ae", trial.normal_class, trial.seed, 0.5 + trial.seed / 990, **about))
    summary = run([*trials, Trial("digits", "mean", 0, 0)], plugins, tmp_path)
    assert (summary.done, summary.skipped, summary.failed) == (1, 1000, [])
    leaderboard.update(store)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 1 + 1001
    assert "0.550 ± 0.029" in (tmp_path / "README.md").read_text()
