from __future__ import annotations

import pytest

from oodbench.benchmark.cli.options import split_values


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["knn"], ["knn"]),
        (["knn,pca", "ae"], ["knn", "pca", "ae"]),
        (["knn, pca"], ["knn", "pca"]),
        (["a,b"], ["a,b"]),
        (["knn,a,b,pca"], ["knn", "a,b", "pca"]),
        (["a,c"], ["a", "c"]),
        (["knn,"], ["knn", ""]),
        ([], []),
    ],
)
def test_values_are_taken_apart_at_commas_unless_they_name_something(values: list[str], found: list[str]) -> None:
    assert split_values(values, {"a,b", "knn"}.__contains__) == found
