"""The page of what was measured; ``python -m tests.performance.page`` writes it anew from the stored results."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from tabulate import tabulate

from tests.performance import phases
from tests.performance.results import Results
from tests.performance.settings import HERE, NORMAL_CLASS

BENCHMARK = "oodbench, one thread"
PLAIN_ONE_THREAD = "plain, one thread"
PLAIN = "plain, torch's threads"
PLAINS = (PLAIN_ONE_THREAD, PLAIN)
HELP, LIST = "bench --help", "bench list"
DIGITS = "autoencoders on digits"
ALL = "autoencoders on MNIST and CIFAR-10"
FIRST_LOOK, SECOND_LOOK = (f"ppca on MNIST and CIFAR-10, {when}" for when in ("the first time", "again"))
CLASSES = 10
TEST_IMAGES = 10_000
QUIET = 0.5
"""Load above which the machine had something else to do."""

Section = Callable[[Results], list[str]]


def write_page(results: Results, folder: Path) -> None:
    """Write results and page into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    results.write(folder / "results.json")
    (folder / "README.md").write_text(page(results), encoding="utf-8")


def page(results: Results) -> str:
    """Make the page; a section whose topics were not measured is left out."""
    parts = [_head(results)]
    for title, (topics, section) in SECTIONS.items():
        if set(topics) <= set(results.topics):
            parts.append("\n\n".join([f"## {title}", *section(results)]))
    return "\n\n".join([*parts, _tried()]) + "\n"


def _head(results: Results) -> str:
    about = results.machine
    remarks = (
        ["**Only tried out: every training has one epoch, and nothing here is a finding.**"] if results.quick else []
    )
    if about["load_before"] > QUIET:
        remarks.append(
            "**The machine was at work on something else; above all what takes several threads was slowed down.**"
        )
    return "\n\n".join(
        [
            "# Performance",
            "How fast the benchmark is, what it needs, and how that compares with the plain way to write it. This "
            "command measures it all and writes the page; it takes about a quarter of an hour and wants the "
            "machine to itself:",
            "```sh\npytest tests/performance -n 0\n```",
            "MNIST and CIFAR-10 must be at hand, as for the other tests. `--quick` only tries the code out; its page "
            "goes to `build/performance`, and so does that of a part of the measurements. `--full` also runs the "
            "80 trials that are estimated otherwise. An ordinary `pytest` leaves this folder out.",
            *remarks,
            f"Measured on {about['date']}: {about['processor']}, {about['cores']} cores, {about['memory_gib']} GiB, "
            f"{about['system']}, Python {about['python']}, torch {about['torch']}; load before it began: "
            f"{about['load_before']}. Trials are of class {NORMAL_CLASS} and seed 0 with the default hyperparameters.",
        ]
    )


# ---------------------------------------------------------------------- derived figures


def cells(results: Results) -> list[tuple[str, str]]:
    """Give the datasets and detectors that were measured."""
    return list(dict.fromkeys((row["dataset"], row["detector"]) for row in results.rows("phases")))


def trial_seconds(results: Results, phases_: Iterable[str] | None = None, **where: str) -> float:
    """Sum the seconds of phases (None: of all) over the trials with the given dataset and detector (none: all)."""
    chosen = None if phases_ is None else set(phases_)
    rows = results.rows("phases", **where)
    return float(sum(row["seconds"] for row in rows if chosen is None or row["phase"] in chosen))


def net_seconds(results: Results, jobs: int) -> float:
    """Give the time of the run with so many processes without its start-up."""
    seconds = results.value("scaling", "seconds", jobs=jobs) - results.value("scaling", "start_seconds", jobs=jobs)
    return float(seconds)


def scaling(results: Results, *, net: bool) -> float:
    """Say how many times as fast two processes are as one."""
    if net:
        return net_seconds(results, 1) / net_seconds(results, 2)
    return float(results.value("scaling", "seconds", jobs=1) / results.value("scaling", "seconds", jobs=2))


def all_seconds(results: Results) -> float:
    """Estimate how long all trials of the measured detectors take with two processes, real images once looked at."""
    start = results.value("scaling", "start_seconds", jobs=2)
    return float(CLASSES * later_seconds(results) / scaling(results, net=True) + start)


def later_seconds(results: Results) -> float:
    """Sum the seconds of all trials but for what is done once a machine."""
    return trial_seconds(results) - trial_seconds(results, [phases.REAL])


def later_rest(results: Results) -> float:
    """Say which share of these seconds is neither training nor scoring."""
    return 1 - trial_seconds(results, phases.WORK) / later_seconds(results)


