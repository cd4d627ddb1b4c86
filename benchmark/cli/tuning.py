"""``bench tune`` and ``ablation``: hyperparameters and parts, judged on training images alone."""

from __future__ import annotations

import json
import shlex
from typing import Annotated

import typer

from oodbench.benchmark.cli.options import DataDir, DeviceName, Jobs, Out, PluginFiles, data_folder
from oodbench.benchmark.cli.terminal import say

Dataset = Annotated[str, typer.Option(metavar="NAME", help="Dataset.")]


def tune(
    detector: Annotated[str, typer.Argument(metavar="DETECTOR", help="A detector, or its Python file.")],
    dataset: Dataset,
    trials: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many settings, those of earlier calls included.")
    ] = 20,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="CLASS", help="Class to judge by; repeatable, or with commas. [default: all]"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="DETECTOR.PARAMETER=VALUE", help="A hyperparameter that is not to be chosen; repeatable."
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Make the best setting the default.")] = False,
    jobs: Jobs = None,
    device: DeviceName = "auto",
    data_dir: DataDir = None,
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Choose hyperparameters on training images alone: one setting for all classes of a dataset.

    The study is kept in the leaderboard's folder; the same command goes on with it.
    """
    from oodbench.benchmark.cli.selection import check_writable, select
    from oodbench.benchmark.running.device import check_device
    from oodbench.benchmark.trials import plan

    check_device(device)
    check_writable(out)
    chosen = select(plugin, detectors=[detector], datasets=[dataset], classes=class_)
    plugins, (name,) = chosen.plugins, chosen.detectors
    planned = plan(plugins, detectors=[name], datasets=chosen.datasets, classes=chosen.classes, settings=set_ or ())
    from oodbench.benchmark.results.store import Store
    from oodbench.benchmark.tuning import defaults, study

    if write:
        defaults.check_writable(plugins.detectors[name])
    candidates = study.tune(
        name,
        dataset,
        plugins,
        Store.at(out),
        trials=trials,
        data=data_folder(data_dir),
        classes=[trial.normal_class for trial in planned] if chosen.classes else (),
        fixed=dict(planned[0].changes),
        jobs=jobs,
        device=device,
        listener=lambda candidate: say(f"[{candidate.number}] {candidate}"),
        warn=lambda text: say(text, style="yellow"),
    )
    best = candidates[0]
    say(f"Best of {len(candidates)}: [{best.number}] {best}")
    settings = [word for key, value in best.settings.items() for word in ("--set", f"{name}.{key}={json.dumps(value)}")]
    say(f"  {shlex.join(settings)}")
    if write:
        path = defaults.write_defaults(plugins.detectors[name], plugins.datasets[dataset], best.settings)
        say(f"Now the default: {path}")


def ablation(
    detector: Annotated[list[str], typer.Argument(metavar="DETECTOR", help="Detectors, or Python files.")],
    dataset: Dataset,
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="How many seeds, from 0 up.")] = 1,
    jobs: Jobs = None,
    data_dir: DataDir = None,
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Judge detectors without each of their parts, on training images alone.

    The tables are kept in the leaderboard's folder (ablations.md and ablations.csv); what is judged already stays.
    """
    from oodbench.benchmark.cli.selection import check_writable, select

    check_writable(out)
    chosen = select(plugin, detectors=detector, datasets=[dataset])
    from oodbench.benchmark.results.store import Store
    from oodbench.benchmark.tuning.ablation import ablate

    store, data = Store.at(out), data_folder(data_dir)
    on = chosen.plugins.datasets[dataset]
    for name in chosen.detectors:
        judged = chosen.plugins.detectors[name]
        ablate(judged, on, chosen.plugins, store, data=data, seeds=seeds, jobs=jobs, listener=say)
    say(f"Ablations: {store.leaderboard / 'ablations.md'}")
