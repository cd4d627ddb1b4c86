from __future__ import annotations

from typing import Any

import pytest

from oodbench.benchmark.errors import UsageError
from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.trials import Trial, plan


def test_everything(plugins: Plugins) -> None:
    trials = plan(plugins)
    assert len(trials) == len(set(trials)) == len(plugins.detectors.plugins) * 2 * 10
    assert {trial.dataset for trial in trials} == {"mnist", "cifar10"}


def test_narrowed_along_every_axis(plugins: Plugins) -> None:
    trials = plan(plugins, detectors=["vae", "ae"], datasets=["mnist"], classes=["3"], seeds=[7])
    assert trials == [Trial("mnist", "vae", 3, 7), Trial("mnist", "ae", 3, 7)]


def test_classes_by_number_and_by_name(plugins: Plugins) -> None:
    trials = plan(plugins, detectors=["ae"], datasets=["cifar10"], classes=["cat", "3", "Truck"])
    assert [trial.normal_class for trial in trials] == [3, 9]


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
    assert str(memvae.path) == "mnist/memvae@channels=8,16,memory_size=200/class-0_seed-0"
    assert vae.label == "vae"
    assert {memvae: 1, vae: 2}[memvae] == 1  # a list can be looked up too
    assert "--class 0 --detector memvae --seed 0 --set" in memvae.command("0")
    assert "memvae.memory_size=200" in memvae.command("0")


def test_a_protocol_is_of_every_trial_and_in_its_command(plugins: Plugins) -> None:
    (trial,) = plan(plugins, detectors=["ae"], datasets=["mnist"], classes=[3], protocol="memae")
    (default,) = plan(plugins, detectors=["ae"], datasets=["mnist"], classes=[3])
    assert trial == Trial("mnist", "ae", 3, 0, protocol="memae") != default
    assert trial.command("3") == default.command("3") + " --protocol memae"


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
