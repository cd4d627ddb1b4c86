"""Real schedulers and workers, in processes of their own on this machine."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import psutil
import pytest

from oodbench.benchmark.errors import RunError, UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results.identity import Identity, identity_of
from oodbench.benchmark.results.store import Store
from oodbench.benchmark.running.cluster import ClusterBackend, ClusterWorkers
from oodbench.benchmark.running.cluster_worker import clear, folder_of, pack, run_here, unpack
from oodbench.benchmark.running.job import Job, Options
from oodbench.benchmark.running.listener import Display
from oodbench.benchmark.trials import Trial
from tests.benchmark.running.test_engine import run, scores, stored, wait_for

pytest.importorskip("distributed")
from distributed.comm.core import CommClosedError

PLUGIN = Path(__file__).parents[1] / "plugin_for_clusters.py"
DASK = Path(sys.executable).with_name("dask")


class Cluster:
    """A scheduler and workers, as processes that a test can kill.

    Its workers work in a folder of their own, and find their datasets in another.
    """

    def __init__(self, folder: Path, stack: ExitStack, allowed_failures: int) -> None:
        self.folder, self.stack, self.allowed_failures = folder, stack, allowed_failures
        self.data = folder / "data-of-the-workers"
        (folder / "work").mkdir()
        file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
        wait_for(lambda: file.is_file() and file.read_text().endswith("}"))
        self.address: str = json.loads(file.read_text())["address"]
        self.workers: list[subprocess.Popen[bytes]] = []

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [DASK, *words, "--no-dashboard"],
            cwd=self.folder / "work",
            env={
                **os.environ,
                "OODBENCH_DATA": str(self.data),
                "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.allowed_failures),
                "TMPDIR": str(self.folder / "work"),
            },
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.stack.callback(process.wait)
        self.stack.callback(process.kill)
        return process

    def add_worker(self, *more: str) -> None:
        words = ["worker", self.address, "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1", *more]
        self.workers.append(self.start(*words))


@contextmanager
def started(folder: Path, workers: int, allowed_failures: int = 3) -> Iterator[Cluster]:
    with ExitStack() as stack:
        cluster = Cluster(folder, stack, allowed_failures)
        for _ in range(workers):
            cluster.add_worker()
        yield cluster


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with started(tmp_path_factory.mktemp("cluster"), 1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def with_plugin() -> Plugins:
    return Plugins.load([PLUGIN])


class Watch(Display):
    """Remembers what is shown, and may do something when a trial has begun."""

    def __init__(self, when_begun: Callable[[Trial], None] = lambda _: None) -> None:
        self.seen: list[tuple[Trial, int, int]] = []
        self.said: list[str] = []
        self.when_begun = when_begun

    def warn(self, text: str) -> None:
        self.said.append(text)

    def progress(self, trial: Trial, step: int, steps: int) -> None:
        self.seen.append((trial, step, steps))
        if step == 1:
            self.when_begun(trial)


def patient(normal_class: int, **changes: Any) -> Trial:
    return Trial("test-fetched", "test-patient", normal_class, 0, tuple(sorted(changes.items())))


@pytest.mark.slow
def test_a_worker_killed_in_the_midst_costs_nothing(with_plugin: Plugins, tmp_path: Path) -> None:
    """SIGKILL to one of two workers while it trains: every result is there, equal to those of a local run."""
    notes = tmp_path / "notes"
    notes.mkdir()
    trials = [
        *(patient(k, seconds=2.0, notes=str(notes)) for k in (0, 1)),
        *(Trial("digits", name, 3, 0, (("epochs", 3),)) for name in ("ae", "memvae")),
    ]
    killed: list[int] = []
    with started(tmp_path, 2) as cluster:

        def kill(trial: Trial) -> None:
            if killed or trial.detector != "test-patient":
                return
            begun = {int(path.name.partition("-")[0]) for path in notes.iterdir()}
            victim = next(worker for worker in cluster.workers if worker.pid in begun)
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)

        watch = Watch(kill)
        summary = run(trials, with_plugin, tmp_path / "away", scheduler=cluster.address, display=watch)
        left = list((cluster.folder / "work").glob("oodbench-*"))
    assert len(killed) == 1
    assert (summary.done, summary.failed) == (4, [])
    begun = [int(path.name.partition("-")[0]) for path in notes.iterdir()]
    assert len(begun) == 3, "only the trial that the killed worker was at is begun again"
    assert begun.count(killed[0]) == 1
    assert not left
    run(trials, with_plugin, tmp_path / "here")
    for trial in trials:
        here, away = (stored(tmp_path / place, trial) for place in ("here", "away"))
        for key in ("auroc", "fpr95", "fingerprint", "hyperparameters", "frechet", "threshold", "label", "classes"):
            assert str(getattr(here, key)) == str(getattr(away, key)), key
        assert np.array_equal(scores(tmp_path / "here", trial), scores(tmp_path / "away", trial))
        folders = [Store.at(tmp_path / place).run_folder(trial) for place in ("here", "away")]
        assert {path.name for path in folders[0].iterdir()} == {path.name for path in folders[1].iterdir()}


@pytest.mark.slow
def test_workers_fetch_datasets_and_report_as_they_go(cluster: Cluster, with_plugin: Plugins, tmp_path: Path) -> None:
    watch, trial = Watch(), patient(0)
    summary = run([trial], with_plugin, tmp_path, scheduler=cluster.address, display=watch)
    assert (summary.done, summary.failed) == (1, [])
    assert (cluster.data / "fetched.txt").is_file()
    assert not (tmp_path / "fetched.txt").exists(), "nothing is fetched here"
    assert [(step, steps) for _, step, steps in watch.seen] == [(0, 1), *((step, 4) for step in range(1, 5))]
    assert run([trial], with_plugin, tmp_path, scheduler=cluster.address).done == 0


@pytest.mark.slow
def test_what_a_dataset_has_to_say_is_said_once(cluster: Cluster, with_plugin: Plugins, tmp_path: Path) -> None:
    warning = "test-fetched: one file cannot be read as an image and is left out."
    away, here = Watch(), Watch()
    run([patient(0), patient(1)], with_plugin, tmp_path / "away", scheduler=cluster.address, display=away)
    run([patient(0), patient(1)], with_plugin, tmp_path / "here", display=here)
    assert away.said == here.said == [warning]


@pytest.mark.slow
def test_results_only(cluster: Cluster, with_plugin: Plugins, tmp_path: Path) -> None:
    assert run([patient(1)], with_plugin, tmp_path / "away", scheduler=cluster.address, keep=False).failed == []
    assert run([patient(1)], with_plugin, tmp_path / "here", keep=False).failed == []
    for place in ("here", "away"):
        store = Store.at(tmp_path / place)
        assert store.read(patient(1)) is not None
        assert not store.run_folder(patient(1)).exists()
    with pytest.raises(UsageError, match="leave out --trace, or --results-only"):
        run([patient(1)], with_plugin, tmp_path, keep=False, trace=True)


def test_failures_of_trials_come_back_with_their_cause(cluster: Cluster, plugins: Plugins, tmp_path: Path) -> None:
    trial = Trial("digits", "ae", 0, 0, (("epochs", 3), ("learning_rate", 1e30)))
    (failed,) = run([trial], plugins, tmp_path, scheduler=cluster.address).failed
    assert "training diverged" in (failed.error or "")
    assert "FitDivergedError" in (failed.traceback or "")


def test_data_that_a_worker_cannot_have(cluster: Cluster, with_plugin: Plugins, tmp_path: Path) -> None:
    (cluster.data / "fetched.txt").unlink(missing_ok=True)
    cluster.data.mkdir(exist_ok=True)
    (cluster.data / "no-network").touch()
    (failed,) = run([patient(0)], with_plugin, tmp_path, scheduler=cluster.address).failed
    (cluster.data / "no-network").unlink()
    assert "fetched.txt could not be fetched" in (failed.error or "")


@pytest.mark.slow
def test_a_connection_that_drops_costs_only_its_running_trials(
    cluster: Cluster, with_plugin: Plugins, tmp_path: Path
) -> None:
    from distributed import default_client

    notes = tmp_path / "notes"
    notes.mkdir()
    trials = [patient(0, notes=str(notes)), patient(1, notes=str(notes), seconds=2.0)]
    dropped: list[Trial] = []

    def drop(trial: Trial) -> None:
        if trial == trials[1] and not dropped:
            dropped.append(trial)
            client = default_client()
            client.loop.add_callback(client.scheduler_comm.comm.abort)

    summary = run(trials, with_plugin, tmp_path, scheduler=cluster.address, display=Watch(drop))
    assert dropped
    assert (summary.done, summary.failed) == (2, [])
    assert len(list(notes.iterdir())) == 3


@pytest.mark.slow
def test_a_trial_that_kills_every_worker_is_a_failure(with_plugin: Plugins, tmp_path: Path) -> None:
    with started(tmp_path, 2, allowed_failures=0) as cluster:
        trials = [patient(0, dies=True), patient(1)]
        summary = run(trials, with_plugin, tmp_path / "out", scheduler=cluster.address)
    (failed,) = summary.failed
    assert summary.done == 2
    assert "every worker that tried it died" in (failed.error or "")
    assert failed.changes == {"dies": True}


@pytest.mark.slow
def test_a_trial_that_ends_the_last_worker_is_told_of(tmp_path: Path) -> None:
    plugins = Plugins.load([PLUGIN.with_name("plugin_for_tests.py")])
    with started(tmp_path, 1) as cluster:

        class Helper(Watch):
            def warn(self, text: str) -> None:
                super().warn(text)
                if "no workers any more" in text:
                    cluster.add_worker()

        helper = Helper()
        once = Trial("digits", "test-dies", 0, 0, (("memory", str(tmp_path / "died")),))
        with engine_waits_for_worker(cluster):
            summary = run([once], plugins, tmp_path / "out", scheduler=cluster.address, display=helper)
    assert (summary.done, summary.failed) == (1, [])
    assert len(helper.said) == 1


@pytest.mark.slow
def test_the_scheduler_dies(with_plugin: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oodbench.benchmark.running.cluster.SECONDS_TO_CONNECT", 3)
    trials = [patient(0), patient(1, seconds=30.0)]
    with started(tmp_path, 1) as cluster:
        watch = Watch(lambda trial: cluster.scheduler.kill() if trial == trials[1] else None)
        with pytest.raises(RunError, match="The scheduler is gone"):
            run(trials, with_plugin, tmp_path / "out", scheduler=cluster.address, display=watch)
    assert [result.normal_class for result in Store.at(tmp_path / "out").read_all()] == [0]


@pytest.mark.slow
def test_workers_with_several_threads_run_a_trial_at_a_time(with_plugin: Plugins, tmp_path: Path) -> None:
    with started(tmp_path, 0) as cluster:
        watch = Watch()
        cluster.add_worker("--nthreads", "3")
        trials = [Trial("digits", "memvae", k, 0, (("epochs", 2),)) for k in range(3)]
        with engine_waits_for_worker(cluster):
            run(trials, with_plugin, tmp_path / "away", scheduler=cluster.address, display=watch)
    assert any("with --nthreads 1" in said for said in watch.said)
    run(trials[:1], with_plugin, tmp_path / "here")
    assert np.array_equal(scores(tmp_path / "here", trials[0]), scores(tmp_path / "away", trials[0]))


@contextmanager
def engine_waits_for_worker(cluster: Cluster) -> Iterator[None]:
    from distributed import Client

    with Client(cluster.address) as client:
        client.wait_for_workers(1, timeout=60)
        yield


def test_a_local_cluster(with_plugin: Plugins, tmp_path: Path) -> None:
    """From the command line, with the plugin as a local file."""
    program = Path(sys.executable).with_name("bench")
    words = ["run", "--plugin", str(PLUGIN), "--dataset", "test-fetched", "--detector", "test-patient"]
    words += ["--scheduler", "local:2", "--out", str(tmp_path), "--data-dir", str(tmp_path / "data")]
    environment = {key: value for key, value in os.environ.items() if key != "OODBENCH_DATA"}
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True, env=environment)
    assert "2 trials: 0 done already, 2 to run, 2 at a time." in done.stdout
    assert done.stderr == ""
    assert len(Store.at(tmp_path).read_all()) == 2
    assert (tmp_path / "data" / "fetched.txt").is_file()


def listening() -> set[tuple[str, int]]:
    """Addresses and ports at which this process and its descendants listen."""
    own = psutil.Process()
    return {
        (connection.laddr.ip, connection.laddr.port)
        for process in (own, *own.children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def test_a_local_cluster_is_reached_from_this_machine_alone() -> None:
    before = listening()
    backend = ClusterBackend("local:1")
    try:
        new = listening() - before
        assert len(new) >= 3
        assert {ip for ip, _ in new} == {"127.0.0.1"}
        port = backend.cluster.scheduler.http_server.port
        with pytest.raises(HTTPError, match="404"):
            urlopen(f"http://127.0.0.1:{port}/status")
    finally:
        backend._close("")


MISBEHAVING = Path(__file__).with_name("plugin_that_misbehaves.py")


@pytest.mark.slow
def test_a_detector_that_misbehaves_fails_alone_on_workers_without_a_nanny(tmp_path: Path) -> None:
    plugins = Plugins.load([MISBEHAVING])
    exits = [Trial("digits", "test-exits", 0, 0, (("how", how),)) for how in ("exit", "interrupt")]
    notes = [Trial("digits", "test-notes", k, 7, (("path", str(tmp_path / str(k))),)) for k in (0, 1)]
    others = [Trial("digits", name, 0, 0) for name in ("test-numbers", "test-spoils", "test-leaves")]
    watch = Watch()
    trials = [*exits, notes[0], *others, notes[1]]
    with started(tmp_path, 1) as cluster:  # which ends with the threads that are left behind
        summary = run(trials, plugins, tmp_path / "out", scheduler=cluster.address, display=watch)
    assert summary.done == len(trials)
    causes = {result.changes["how"]: result.error for result in summary.failed}
    assert causes == {"exit": "SystemExit: enough", "interrupt": "KeyboardInterrupt: "}
    assert stored(tmp_path / "out", others[0]).diagnostics["one"] == 1
    assert (others[0], 1, 2) in watch.seen
    # but for random numbers: Dask's own threads draw from Python's generator, too
    before, after = ((tmp_path / str(k)).read_text().rpartition(", (")[0] for k in (0, 1))
    assert before == after, "trials start from the same state"
    (said,) = (warning for warning in watch.said if "test-leaves" in warning)
    assert said.startswith("test-leaves has left threads behind that go on computing in a worker on ")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("local:", "say how many workers to start, as in local:4"),
        ("local:0", "say how many workers to start, as in local:4"),
        ("tcp://127.0.0.1:1", "no scheduler answers there"),
        ("nonsense://x", "no scheduler answers there"),
    ],
)
def test_addresses_where_no_scheduler_is(
    plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    monkeypatch.setattr("oodbench.benchmark.running.cluster.SECONDS_TO_CONNECT", 1)
    with pytest.raises(UsageError, match=message):
        run([Trial("digits", "mean", 0, 0)], plugins, tmp_path, scheduler=address)


def test_jobs_are_for_this_machine(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--jobs is for this machine"):
        run([Trial("digits", "mean", 0, 0)], plugins, tmp_path, scheduler="local:1", jobs=2)


def job_of(trial: Trial, plugins: Plugins, folder: Path) -> Job:
    return Job(
        number=0,
        trial=trial,
        identity=identity_of(trial, plugins),
        class_name="0",
        classes=10,
        can_sample=True,
        command="bench run",
        store=Store.at(folder),
        data=folder,
        options=Options("cpu"),
    )


def test_other_code_is_refused(plugins: Plugins, tmp_path: Path) -> None:
    job = job_of(Trial("digits", "mean", 0, 0), plugins, tmp_path)
    other = Identity("of other code", "2", job.identity.classifier, job.identity.hyperparameters)
    answer = run_here(replace(job, identity=other), "run-of-a-test", (), away=True)
    clear("run-of-a-test")
    assert answer.result.status == "failed"
    assert answer.result.error == (
        "its worker has another data_version, fingerprint than here: install the same oodbench and data there"
    )


class Lost:
    """Stands where a future of Dask's would, whose result cannot be had."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    def result(self) -> None:
        raise self.error


