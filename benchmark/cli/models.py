"""``bench sample`` and ``score``: what a stored model can do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from oodbench.benchmark.cli.options import ClassName, Out, PluginFiles, ProtocolName, Settings, as_given
from oodbench.benchmark.cli.terminal import complain, say, show_tables
from oodbench.benchmark.errors import UsageError


def sample(
    context: typer.Context,
    detector: Annotated[
        str, typer.Argument(metavar="DETECTOR", help="A detector that has been run, or its Python file.")
    ],
    dataset: Annotated[str, typer.Option(metavar="NAME", help="Dataset.")],
    class_: ClassName,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many images.")] = 64,
    output: Annotated[Path, typer.Option(metavar="FILE", help="PNG to write.")] = Path("samples.png"),
    seed: Annotated[int, typer.Option(metavar="SEED", help="Seed of the stored model.")] = 0,
    sample_seed: Annotated[int, typer.Option(metavar="SEED", help="Seeds the noise that images are made of.")] = 0,
    set_: Settings = None,
    protocol: ProtocolName = "deep-svdd",
    out: Out = None,
    plugin: PluginFiles = None,
) -> None:
    """Generate new images from a stored model."""
    from oodbench.benchmark.cli.selection import select
    from oodbench.benchmark.trials import check_protocol, plan

    check_protocol(protocol)
    chosen = select(plugin, detectors=[detector], datasets=[dataset], classes=[class_])
    if len(chosen.detectors) > 1:
        raise UsageError(f"{detector} holds several detectors ({', '.join(chosen.detectors)}): name one.")
    from oodbench.benchmark.inference import sample_stored
    from oodbench.benchmark.results.store import Store

    (trial,) = plan(
        chosen.plugins,
        detectors=chosen.detectors,
        datasets=chosen.datasets,
        classes=chosen.classes,
        seeds=[seed],
        settings=set_ or (),
        protocol=protocol,
    )
    options = [*as_given(context, "out"), *chosen.plugin_words]
    sample_stored(trial, chosen.plugins, Store.at(out, protocol), n=n, seed=sample_seed, output=output, options=options)
    say(f"{n} images: {output}")


def score(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, with a stored model.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGES", help="Image files, and folders of them.")],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="CSV to write, in place of the table here.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="PNG to write, of the images in order.")] = None,
    plugin: PluginFiles = None,
) -> None:
    """Score your own images by a stored model, and say which are out of distribution."""
    from oodbench.benchmark.plugins import Plugins
    from oodbench.benchmark.results.store import read_card

    plugins = Plugins.load(plugin or ())
    read_card(run_folder)  # the error comes before torch is imported
    from oodbench.benchmark.cli.tables import score_table, verdict_meaning
    from oodbench.benchmark.evaluation.measures import Threshold
    from oodbench.benchmark.evaluation.threshold import caution
    from oodbench.benchmark.inference import draw_ranking, score_images, write_scores

    table = score_images(run_folder, images, plugins)
    if output is None:
        show_tables(score_table(table))
    else:
        write_scores(table, output)
        say(f"{len(table)} images: {output}")
        say(verdict_meaning(table.attrs))
    threshold = table.attrs["threshold"]
    warning = caution(Threshold.model_validate(threshold)) if threshold else None
    if warning:
        complain(warning)
    if plot is not None:
        draw_ranking(table, plot)
        say(f"In order: {plot}")
