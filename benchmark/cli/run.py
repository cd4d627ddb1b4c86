"""``bench run``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from oodbench.benchmark.cli.options import (
    DataDir,
    DeviceName,
    Jobs,
    Out,
    PluginFiles,
    ProtocolName,
    Settings,
    as_given,
    data_folder,
    split_values,
)
from oodbench.benchmark.cli.terminal import say, terminal
from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.running.interruption import interruption_held_back

if TYPE_CHECKING:
    from oodbench.benchmark.results.result import TrialResult

REPEATED = ("out", "data_dir", "device", "trace", "results_only")
"""Options that the command of a single trial repeats; files of plugins and the protocol come besides."""


def run(
    context: typer.Context,
    all_: Annotated[bool, typer.Option("--all", help="Every detector on MNIST and CIFAR-10, all classes.")] = False,
    dataset: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Dataset; repeatable, or several joined by commas.")
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Normal class, by name or number; repeatable, or with commas."),
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Detector, or a Python file that holds some; repeatable, or with commas."),
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", min=1, help="How many seeds, from 0 up.")] = None,
    seed: Annotated[
        list[str] | None,
        typer.Option(metavar="SEED", help="A single seed; repeatable, or several joined by commas.  [default: 0]"),
    ] = None,
    set_: Settings = None,
    force: Annotated[bool, typer.Option("--force", help="Run again what is done already.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Watch the test images after every epoch.")] = False,
    protocol: ProtocolName = "deep-svdd",
    image_size: Annotated[
        int | None, typer.Option(metavar="N", min=4, help="Pixels a side, for datasets folder:PATH.  [default: 32]")
    ] = None,
    jobs: Jobs = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Scheduler of a Dask cluster to run on, or local:N for N workers on this machine.",
        ),
    ] = None,
    device: DeviceName = "auto",
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
    """Run the selected trials that are not done yet, then write the leaderboard.

    An axis that is left out means all of it; without --dataset, that is MNIST and CIFAR-10. Options that repeat also
    take several values joined by commas: --detector knn,pca --class 3,4.
    """
    _check_options(
        all_=all_,
        narrowed=bool(dataset or class_ or detector),
        one_of_seeds=seeds is not None and bool(seed),
        trace=trace,
        together=together,
        results_only=results_only,
        jobs=jobs,
        scheduler=scheduler,
    )
    numbers = _numbers(seed) if seed else list(range(seeds or 1))
    from oodbench.benchmark.cli.selection import check_writable, select
    from oodbench.benchmark.running.device import check_device
    from oodbench.benchmark.trials import check_protocol, plan

    check_device(device)
    check_protocol(protocol)
    check_writable(out)
    chosen = select(plugin, detectors=detector, datasets=dataset, classes=class_, image_size=image_size)
    from oodbench.benchmark.cli.display import make_display
    from oodbench.benchmark.cli.outcome import show_failures, show_ranks, write_leaderboard
    from oodbench.benchmark.results.store import Store
    from oodbench.benchmark.running.finished import Selection, finished_trials, has_gaps, keep
    from oodbench.benchmark.running.processes import allowed_cores, start_server

    store, plugins, display = Store.at(out, protocol), chosen.plugins, make_display(terminal())
    begins = f"Writing to {store.leaderboard} (results, leaderboard) and {store.runs} (run folders)."
    selection = Selection(
        detectors=tuple(chosen.detectors),
        datasets=tuple(chosen.datasets),
        classes=tuple(chosen.classes),
        settings=tuple(set_ or ()),
        seeds=tuple(numbers),
        protocol=protocol,
    )
    anew = force or trace
    trials = None if anew else finished_trials(selection, plugins, store)
    count = 0
    failed: Sequence[TrialResult] = []
    if trials is not None:
        say(begins)
        display.begin(len(trials), 0, 0, 0)
    else:
        if scheduler is None and (anew or set_ or has_gaps(selection, plugins, store)):
            start_server()  # it imports torch while this process does
        with interruption_held_back():  # torch takes it, while it is imported, for a sign that there is no NumPy
            import_module("oodbench.detectors.base")
            from oodbench.benchmark.running import engine
        trials = plan(plugins, **vars(selection))
        say(begins)
        for broken in plugins.broken:
            say(f"Left out: {broken.source}: {broken.cause}", style="yellow")
        for sentence in [] if chosen.detectors else plugins.detectors.missing():
            say(sentence, style="yellow")
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
            display=display,
            options=[*as_given(context, *REPEATED), *chosen.plugin_words],
        )
        count, failed = summary.done, summary.failed
        keep(selection, trials, plugins, store)
    page = write_leaderboard(store, 1 if scheduler else jobs or allowed_cores(), ran=count)
    show_ranks(store, {trial.dataset for trial in trials})
    show_failures(failed, count)
    say(f"Leaderboard: {page}, results: {store.results}, run folders: {store.runs}")
    if failed or any(broken.source.startswith("file ") for broken in plugins.broken):
        raise typer.Exit(1)


def _numbers(seeds: Sequence[str]) -> list[int]:
    """Return seeds as numbers; raises UsageError for what is none."""
    words = split_values(seeds, lambda _: False)
    for word in words:
        if not word.isdecimal():
            raise UsageError(f"--seed {word}: a seed is a whole number from 0 up.")
    return [int(word) for word in words]


def _check_options(
    *,
    all_: bool,
    narrowed: bool,
    one_of_seeds: bool,
    trace: bool,
    together: bool,
    results_only: bool,
    jobs: int | None,
    scheduler: str | None,
) -> None:
    """Raise UsageError for options that contradict each other."""
    if not (all_ or narrowed):
        raise UsageError(
            "Nothing is selected: add --all, or narrow it with --dataset, --class or --detector "
            "(for example `bench run --dataset digits`); `bench list` shows what there is."
        )
    if all_ and narrowed:
        raise UsageError(
            "--all is every detector on MNIST and CIFAR-10, all classes: leave it out to narrow that with --dataset, "
            "--class or --detector."
        )
    if one_of_seeds:
        raise UsageError("--seeds says how many and --seed says which: give only one of them.")
    if trace and results_only:
        raise UsageError("A trace is kept in the run folder: leave out --trace, or --results-only.")
    if together and (trace or scheduler):
        raise UsageError("--together goes with neither --trace nor --scheduler: leave out one of them.")
    if jobs is not None and scheduler is not None:
        raise UsageError("--jobs is for this machine; a cluster runs as many trials at a time as it has workers.")
