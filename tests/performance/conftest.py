"""The measurements' options and fixtures; they run only if this folder is named: ``pytest tests/performance -n 0``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.running.workers import plugins_of, shared_arrays
from tests.conftest import REPOSITORY
from tests.performance.page import write_page
from tests.performance.results import Results, machine
from tests.performance.settings import DATASETS, HERE, QUICK, Cell, Settings

TRIED_OUT = REPOSITORY / "build" / "performance"
"""Where the page goes if not everything was measured, or not in earnest."""
RESULTS = pytest.StashKey[Results]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("performance")
    group.addoption("--quick", action="store_true", help="Only try the measurements out.")
    group.addoption("--full", action="store_true", help="Also run all trials of the four autoencoders.")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the measurements out of a run that does not name them."""
    named = [Path(config.invocation_params.dir, argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(HERE in (path, *path.parents) for path in named) else True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        cells = [Cell(dataset, name) for dataset in DATASETS for name in _settings(metafunc.config).detectors]
        metafunc.parametrize("cell", cells, ids=str, indirect=True, scope="module")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    results = session.config.stash.get(RESULTS, None)
    if results is None:
        return
    final = exitstatus == 0 and results.complete and not results.quick
    write_page(results, HERE if final else TRIED_OUT)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if RESULTS in config.stash:
        latest = max(HERE / "README.md", TRIED_OUT / "README.md", key=_written)
        terminalreporter.write_line(f"The page: {latest}")


def _written(path: Path) -> float:
    return path.stat().st_mtime if path.is_file() else 0


def _settings(config: pytest.Config) -> Settings:
    return replace(QUICK if config.getoption("--quick") else Settings(), full=config.getoption("--full"))


@pytest.fixture(scope="session")
def settings(pytestconfig: pytest.Config) -> Settings:
    return _settings(pytestconfig)


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Results:
    return pytestconfig.stash.setdefault(RESULTS, Results(machine(), pytestconfig.getoption("--quick")))


@pytest.fixture(scope="module")
def cell(request: pytest.FixtureRequest) -> Cell:
    chosen = request.param
    assert isinstance(chosen, Cell)
    return chosen


@pytest.fixture(autouse=True, scope="session")
def _as_in_a_worker(_one_thread: None) -> Iterator[None]:
    """Keep numpy and scikit-learn to one thread, too."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return plugins_of(())


@pytest.fixture(scope="session")
def arrays(data_dir: Path, plugins: Plugins, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Both datasets, and digits, as worker processes map them."""
    datasets = [plugins.datasets[name](data_dir) for name in (*DATASETS, "digits")]
    with shared_arrays(datasets, tmp_path_factory.mktemp("arrays")) as folder:
        yield folder