def first_look(results: Results) -> float:
    """Say how many seconds longer the first run on a machine takes."""
    first, again = (results.value("whole runs", "seconds", what=what) for what in (FIRST_LOOK, SECOND_LOOK))
    return float(first - again)


def plain_seconds(results: Results, way: str, dataset: str, detector: str) -> float:
    """Estimate how long training and scoring of one trial take the plain way."""
    cell = {"dataset": dataset, "detector": detector, "way": way}
    training = epochs(results, dataset, detector) * results.value("epochs", "seconds", **cell)
    return float(training + TEST_IMAGES / results.value("scoring", "images_per_second", **cell))


def epochs(results: Results, dataset: str, detector: str) -> int:
    """Say how many epochs the trial of a dataset and detector had."""
    return int(results.value("trials", "epochs", dataset=dataset, detector=detector))


def memory_gib(results: Results) -> float:
    """Sum the processes' memory."""
    return float(sum(row["mib"] for row in results.rows("memory")) / 1024)


# ---------------------------------------------------------------------- sections


def _targets(results: Results) -> list[str]:
    rest = later_rest(results)
    digits = results.value("whole runs", "seconds", what=DIGITS)
    measured = [row["seconds"] for row in results.rows("whole runs", what=ALL)]
    everything = "all trials of the four autoencoders on MNIST and CIFAR-10" + ("" if measured else ", estimated")
    seconds = measured[0] if measured else all_seconds(results)
    first = first_look(results)
    memory, two = memory_gib(results), scaling(results, net=True)
    starts = {what: results.value("start-up", "seconds", what=what) for what in (HELP, LIST)}
    rows = [
        *((f"`{what}`", "0.5 s", f"{seconds:.2f} s", seconds <= 0.5) for what, seconds in starts.items()),
        ("share of a trial that is neither training nor scoring", "below 5 %", _percent(rest), rest < 0.05),
        ("memory of a run with two processes", "below 3 GiB", f"{memory:.2f} GiB", memory < 3),
        ("two processes against one", "1.9 times as fast", f"{two:.2f} times", two >= 1.9),
        ("ten splits of digits, four autoencoders", "20 s", _time(digits), digits <= 20),
        (everything, "10 min", _time(seconds), seconds <= 600),
        ("the same, the first time", "10 min", _time(seconds + first), seconds + first <= 600),
    ]
    return [
        "What real images give, by which samples are measured, is kept in the user's cache: the first run on a machine "
        f"takes longer, by {_time(first)} for all classes of MNIST and CIFAR-10. The other figures are without that.",
        table(
            ["what", "target", "measured", "met"],
            [
                *((*row, "yes" if met else "no") for *row, met in rows),
                ("all trials on one large GPU, with `--together`", "60 s", "no GPU was at hand", "—"),
            ],
        ),
    ]


def _speed(results: Results) -> list[str]:
    rows = []
    for dataset, detector in cells(results):
        cell = {"dataset": dataset, "detector": detector, "way": BENCHMARK}
        rate = results.value("scoring", "images_per_second", **cell)
        seconds = f"{results.value('epochs', 'seconds', **cell):.2f}"
        rows.append((dataset, detector, seconds, epochs(results, dataset, detector), f"{rate:,.0f}"))
    return [
        "One thread, as in a worker process; medians.",
        table(["dataset", "detector", "seconds an epoch", "epochs", "images scored a second"], rows),
    ]


def _phases(results: Results) -> list[str]:
    names = sorted({row["phase"] for row in results.rows("phases")}, key=lambda name: _rank(results, name))
    datasets = list(dict.fromkeys(dataset for dataset, _ in cells(results)))
    rows = [_phase_row(results, datasets, name, [name]) for name in names]
    rows.append(_phase_row(results, datasets, "**sum**", None))
    each = [
        f"{rest_share(results, phases.WORK, dataset=dataset, detector=detector)} for {detector} on {dataset}"
        for dataset, detector in cells(results)
    ]
    return [
        "Seconds of one trial of each detector, summed over detectors, in one process with one thread; by timers "
        f"around the functions that a trial calls. The first {len(phases.WORK)} lines are training and scoring.",
        table(["phase", *datasets, "share"], rows),
        f"The other lines are {rest_share(results, phases.WORK)} of the time, or "
        f"{rest_share(results, [phases.TRAINING, phases.SCORING])} with what a fit learns of the training images for "
        f"score and samples counted to them; {_percent(later_rest(results))} where real images have been looked at "
        f"before. By detector: {', '.join(each)}. The first detector of a class looks at the real images for all.",
    ]


