"""The command ``bench``. It holds no logic: each verb calls the Python API, imported only when it is needed."""

from __future__ import annotations

import gc
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from oodbench.benchmark.errors import CANNOT_WRITE, RunError
from oodbench.benchmark.running.interruption import heed_one_interruption, interruption_held_back

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oodbench.benchmark.checks import Outcome
    from oodbench.benchmark.plugins import Plugins, Registry
    from oodbench.benchmark.results.store import Store


OBJECTS_BETWEEN_COLLECTIONS = 100_000
STORED = "Everything that had finished is stored: the same command goes on from there."


class Bench(TyperGroup):
    """Ends bad input with one sentence and exit code 2, a full disk with 1, an interruption with 130; no tracebacks."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        heed_one_interruption()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain(f"Interrupted. {STORED}")
            raise typer.Exit(130) from None
        except OSError as error:
            if error.errno not in CANNOT_WRITE:
                raise
            _complain(f"Error: {error.filename or 'The folder'} cannot be written to ({error.strerror}). {STORED}")
            raise typer.Exit(1) from None
        except RunError as error:
            _complain(f"Error: {error} {STORED}")
            raise typer.Exit(1) from None
        except ValueError as error:
            if not _is_bad_input(error):
                raise
            _complain(f"Error: {error}")
            raise typer.Exit(2) from None


app = typer.Typer(
    name="bench",
    cls=Bench,
    help="Compare out-of-distribution detectors, one-vs-rest, on detection and on generation.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# without markup: a message may hold square brackets
console = Console(markup=False)

Out = Annotated[
    Path | None,
    typer.Option(help="Folder for results, leaderboard and run folders.  [default: leaderboard, and runs beside it]"),
]
Protocol = Annotated[
    str, typer.Option(help="Which images are trained and tested on: deep-svdd or memae; each has a leaderboard.")
]
DataDir = Annotated[
    Path | None,
    typer.Option(envvar="OODBENCH_DATA", help="Folder where datasets lie.  [default: the user's cache folder]"),
]
PluginFiles = Annotated[
    list[Path] | None, typer.Option("--plugin", metavar="FILE", help="Python file with more detectors or datasets.")
]


@app.command()
def run(
    all_: Annotated[bool, typer.Option("--all", help="Every detector on MNIST and CIFAR-10, all classes.")] = False,
    dataset: Annotated[list[str] | None, typer.Option(help="Dataset; repeatable.")] = None,
    class_: Annotated[list[str] | None, typer.Option("--class", help="Normal class, number or name.")] = None,
    detector: Annotated[list[str] | None, typer.Option(help="Detector; repeatable.")] = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="How many seeds, from 0 up.")] = None,
    seed: Annotated[list[int] | None, typer.Option(min=0, help="A given seed; repeatable.  [default: 0]")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="DETECTOR.PARAMETER=VALUE", help="Change a hyperparameter.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what is done already.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Watch the test images after every epoch.")] = False,
    protocol: Protocol = "deep-svdd",
    image_size: Annotated[
        int | None, typer.Option(min=4, help="Pixels a side, for datasets folder:PATH.  [default: 32]")
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at a time.  [default: one a core]")] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(help="Run on a Dask cluster: its scheduler's address, or local:N for N workers on this machine."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    together: Annotated[
        bool, typer.Option("--together", help="Train all classes of a detector as one batched model; for a GPU.")
    ] = False,
    results_only: Annotated[
        bool, typer.Option("--results-only", help="Keep no run folders: no weights, scores and pictures.")
    ] = False,
    data_dir: DataDir = None,
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Run the trials that are selected and not done yet, then write the leaderboard.

    An axis that is left out means all of it; without --dataset that is MNIST and CIFAR-10.
    """
    from oodbench.benchmark.errors import UsageError

    if not (all_ or dataset or class_ or detector):
        raise UsageError(
            "Nothing is selected: add --all, or narrow it with --dataset, --class or --detector "
            "(for example `bench run --dataset digits`); `bench list` shows what there is."
        )
    if seeds is not None and seed:
        raise UsageError("--seeds says how many and --seed says which: give only one of them.")
    if scheduler is None or scheduler.startswith("local:"):
        from oodbench.benchmark.running.processes import start_server

        start_server()
    with interruption_held_back():  # torch takes it, while it is imported, for a sign that there is no NumPy
        from oodbench.benchmark.reporting import leaderboard
        from oodbench.benchmark.running import engine
    from oodbench.benchmark.cli.display import make_display
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.trials import plan, with_size

    plugins = Plugins.load(plugin or ())
    for broken in plugins.broken:
        _say(f"Left out: {broken.source}: {broken.cause}", style="yellow")
    trials = plan(
        plugins,
        detectors=detector or (),
        datasets=[with_size(name, image_size) for name in dataset or ()],
        classes=class_ or (),
        seeds=seed or range(seeds or 1),
        settings=set_ or (),
        protocol=protocol,
    )
    store = _store(out, protocol)
    summary = engine.run(
        trials,
        plugins,
        store,
        data=data_folder(data_dir),
        jobs=jobs,
        scheduler=scheduler,
        device=device,
        force=force,
        trace=trace,
        keep=not results_only,
        together=together,
        display=make_display(console),
    )
    page = leaderboard.update(store, jobs=1 if scheduler else jobs or os.cpu_count() or 1)
    _say(f"Leaderboard: {page}")
    if summary.failed:
        _say(f"{len(summary.failed)} of {summary.done} trials failed; the others are stored:", style="red")
        for result in summary.failed:
            _say(f"  {result['command']}: {result['error']}")
    if summary.failed or any(broken.source.startswith("file ") for broken in plugins.broken):
        raise typer.Exit(1)


