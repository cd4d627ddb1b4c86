"""Figures from papers stand beside ours and apart from them."""

from __future__ import annotations

import pandas as pd
import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.reporting.page import render
from oodbench.benchmark.reporting.published import MEAN, OUR_NAMES, PUBLISHED, ROW, beside_ours, published_figures
from oodbench.datasets.components.protocols import PROTOCOLS
from tests.benchmark.made_up import row
from tests.benchmark.reporting.test_page import summary

FIGURES = pd.read_csv(PUBLISHED, dtype={"class": str}, keep_default_na=False)


@pytest.mark.parametrize("dataset", ["mnist", "cifar10"])
def test_means_are_the_means_of_their_classes(dataset: str) -> None:
    """Within what rounding to a tenth of a percent explains; one row of a paper does not add up, and says so."""
    table = published_figures(dataset)
    classes = table.drop(columns=[*ROW, "certainty", MEAN])
    complete = classes.notna().all(axis=1)
    assert complete.sum() >= 11
    odd = complete & ((classes.mean(axis=1) - table[MEAN]).abs() > 0.0011)
    assert list(table.loc[odd, "certainty"]) == ["read; the row's classes give 0.615"] * odd.sum()
    assert odd.sum() == (dataset == "cifar10")


def test_every_figure_has_a_source_and_says_how_sure_it_is(plugins: Plugins) -> None:
    assert FIGURES["auroc"].between(0.3, 1).all()
    assert (FIGURES["paper"] != "").all()
    assert FIGURES["certainty"].str.match("read|recalled").all()
    assert set(FIGURES["detector"]) - {""} <= set(plugins.detectors.plugins)
    for dataset, found in FIGURES.groupby("dataset"):
        assert set(found["class"]) - {MEAN} == set(plugins.datasets[str(dataset)].class_names)
    assert not FIGURES.duplicated([*ROW, "class"]).any()


def test_known_values() -> None:
    """MemAE's own (§4.1 of its paper), and GeoTrans on cars."""
    mnist, colour = published_figures("mnist").set_index("method"), published_figures("cifar10").set_index("method")
    assert (mnist.loc["MemAE", MEAN], colour.loc["MemAE", MEAN]) == (0.9751, 0.6088)
    assert colour.loc["GeoTrans", "automobile"] == 0.957
    assert published_figures("digits").empty


def test_the_difference_to_ours() -> None:
    ours = summary(row("memae", [0.9, 0.8]), row("ae", [0.9, 0.8]), row("vae", [0.9, 0.8])[:1])
    rows = {(cells[0], cells[-2]): cells for cells in beside_ours(ours, "mnist")}
    ruff = "Ruff et al., ICML 2018, Table 1"
    assert rows["DCAE", ruff][3:5] == ["0.897", "ae -0.047"]
    assert rows["MemAE", "Gong et al., ICCV 2019, Table 1"][3:5] == ["0.975", "—"]  # of another protocol
    assert rows["AnoGAN", ruff][4] == "—"  # we have no such method
    assert rows["VAE", "Abati et al., CVPR 2019, per-class tables"][4] == "—"  # ours is not complete
    assert beside_ours(summary(row("memae", [0.9], dataset="digits")), "digits") == []


def test_beside_another_protocol_stand_papers_of_the_same() -> None:
    ours = row("memae", [0.9, 0.8], protocol="memae")
    rows = {cells[0]: cells for cells in beside_ours(summary(ours), "mnist")}
    assert {cells[-2] for cells in rows.values()} == {"Gong et al., ICCV 2019, Table 1"}
    assert rows["MemAE"][4] == "memae -0.125"
    assert len(rows) == 8
    assert "quoted in the AGAD paper" in render(summary(row("memae", [0.9, 0.8])))
    assert set(FIGURES["protocol"]) == set(OUR_NAMES)
    assert set(OUR_NAMES.values()) <= set(PROTOCOLS)


def test_papers_are_never_ranked() -> None:
    page = render(summary(row("ae", [0.9, 0.8])))
    headline, _, rest = page.partition("## mnist")
    assert "MemAE" not in headline
    assert "**From papers**: not measured here and not ranked." in rest
