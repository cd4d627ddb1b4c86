"""The functions of the public interface; each imports what it needs when it is called."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import cache_folder
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import check_protocol, class_labels
from oodbench.datasets.components.protocols import DEFAULT_PROTOCOL, PROTOCOLS

if TYPE_CHECKING:
    from oodbench._split import LoadedSplit
    from oodbench.benchmark.evaluation.evaluate import Evaluation
    from oodbench.benchmark.results.collection import Results
    from oodbench.datasets.components.split import Split
    from oodbench.detectors.base import Detector

    Detectors = str | Path | type[Detector]

Files = Iterable[str | Path]


def list_detectors(files: Files = ()) -> list[str]:
    """Return the names of the detectors: built in, of installed packages, and in local files.

    Parameters
    ----------
    files : iterable of str or Path
        Python files with more detectors.

    Returns
    -------
    list of str
        Sorted, members of families such as ``typical:ae`` among them. Detectors of PyOD, which are named as in
        ``pyod:HBOS``, are not listed.

    Examples
    --------
    >>> import oodbench as ob
    >>> "memvae" in ob.list_detectors()
    True
    """
    found = Plugins.load(files).detectors
    return sorted([*found.names(), *found.members()])


def list_datasets(files: Files = ()) -> list[str]:
    """Return the names of the datasets: built in, of installed packages, and in local files.

    Parameters
    ----------
    files : iterable of str or Path
        Python files with more datasets.

    Returns
    -------
    list of str
        Sorted. Folders of images, which are named as in ``folder:photos``, are not listed.

    Examples
    --------
    >>> import oodbench as ob
    >>> "cifar10" in ob.list_datasets()
    True
    """
    return sorted(Plugins.load(files).datasets.names())


def load_split(
    dataset: str,
    normal_class: int | str,
    *,
    protocol: str = DEFAULT_PROTOCOL,
    seed: int = 0,
    data_dir: str | Path | None = None,
    files: Files = (),
) -> LoadedSplit:
    """Load a dataset, and split it one-vs-rest: one class is normal, the others are out of distribution.

    Parameters
    ----------
    dataset : str
        A dataset's name, or ``folder:PATH`` for a folder of images. What is missing is downloaded.
    normal_class : int or str
        The normal class, by label or by name.
    protocol : {"deep-svdd", "memae"}
        Which images are trained and tested on.
    seed : int
        Seeds the draw of images in the protocol memae; also the seed that `evaluate` takes by default.
    data_dir : str or Path, optional
        Where the datasets lie; by default what the environment variable ``OODBENCH_DATA`` says, or else a folder in the
        user's cache.
    files : iterable of str or Path
        Python files with more datasets.

    Returns
    -------
    LoadedSplit
        ``train``, ``validation`` and ``test`` are uint8 tensors (N, C, H, W) with values 0 to 255, ``test_labels`` and
        ``is_ood`` describe the test images.

    Raises
    ------
    UsageError
        There is no such dataset, class or protocol.
    DatasetError
        The dataset cannot be read or downloaded.

    Examples
    --------
    >>> import oodbench as ob
    >>> split = ob.load_split("digits", normal_class=3)
    >>> split.train.shape[1:]
    torch.Size([1, 8, 8])
    """
    check_protocol(protocol)
    found = Plugins.load(files).datasets[dataset]
    (label,) = class_labels(found, [normal_class])
    from oodbench._split import LoadedSplit

    source = found(_data_folder(data_dir))
    source.prepare()
    split = PROTOCOLS[protocol].split(source.load("train"), source.load("test"), label, seed)
    return LoadedSplit(**vars(split), dataset=found, normal_class=label, protocol=protocol, seed=seed)


def evaluate(
    detector: Detector | Detectors, split: Split, *, seed: int | None = None, trace: bool = False
) -> Evaluation:
    """Train a detector on a split, score the test images, and measure, in this process and in one thread.

    The figures are those of ``bench run`` on a CPU with the same seed. Nothing is stored.

    Parameters
    ----------
    detector : Detector, type or str
        A detector, which is fitted; or the class, name or Python file of one, which is made with its defaults and the
        seed.
    split : Split
        From `load_split`; or your own, whose samples are drawn and not measured.
    seed : int, optional
        Seeds the drawing of samples; by default that of the split.
    trace : bool
        Whether to score the test images after every epoch, too.

    Returns
    -------
    Evaluation
        Figures such as ``auroc``, ``fpr95`` and ``frechet``; the trained ``detector``; ``scores`` (float32, one for
        each test image, higher is more out-of-distribution) with ``is_ood`` and ``labels``; ``samples`` (float32 images
        in [0, 1], None if it cannot sample); ``history``.

    Raises
    ------
    UsageError
        There is no such detector.
    ValueError
        The detector returned what it must not, a wrong shape or NaN for example.

    Examples
    --------
    >>> import oodbench as ob
    >>> result = ob.evaluate("knn", ob.load_split("digits", normal_class=3))
    >>> 0.9 < result.auroc < 1
    True
    """
    from oodbench._split import LoadedSplit
    from oodbench.benchmark.evaluation.evaluate import evaluate as measure
    from oodbench.benchmark.evaluation.reference import reference_of

    loaded = split if isinstance(split, LoadedSplit) else None
    if seed is None:
        seed = loaded.seed if loaded else 0
    made = _made(detector, seed) if isinstance(detector, str | Path | type) else cast("Detector", detector)
    reference = None
    if loaded is not None:

        def reference() -> Any:
            return reference_of(loaded.dataset, loaded.normal_class, lambda: loaded, protocol=loaded.protocol)

    return measure(made, split, seed=seed, reference=reference, trace=trace)


def run(
    detectors: Detectors | Sequence[Detectors],
    datasets: str | Sequence[str],
    *,
    classes: Sequence[int | str] | int | str = (),
    seeds: int | Sequence[int] = 1,
    settings: Mapping[str, Any] | None = None,
    protocol: str = DEFAULT_PROTOCOL,
    out: str | Path = "oodbench-results",
    data_dir: str | Path | None = None,
    files: Files = (),
    jobs: int | None = None,
    device: str = "auto",
    force: bool = False,
    trace: bool = False,
    keep: bool = True,
    progress: bool = True,
) -> Results:
    """Run detectors on datasets in worker processes, store the results, and write the leaderboard, like ``bench run``.

    What is stored already is not run again.

    Parameters
    ----------
    detectors : sequence
        Names, classes (also of a notebook's cell) and paths of Python files that hold detectors.
    datasets : sequence of str
        Names, or ``folder:PATH``.
    classes : sequence of int or str
        Normal classes, by label or name; by default all.
    seeds : int or sequence of int
        How many seeds from 0 up, or which.
    settings : mapping, optional
        Hyperparameters other than the defaults: ``{"memvae.memory_size": 200}``.
    protocol : {"deep-svdd", "memae"}
        Which images are trained and tested on.
    out : str or Path
        Folder for results, leaderboard and run folders; by default ``oodbench-results`` in the working directory.
    data_dir : str or Path, optional
        Where the datasets lie; see `load_split`.
    files : iterable of str or Path
        Python files with more detectors and datasets.
    jobs : int, optional
        Processes at a time; by default one for each core.
    device : {"auto", "cpu", "cuda"}
        Where to compute.
    force : bool
        Whether to run again what is done already.
    trace : bool
        Whether to score the test images after every epoch, too.
    keep : bool
        Whether to keep run folders: weights, scores and pictures.
    progress : bool
        Whether to print each result as it comes.

    Returns
    -------
    Results
        Of these trials, in the order in which they are planned; failed ones have the status "failed" and an ``error``.

    Raises
    ------
    UsageError
        A name is unknown, or the folder cannot be written to.
    DatasetError
        A dataset cannot be read or downloaded.

    Examples
    --------
    >>> import oodbench as ob
    >>> results = ob.run(["knn", "pca"], ["digits"], classes=[3], out="my-run", progress=False)
    >>> [result.detector for result in results]
    ['knn', 'pca']
    >>> round(float(results.leaderboard()["digits"]["auroc"].max()), 1)
    1.0
    """
    from oodbench.benchmark.cli.display import make_display
    from oodbench.benchmark.cli.terminal import terminal
    from oodbench.benchmark.reporting import leaderboard
    from oodbench.benchmark.results.collection import Results
    from oodbench.benchmark.results.store import Store
    from oodbench.benchmark.running import engine
    from oodbench.benchmark.trials import plan

    plugins = Plugins.load(files)
    names = plugins.resolve([detectors] if isinstance(detectors, (str, Path, type)) else detectors)
    trials = plan(
        plugins,
        detectors=names,
        datasets=[datasets] if isinstance(datasets, str) else datasets,
        classes=[classes] if isinstance(classes, (int, str)) else classes,
        seeds=range(seeds) if isinstance(seeds, int) else seeds,
        settings=[f"{name}={json.dumps(value)}" for name, value in (settings or {}).items()],
        protocol=protocol,
    )
    given = {"--out": out, "--data-dir": data_dir, "--device": None if device == "auto" else device}
    options = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    options += [option for option, wanted in (("--trace", trace), ("--results-only", not keep)) if wanted]
    options += [word for path in plugins.files for word in ("--plugin", str(path))]
    store = Store.at(Path(out), protocol)
    engine.run(
        trials,
        plugins,
        store,
        data=_data_folder(data_dir),
        jobs=jobs,
        device=device,
        force=force,
        trace=trace,
        keep=keep,
        display=make_display(terminal()) if progress else None,
        options=options,
    )
    leaderboard.update(store)
    return Results(result for trial in trials if (result := store.read(trial)) is not None)


def load_results(folder: str | Path, *, protocol: str = DEFAULT_PROTOCOL) -> Results:
    """Read the stored results in a folder.

    Parameters
    ----------
    folder : str or Path
        What ``bench run --out`` or `run` wrote to, the committed ``leaderboard`` for example.
    protocol : {"deep-svdd", "memae"}
        Which of its leaderboards.

    Returns
    -------
    Results
        Damaged files are left out, and named in ``problems``.

    Raises
    ------
    UsageError
        There are none.

    Examples
    --------
    >>> import oodbench as ob
    >>> done = ob.run("knn", "digits", classes=[3], out="my-run", progress=False)
    >>> table = ob.load_results("my-run").to_frame()
    >>> table[table["detector"] == "knn"]["normal_class"].tolist()
    [3]
    """
    from oodbench.benchmark.results.store import Store

    results = Store.at(Path(folder), protocol).read_all()
    if not results:
        left_out = f" ({results.problems[0]})" if results.problems else ""
        raise UsageError(f"There are no results in {folder}{left_out}: name a folder that `bench run` wrote to.")
    return results


def load_model(folder: str | Path, *, detector: Detectors | None = None) -> Detector:
    """Load a trained detector from its run folder.

    Parameters
    ----------
    folder : str or Path
        A run folder, such as ``my-run/runs/digits/memvae/class-3_seed-0``.
    detector : type, str or Path, optional
        The class of the detector or the Python file that holds it, for one that is neither built in nor installed.

    Returns
    -------
    Detector
        Fitted: ``score(images)`` and, if it can sample, ``sample(n)``.

    Raises
    ------
    UsageError
        The folder holds no model, or the detector is unknown.

    Examples
    --------
    >>> import oodbench as ob
    >>> done = ob.run("ppca", "digits", classes=[3], out="my-run", progress=False)
    >>> model = ob.load_model("my-run/runs/digits/ppca/class-3_seed-0")
    >>> model.sample(16).shape
    torch.Size([16, 1, 8, 8])
    """
    from oodbench.benchmark import inference
    from oodbench.benchmark.results.store import read_card

    plugins = Plugins()
    if detector is not None:
        plugins.resolve([detector])
    name = read_card(Path(folder))["detector"]
    try:
        plugins.check_names([name])
    except UsageError as error:
        raise UsageError(
            f"{folder} holds a model of {name!r}, which is neither built in nor installed: give its class, or the "
            "Python file that holds it, as detector."
        ) from error
    return inference.load_model(Path(folder), plugins)


def _made(detector: Detectors, seed: int) -> Detector:
    """Make a detector of a name, a file or a class, with its defaults and a seed."""
    plugins = Plugins()
    names = plugins.resolve([detector])
    if len(names) > 1:
        raise UsageError(f"{detector} holds several detectors ({', '.join(names)}): give the class of one.")
    cls = plugins.detectors[names[0]]
    return cls(**{"seed": seed} if "seed" in cls().get_params(deep=False) else {})


def _data_folder(given: str | Path | None) -> Path:
    return Path(given or os.environ.get("OODBENCH_DATA") or cache_folder() / "data")
