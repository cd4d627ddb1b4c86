"""oodbench: which out-of-distribution detector is better, fast and honestly."""