def rest_share(results: Results, work: Iterable[str], **where: str) -> str:
    """Say which share of the trials' time some phases are not."""
    return _percent(1 - trial_seconds(results, work, **where) / trial_seconds(results, **where))


def _phase_row(results: Results, datasets: Sequence[str], title: str, names: Sequence[str] | None) -> tuple[str, ...]:
    seconds = [f"{trial_seconds(results, names, dataset=dataset):.2f}" for dataset in datasets]
    return (title, *seconds, _percent(trial_seconds(results, names) / trial_seconds(results)))


def _rank(results: Results, name: str) -> tuple[int, float]:
    """Order phases: those of the work as they come, then the others from long to short."""
    place = phases.WORK.index(name) if name in phases.WORK else len(phases.WORK)
    return place, -trial_seconds(results, [name])


def _starts(results: Results) -> list[str]:
    rows = [(f"`{row['what']}`", f"{row['seconds']:.2f}") for row in results.rows("start-up")]
    return [
        "From the command to its end. Neither help nor list imports torch. `mean` takes next to no time: a run of one "
        "trial of it is start-up, reading the data, pictures and the leaderboard.",
        table(["command", "seconds"], rows),
    ]


def _memory(results: Results) -> list[str]:
    rows = [(row["process"], f"{row['mib']:,.0f}") for row in results.rows("memory")]
    rows.append(("**sum**", f"{1024 * memory_gib(results):,.0f}"))
    return [
        f"`bench run --all` with two processes, of class {NORMAL_CLASS}, an epoch where there are any, when the sum "
        "was largest, looked at five times a second. It is the proportional set size: a page that several processes "
        "share counts once.",
        table(["process", "MiB"], rows),
    ]


def _scaling(results: Results) -> list[str]:
    rows = [
        (jobs, *(f"{value:.1f}" for value in (row["seconds"], row["start_seconds"], net_seconds(results, jobs))))
        for jobs in (1, 2)
        for row in results.rows("scaling", jobs=jobs)
    ]
    trials = results.value("scaling", "trials", jobs=1)
    return [
        f"{trials} trials of ae on both datasets. Start-up is the time of the same command with `mean` in place of "
        "`ae`: imports, data, pictures, leaderboard.",
        table(["processes", "seconds", "of these start-up", "without it"], rows),
        f"Two processes are {scaling(results, net=True):.2f} times as fast as one without start-up, and "
        f"{scaling(results, net=False):.2f} times with it.",
    ]


def _plain(results: Results) -> list[str]:
    rows = [_against_plain(results, *cell) for cell in cells(results)]
    columns = [f"{what}, {threads}" for what in ("training", "scoring", "both") for threads in ("1 thread", "default")]
    whole = {way: CLASSES * sum(plain_seconds(results, way, *cell) for cell in cells(results)) for way in PLAINS}
    ours = all_seconds(results)
    singly = results.value("scoring", "images", way=PLAIN)
    return [
        "The plain way is what scripts commonly do with the same network for the same number of epochs: torchvision's "
        "dataset with `ToTensor` in a `DataLoader`, default memory layout, float32, Adam with torch's defaults; test "
        "images are scored one at a time, by the method's error alone, where the benchmark's score has three parts. "
        "How many times as fast the benchmark is in one thread, against the plain way in one thread and in as many as "
        "torch takes by default:",
        table(["dataset", "detector", *columns], rows),
        f"An epoch is measured and stands for all, and {singly:,} images stand for the {TEST_IMAGES:,} of the test "
        "part. *Both* is one trial, in which the benchmark also learns what scores to expect of normal images. All "
        f"{CLASSES * len(rows)} trials on two cores: {_time(ours)} here, with everything else that a trial does; the "
        f"plain way, training and scoring alone, {_time(whole[PLAIN])} in one process with torch's threads "
        f"({whole[PLAIN] / ours:.1f} times as long), and {_time(whole[PLAIN_ONE_THREAD] / 2)} in two processes of one "
        f"thread each, if they do not slow each other down ({whole[PLAIN_ONE_THREAD] / 2 / ours:.1f} times as long).",
    ]