class Broken:
    """Stands where the client would; `submitted` counts."""

    status = "running"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.submitted = 0

    def submit(self, *_: Any, **__: Any) -> Lost:
        self.submitted += 1
        return Lost(self.error)


def test_a_worker_without_oodbench(plugins: Plugins, tmp_path: Path) -> None:
    job, client = job_of(Trial("digits", "mean", 0, 0), plugins, tmp_path), Broken(ModuleNotFoundError("No oodbench"))
    workers = ClusterWorkers(client, [job], away=True)  # type: ignore[arg-type]
    workers.submit(job)
    with pytest.raises(RunError, match=r"No oodbench.*: install the same oodbench"):
        workers.outcomes()


def test_a_connection_that_drops_while_a_result_is_fetched(plugins: Plugins, tmp_path: Path) -> None:
    job, client = job_of(Trial("digits", "mean", 0, 0), plugins, tmp_path), Broken(CommClosedError("closed"))
    workers = ClusterWorkers(client, [job], away=True)  # type: ignore[arg-type]
    workers.submit(job)
    assert workers.outcomes() == []
    assert client.submitted == 2, "it is handed in again"


def test_what_is_wrong_with_a_worker_fails_its_trial_only(
    cluster: Cluster, with_plugin: Plugins, tmp_path: Path
) -> None:
    """Here: a plugin that can be loaded beside its file alone, and one that cannot be constructed."""
    (tmp_path / "beside.txt").touch()
    (tmp_path / "alone.py").write_text(ALONE, encoding="utf-8")
    plugins = Plugins.load([PLUGIN, tmp_path / "alone.py"])
    trials = [Trial("test-fetched", name, 0, 0) for name in ("test-alone", "test-patient")]
    summary = run(trials, plugins, tmp_path / "out", scheduler=cluster.address)
    (failed,) = summary.failed
    assert summary.done == 2
    assert "beside.txt" in (failed.error or "")
    assert f"on {platform.node()}" in (failed.error or "")
    (tmp_path / "unmade.py").write_text(f"{IMPORTS}{CLASS.replace('k=1', 'k')}", encoding="utf-8")
    plugins = Plugins.load([PLUGIN, tmp_path / "unmade.py"])
    summary = run(trials, plugins, tmp_path / "out", scheduler=cluster.address)
    (failed,) = summary.failed
    assert summary.done == 1
    assert "missing 1 required" in (failed.error or "")


IMPORTS = """
from pathlib import Path
from oodbench.detectors import Detector, register
"""
CLASS = """
@register("test-alone")
class Alone(Detector):
    def __init__(self, *, k=1):
        self.k = k

    def fit(self, images, *, monitor=None):
        return self

    def score(self, images):
        return images.flatten(1).sum(1)
"""
ALONE = f'{IMPORTS}Path(__file__).with_name("beside.txt").read_text()\n{CLASS}'


def test_packed_folders(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c.bin").write_bytes(b"\x00\x01")
    (tmp_path / "new").mkdir()
    unpack(pack(tmp_path / "a"), tmp_path / "new")
    assert (tmp_path / "new" / "b" / "c.bin").read_bytes() == b"\x00\x01"


def test_a_worker_s_folder_lies_where_temporary_files_do() -> None:
    folder = folder_of("of-a-test")
    assert folder.parent == Path(tempfile.gettempdir())
