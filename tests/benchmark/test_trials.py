from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import annotated_types
import pytest

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.files import file_name
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import Trial, class_labels, make_detector, plan
from oodbench.datasets import Digits
from oodbench.detectors.knn import KNN


def test_everything(plugins: Plugins) -> None:
    trials = plan(plugins)
    assert len(trials) == len(set(trials)) == len(plugins.detectors.available()) * 2 * 10
    assert {trial.dataset for trial in trials} == {"mnist", "cifar10"}


def test_narrowed_along_every_axis(plugins: Plugins) -> None:
    trials = plan(plugins, detectors=["vae", "ae"], datasets=["mnist"], classes=["3"], seeds=[7])
    assert trials == [Trial("mnist", "vae", 3, 7), Trial("mnist", "ae", 3, 7)]


def test_classes_by_number_and_by_name(plugins: Plugins) -> None:
    trials = plan(plugins, detectors=["ae"], datasets=["cifar10"], classes=["cat", "3", "Truck"])
    assert [trial.normal_class for trial in trials] == [3, 9]


def test_case_does_not_matter(plugins: Plugins) -> None:
    (trial,) = plan(
        plugins, detectors=["MemVAE"], datasets=["CIFAR10"], classes=["CAT"], settings=["MEMVAE.memory_size=200"]
    )
    assert trial == Trial("cifar10", "memvae", 3, 0, (("memory_size", 200),))


class Letters(Digits):
    name = "letters"
    class_names = ("A", "a", "B", "7", "0", "Cat", "CAT")  # type: ignore[assignment]


def test_classes_that_differ_by_case_keep_apart() -> None:
    assert class_labels(Letters, ["a", "A", "b", "0", 7, 2]) == [1, 0, 2, 4, 3]
    with pytest.raises(UsageError, match=r"'cat' may be more than one class of letters: write Cat or CAT\."):
        class_labels(Letters, ["cat"])
    with pytest.raises(UsageError, match="Unknown class of letters 'bb': did you mean B"):
        class_labels(Letters, ["bb"])


def test_what_draws_nothing_at_random_has_one_seed(plugins: Plugins) -> None:
    def seeds(detector: str, protocol: str) -> list[int]:
        given: dict[str, Any] = {"detectors": [detector], "datasets": ["mnist"], "classes": ["3"]}
        return [trial.seed for trial in plan(plugins, seeds=[3, 4, 5], protocol=protocol, **given)]

    assert seeds("mean", "deep-svdd") == [3]
    assert seeds("gmm", "deep-svdd") == seeds("mean", "memae") == [3, 4, 5]


def test_settings_reach_their_detector_only(plugins: Plugins) -> None:
    memvae, vae = plan(
        plugins,
        detectors=["memvae", "vae"],
        datasets=["mnist"],
        classes=[0],
        settings=["memvae.memory_size=200", "memvae.channels=[8,16]"],
    )
    assert memvae.label == "memvae@channels=[8, 16],memory_size=200"
    assert memvae.path == Path("mnist", file_name(memvae.label), "class-0_seed-0")
    assert vae.label == "vae"
    assert {memvae: 1, vae: 2}[memvae] == 1  # a list can be looked up too
    assert "--class 0 --detector memvae --seed 0 --set" in memvae.command("0")
    assert "memvae.memory_size=200" in memvae.command("0")
    assert make_detector(plugins, memvae).get_params()["memory_size"] == 200


def test_a_protocol_is_of_every_trial_and_in_its_command(plugins: Plugins) -> None:
    (trial,) = plan(plugins, detectors=["ae"], datasets=["mnist"], classes=[3], protocol="memae")
    (default,) = plan(plugins, detectors=["ae"], datasets=["mnist"], classes=[3])
    assert trial == Trial("mnist", "ae", 3, 0, protocol="memae") != default
    assert trial.command("3") == default.command("3") + " --protocol memae"


def test_a_command_carries_options_as_they_were_given() -> None:
    trial = Trial("mnist", "ae", 3, 0, protocol="memae")
    options = ["--out", "my results", "--plugin", "mine.py"]
    assert trial.command("3", options).endswith("--seed 0 --out 'my results' --plugin mine.py --protocol memae")