@app.command()
def tune(
    detector: Annotated[str, typer.Argument(help="A detector.")],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    trials: Annotated[int, typer.Option(min=1, help="How many settings, those of earlier calls included.")] = 20,
    write: Annotated[bool, typer.Option("--write", help="Make the best setting the default.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes at a time.  [default: one a core]")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    data_dir: DataDir = None,
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Choose hyperparameters on training images alone: one setting for all classes of a dataset.

    The study is kept in the leaderboard's folder; the same command goes on with it.
    """
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.results.store import Store
    from oodbench.benchmark.tuning import study as tuning

    plugins = Plugins.load(plugin or ())
    if write:
        tuning.check_writable(plugins.detectors[detector])
    candidates = tuning.tune(
        detector,
        dataset,
        plugins,
        Store.at(out),
        trials=trials,
        data=data_folder(data_dir),
        jobs=jobs,
        device=device,
        listener=lambda candidate: _say(f"[{candidate.number}] {candidate}"),
    )
    best = candidates[0]
    _say(f"Best of {len(candidates)}: [{best.number}] {best}")
    _say("  " + " ".join(f"--set {detector}.{name}={json.dumps(value)}" for name, value in best.settings.items()))
    if write:
        path = tuning.write_defaults(plugins.detectors[detector], plugins.datasets[dataset], best.settings)
        _say(f"Now the default: {path}")


@app.command(name="list")
def list_(plugin: PluginFiles = None) -> None:
    """List detectors and datasets, what they can do, and where they come from."""
    from oodbench.benchmark.cli.listing import listing, tables

    for table in tables(listing(plugin or ())):
        console.print(table)


@app.command()
def leaderboard(
    check: Annotated[bool, typer.Option("--check", help="Only say whether what is there matches.")] = False,
    protocol: Protocol = "deep-svdd",
    out: Out = None,
) -> None:
    """Write page, table and plots anew from the stored results."""
    from oodbench.benchmark.reporting import leaderboard

    store = _store(out, protocol)
    if not check:
        _say(f"Leaderboard: {leaderboard.update(store)}")
        return
    problems = leaderboard.check(store)
    for problem in problems:
        _say(problem, style="red")
    if problems:
        _say("The same command without --check writes it anew.")
        raise typer.Exit(1)
    _say(f"{store.leaderboard} matches its results.")


@app.command()
def diff(
    other: Annotated[Path, typer.Argument(help="Another leaderboard's folder, or its results folder.")],
    tolerance: Annotated[
        float, typer.Option(min=0, help="Deviation of the AUROC over seeds to assume where there is only one.")
    ] = 0.005,
    protocol: Protocol = "deep-svdd",
    out: Out = None,
) -> None:
    """Compare results with another folder's, cell by cell.

    AUROC and Fréchet distance. Exit code 1 if a cell or a seed is missing here, or one moved more than seeds explain.
    """
    from oodbench.benchmark.cli.tables import diff_table
    from oodbench.benchmark.reporting.diff import compare

    comparison = compare(_store(out, protocol), other, tolerance=tolerance)
    if not comparison.shown.empty:
        console.print(diff_table(comparison))
    _say(comparison.summary)
    if not comparison.well:
        raise typer.Exit(1)


@app.command()
def show(
    dataset: Annotated[str, typer.Argument(help="A dataset.")],
    class_: Annotated[str, typer.Argument(metavar="CLASS", help="A normal class, number or name.")],
    protocol: Protocol = "deep-svdd",
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Show one split: every detector's figures, and where its pictures lie."""
    from oodbench.benchmark.cli.tables import run_folders, split_table
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.trials import class_labels

    found = Plugins.load(plugin or ()).datasets[dataset]
    store, (label,) = _store(out, protocol), class_labels(found, [class_])
    console.print(split_table(store, found.name, label))
    _say(run_folders(store, found.name, label))


@app.command()
def sample(
    detector: Annotated[str, typer.Argument(help="A detector that has been run.")],
    dataset: Annotated[str, typer.Option(help="Dataset.")],
    class_: Annotated[str, typer.Option("--class", help="Normal class, number or name.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many images.")] = 64,
    output: Annotated[Path, typer.Option(help="PNG to write.")] = Path("samples.png"),
    seed: Annotated[int, typer.Option(help="Which of the stored models.")] = 0,
    sample_seed: Annotated[int, typer.Option(help="Seed of the drawing.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="DETECTOR.PARAMETER=VALUE", help="As it was run with.")
    ] = None,
    protocol: Protocol = "deep-svdd",
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Draw new images from a stored model."""
    from oodbench.benchmark.inference import sample_stored
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.trials import plan

    plugins = Plugins.load(plugin or ())
    (trial,) = plan(
        plugins,
        detectors=[detector],
        datasets=[dataset],
        classes=[class_],
        seeds=[seed],
        settings=set_ or (),
        protocol=protocol,
    )
    sample_stored(trial, plugins, _store(out, protocol), n=n, seed=sample_seed, output=output)
    _say(f"{n} images: {output}")


@app.command()
def data(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets to download and verify.")] = None,
    data_dir: DataDir = None,
    plugin: PluginFiles = None,
) -> None:
    """Say which datasets are there and what is missing; download and verify those that are named."""
    from oodbench.benchmark.cli.tables import data_table
    from oodbench.benchmark.plugins import Plugins

    plugins, root = Plugins.load(plugin or ()), data_folder(data_dir)
    for dataset in [plugins.datasets[name] for name in names or ()]:
        dataset(root).prepare()
        _say(f"{dataset.name}: ready in {root}")
    if not names:
        console.print(data_table(plugins, root))


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Its name, of lower-case letters, digits and hyphens.")],
    package: Annotated[bool, typer.Option("--package", help="A package with an entry point, not one file.")] = False,
    folder: Annotated[Path, typer.Option(help="Where to.")] = Path(),
) -> None:
    """Begin a detector of your own: write a small one that works, to be changed."""
    from oodbench.benchmark.cli.scaffold import new_file, new_package

    if package:
        path = new_package(name, folder)
        _say(f"{path}: a package with {name}. Install it, check it and run it:")
        _say(f"  pip install -e {path}")
        _say(f"  bench check {name}")
        _say(f"  bench run --detector {name} --dataset digits --out my-results")
    else:
        path = new_file(name, folder)
        _say(f"{path}: a small detector that works. Check it and run it:")
        _say(f"  bench check --plugin {path}")
        _say(f"  bench run --plugin {path} --detector {name} --dataset digits --out my-results")


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(help="Detectors.  [default: those of --plugin]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what holds, too.")] = False,
    plugin: PluginFiles = None,
) -> None:
    """Check that detectors do what the benchmark asks of them, and say how to fix what they do not."""
    from oodbench.benchmark.checks import detector_outcomes
    from oodbench.benchmark.plugins import Plugins

    plugins = Plugins.load(plugin or ())
    detectors = _chosen(names, plugins, plugins.detectors)
    _report_checks({detector.name: detector_outcomes(detector) for detector in detectors}, verbose)


@app.command()
def check_dataset(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets.  [default: those of --plugin]")] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show what holds, too.")] = False,
    data_dir: DataDir = None,
    plugin: PluginFiles = None,
) -> None:
    """Check that datasets do what the benchmark asks of them, and say how to fix what they do not."""
    from oodbench.benchmark.checks import dataset_outcomes
    from oodbench.benchmark.plugins import Plugins

    plugins, root = Plugins.load(plugin or ()), data_folder(data_dir)
    datasets = _chosen(names, plugins, plugins.datasets)
    _report_checks({dataset.name: dataset_outcomes(dataset(root)) for dataset in datasets}, verbose)


@app.command()
def score(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, with a stored model.")],
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    output: Annotated[Path | None, typer.Option(help="CSV to write, in place of the table here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG to write, of the images in order.")] = None,
    plugin: PluginFiles = None,
) -> None:
    """Score your own images by a stored model, and say which are out of distribution."""
    from oodbench.benchmark.cli.tables import score_table
    from oodbench.benchmark.inference import draw_ranking, score_images, write_scores
    from oodbench.benchmark.plugins import Plugins

    table = score_images(run_folder, images, Plugins.load(plugin or ()))
    if output is None:
        console.print(score_table(table))
    else:
        write_scores(table, output)
        _say(f"{len(table)} images: {output}")
    if plot is not None:
        draw_ranking(table, plot)
        _say(f"In order: {plot}")


def main() -> None:
    """Run the command.

    Torch and what it imports are half a million objects that stay. Python's collector of cycles would look through them
    again and again as they come, and once more at the end: that takes a second each.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    try:
        app()
    finally:
        gc.freeze()


def _chosen(names: list[str] | None, plugins: Plugins, registry: Registry[Any]) -> list[Any]:
    """Look names up, or give what the files of --plugin hold; nothing at all, or a file that is broken, is an error."""
    from oodbench.benchmark.errors import UsageError
    from oodbench.benchmark.plugins import source_of

    for broken in plugins.broken:
        if broken.source.startswith("file "):
            raise UsageError(f"{broken.source} cannot be used: {broken.cause}")
    if names:
        return [registry[name] for name in names]
    files = [source_of(path) for path in plugins.files]
    found = [plugin.cls for plugin in registry.plugins.values() if plugin.source in files]
    if not found:
        raise UsageError(f"No {registry.kind} is named: give its name, or a file that holds one with --plugin.")
    return found


def _report_checks(examined: dict[str, Iterator[Outcome]], verbose: bool) -> None:
    """Print what fails (or everything), and end with exit code 1 if anything did."""
    from oodbench.benchmark.checks import totals

    failed = False
    for name, outcomes in examined.items():
        found = []
        for outcome in outcomes:
            found.append(outcome)
            if verbose or outcome.status in ("failed", "expected"):
                style = {"failed": "red", "expected": "yellow"}.get(outcome.status)
                _say(f"{name}: {outcome.status}: {outcome.name}: {outcome.message}", style=style)
        _say(f"{name}: {totals(found)}")
        failed = failed or any(outcome.status == "failed" for outcome in found)
    if failed:
        raise typer.Exit(1)


def _say(text: str, style: str | None = None) -> None:
    console.print(text, style=style, highlight=False, soft_wrap=True)


def _complain(text: str) -> None:
    Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)


def _is_bad_input(error: ValueError) -> bool:
    from oodbench.benchmark.errors import UsageError
    from oodbench.datasets.base import DatasetError
    from oodbench.detectors.base import DetectorError

    return isinstance(error, (UsageError, DatasetError, DetectorError))


def _store(out: Path | None, protocol: str) -> Store:
    from oodbench.benchmark.results.store import Store

    return Store.at(out, protocol)


def data_folder(given: Path | None) -> Path:
    """Where datasets lie: the folder that is given, or one in the user's cache."""
    if given is not None:
        return given
    from platformdirs import user_cache_path

    return user_cache_path("oodbench") / "data"
