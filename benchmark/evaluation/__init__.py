"""What is measured of a detector on a split, and how; see `oodbench.benchmark.evaluation.evaluate`."""
