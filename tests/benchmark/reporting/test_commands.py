from __future__ import annotations

from oodbench.benchmark.reporting.commands import leaderboard_command, run_commands
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.results.result import TrialResult
from tests.benchmark.made_up import row
from tests.benchmark.reporting.test_page import summary


def given(results: list[TrialResult], options: str, finished: str = "2026-01-02T03:04:05+00:00") -> list[TrialResult]:
    """Results of a run with some options."""
    return [one.model_copy(update={"command": f"{one.command} {options}", "finished": finished}) for one in results]


def test_a_command_for_each_dataset_and_each_change() -> None:
    made = summary(
        row("vae", [0.9, 0.8]),
        row("ae", [0.9, 0.8]),
        row("vae", [0.9, 0.8], seed=1),
        row("vae", [0.9, 0.8], changes={"epochs": 3}),
        row("ae", [0.9, 0.8, 0.7], "digits", seed=4)[1:],
        row("vae", [0.9, 0.8, 0.7], "digits"),
    )
    assert run_commands(made) == [
        "bench run --dataset mnist --detector ae,vae --seeds 2",
        "bench run --dataset mnist --detector vae --set vae.epochs=3",
        "bench run --dataset digits --detector vae",
        "bench run --dataset digits --class 1,2 --detector ae --seed 4",
    ]


def test_commands_carry_the_options_as_they_were_given() -> None:
    options = "--out 'my run' --plugin my.py --data-dir d"
    made = summary(
        given(row("vae", [0.9, 0.8]), "--plugin other.py --out elsewhere", "2026-01-01T00:00:00+00:00"),
        given(row("mine", [0.9, 0.8]), options),
    )
    expected = "--out 'my run' --data-dir d --plugin other.py --plugin my.py"
    assert run_commands(made) == [f"bench run --dataset mnist --detector mine,vae {expected}"]
    assert leaderboard_command(made) == "bench leaderboard --out 'my run'"
    page = render(summary(given(row("mine", [0.9, 0.8]), options)))
    assert f"bench run --dataset mnist --class 0 --detector mine --seed 0 {options} --force\n" in page


def test_a_class_with_a_comma_in_its_name_has_an_option_of_its_own() -> None:
    odd = [one.model_copy(update={"class_name": f"a,{one.normal_class}"}) for one in row("vae", [0.9, 0.8, 0.7])]
    assert run_commands(summary(odd[:2])) == ["bench run --dataset mnist --class a,0 --class a,1 --detector vae"]