def _against_plain(results: Results, dataset: str, detector: str) -> tuple[str, ...]:
    cell = {"dataset": dataset, "detector": detector}

    def seconds(way: str) -> float:
        return float(results.value("epochs", "seconds", way=way, **cell))

    def rate(way: str) -> float:
        return float(results.value("scoring", "images_per_second", way=way, **cell))

    ours = trial_seconds(results, phases.WORK, **cell)
    ratios = [
        *(seconds(way) / seconds(BENCHMARK) for way in PLAINS),
        *(rate(BENCHMARK) / rate(way) for way in PLAINS),
        *(plain_seconds(results, way, dataset, detector) / ours for way in PLAINS),
    ]
    return (dataset, detector, *(f"{ratio:.2f}" for ratio in ratios))


def _arithmetic(results: Results) -> list[str]:
    rows = []
    for row in results.rows("arithmetic"):
        cell = {"dataset": row["dataset"], "detector": row["detector"]}
        reached = row["operations_per_epoch"] / results.value("epochs", "seconds", way=BENCHMARK, **cell)
        training = epochs(results, *cell.values()) * row["operations_per_epoch"]
        limit = row["operations_per_second"]
        figures = (f"{training / 1e9:,.0f}", f"{reached / 1e9:.1f}", f"{limit / 1e9:.1f}")
        shares = (_percent(reached / limit), f"{training / limit:.1f}")
        rows.append((*cell.values(), row["dtype"], *figures, *shares))
    return [
        "Floating-point operations of the convolutions and matrix products of a training, against what one core does "
        "in a product of two 1024×1024 matrices of the same type.",
        table(
            ["dataset", "detector", "type", "GFLOP", "GFLOP/s", "GFLOP/s, limit", "share", "seconds at the limit"], rows
        ),
    ]


def _runs(results: Results) -> list[str]:
    rows = [(row["what"], row["trials"], _time(row["seconds"])) for row in results.rows("whole runs")]
    if not any(results.rows("whole runs", what=ALL)):
        rows.append((f"{ALL}, estimated", CLASSES * len(cells(results)), _time(all_seconds(results))))
    return [
        "`bench run` with a process a core, from the command to its end. An estimate is ten times the measured trials "
        "of one class, over the factor by which two processes are faster, and a start-up. All but the one that says so "
        "are not the first on the machine.",
        table(["run", "trials", "time"], rows),
    ]


SECTIONS: dict[str, tuple[Sequence[str], Section]] = {
    "Targets": (("trials", "phases", "start-up", "memory", "scaling", "whole runs"), _targets),
    "Training and scoring": (("trials", "phases", "epochs", "scoring"), _speed),
    "Where the time of a trial goes": (("phases",), _phases),
    "Start-up": (("start-up",), _starts),
    "Memory": (("memory",), _memory),
    "Two processes": (("scaling",), _scaling),
    "Against the plain way": (("trials", "phases", "epochs", "scoring", "scaling"), _plain),
    "Against the limit of arithmetic": (("trials", "epochs", "arithmetic"), _arithmetic),
    "Whole runs": (("phases", "scaling", "whole runs"), _runs),
}


def _tried() -> str:
    """Tell of attempts to be faster, from the file that is kept by hand."""
    parts = [
        "## What was tried",
        "Noted by hand in `tried.csv`, when it was tried. The factor says how many times as fast as the first line.",
    ]
    with (HERE / "tried.csv").open(encoding="utf-8", newline="") as stream:
        attempts = list(csv.DictReader(stream))
    for title, lines in groupby(attempts, key=itemgetter("set")):
        first, *others = lines
        rows = [_attempt(attempt, first) for attempt in (first, *others)]
        columns = ["what", "mnist", "factor", "cifar10", "factor", "verdict"]
        parts += [f"{title}:", table(columns, rows)]
    return "\n\n".join(parts)


def _attempt(attempt: dict[str, str], first: dict[str, str]) -> tuple[str, ...]:
    figures = [text for dataset in ("mnist", "cifar10") for text in _with_factor(attempt[dataset], first[dataset])]
    return (attempt["what"], *figures, attempt["verdict"])


def _with_factor(figure: str, first: str) -> tuple[str, str]:
    return (figure, f"{float(first) / float(figure):.2f}") if figure else ("—", "—")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Make a Markdown table; a column of numbers stands to the right."""
    texts = [[str(cell) for cell in row] for row in rows]
    numeric = [all(text == "—" or text[:1].isdigit() for text in column) for column in zip(*texts, strict=True)]
    sides = ["right" if right else "left" for right in numeric]
    return tabulate(texts, list(columns), tablefmt="pipe", disable_numparse=True, colalign=sides)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


if __name__ == "__main__":
    write_page(Results.read(HERE / "results.json"), HERE)