class Typed(KNN):
    """Takes values of many types."""

    name = "test-types"

    def __init__(  # type: ignore[no-untyped-def]
        self,
        *,
        k: Annotated[int, annotated_types.Ge(1)] = 5,
        rate: Annotated[float, annotated_types.Interval(gt=0, lt=1)] = 0.5,
        flag: bool = False,
        kind: Literal["near", "far"] = "near",
        sizes: tuple[int, ...] = (1, 2),
        limit: int | None = None,
        text: str = "",
        bare=3,
        auto="auto",
        pair=(0.5, 1.5),
        anything=None,
        unknown: NoSuchType = 0.5,  # type: ignore[name-defined]  # noqa: F821
    ) -> None:
        for name in self._get_param_names():
            setattr(self, name, locals()[name])


def setting(text: str) -> Any:
    (trial,) = plan(
        Plugins.load(classes=[Typed]),
        detectors=["test-types"],
        datasets=["digits"],
        classes=["3"],
        settings=[f"test-types.{text}"],
    )
    return trial.changes[0][1]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("k=1", 1),
        ("rate=0.25", 0.25),
        ("rate=1e-3", 0.001),
        ("flag=true", True),
        ("flag=False", False),
        ("kind=far", "far"),
        ("sizes=[8,16]", [8, 16]),
        ("limit=None", None),
        ("limit=null", None),
        ("limit=3", 3),
        ("text=nan", "nan"),
        ('text="3"', "3"),
        ("text=a=b\nc", "a=b\nc"),
        ("bare=4", 4),
        ("auto=3", 3),
        ("auto=sqrt", "sqrt"),
        ("pair=[1,2]", [1, 2]),
        ('anything={"a": 1}', {"a": 1}),
        ("unknown=1.5", 1.5),
    ],
)
def test_values_that_fit(text: str, value: Any) -> None:
    found = setting(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("k=0", "k should be greater than or equal to 1"),
        ("k=eight", "k should be a valid integer"),
        ("k=1.5", "k should be a valid integer"),
        ("k=true", "k should be a valid integer"),
        ("rate=1", "rate should be less than 1"),
        ("rate=nan", "rate should be a valid number"),
        ("rate=NaN", "rate should be a valid number"),
        ("rate=inf", "rate should be a valid number"),
        ("rate=1e999", "rate should be a finite number"),
        ("flag=no", "flag should be a valid boolean"),
        ("flag=0", "flag should be a valid boolean"),
        ("kind=middle", "kind should be 'near' or 'far'"),
        ("sizes=[8,0.5]", "item 2 of sizes should be a valid integer"),
        ("sizes=8", "sizes should be a valid array"),
        ("limit=few", "limit should be a valid integer"),
        ("text=3", "text should be a valid string"),
        ("bare=many", "bare should be a valid integer"),
        ("pair=[1,null]", "item 2 of pair should be a valid number"),
        ("anything=1e999", "anything should be a finite number"),
        ("unknown=much", "unknown should be a valid number"),
    ],
)
def test_values_that_do_not_fit_are_refused_with_what_is_allowed(text: str, allowed: str) -> None:
    with pytest.raises(UsageError) as caught:
        setting(text)
    start = f"--set test-types.{text} is refused: "
    assert str(caught.value).startswith(start)
    assert str(caught.value).removeprefix(start).removesuffix(".") == allowed


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        ({"detectors": ["memvea"]}, "Unknown detector 'memvea': did you mean memvae"),
        ({"datasets": ["cifar"]}, "Unknown dataset 'cifar': did you mean cifar10"),
        ({"datasets": ["imagenet"]}, r"Unknown dataset .imagenet.: there are cifar10, digits, .*, folder:…, mnist"),
        ({"datasets": ["cifar10"], "classes": ["car"]}, "Unknown class of cifar10 'car': did you mean cat"),
        ({"datasets": ["mnist"], "classes": ["10"]}, "Unknown class of mnist '10': did you mean"),
        ({"datasets": ["mnist"], "classes": ["-1"]}, "Unknown class of mnist '-1'"),
        ({"settings": ["vae.latent=3"]}, "Unknown parameter of vae 'latent': did you mean latent_size"),
        ({"settings": ["vae.seed=3"]}, "Unknown parameter of vae 'seed'"),
        ({"settings": ["vea.latent_size=3"]}, "did you mean vae"),
        ({"protocol": "meamae"}, "Unknown protocol 'meamae': did you mean memae"),
        ({"settings": ["latent_size"]}, "not of the form detector.parameter=value"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(
    plugins: Plugins, selection: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        plan(plugins, **selection)
