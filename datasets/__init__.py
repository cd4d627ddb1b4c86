"""Datasets: one file a dataset, and the one-vs-rest split.

A dataset is a class that gives a train and a test part (`oodbench.datasets.base.Dataset`), registered by a decorator.
Nothing in here knows of detectors or of the benchmark.
"""

from oodbench.datasets.base import Dataset, DatasetError, Part, register, register_family
from oodbench.datasets.components.split import Split, as_float, one_vs_rest

__all__ = ["Dataset", "DatasetError", "Part", "Split", "as_float", "one_vs_rest", "register", "register_family"]
