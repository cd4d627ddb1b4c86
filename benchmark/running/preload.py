"""What the server imports that workers are forked from; see `oodbench.benchmark.running.processes`.

All of it stays, so that Python's collector of cycles need not look for garbage among it, neither while it comes nor in
a worker (which would also copy the memory that it shares with the server).
"""

import gc

gc.disable()

import torch._dynamo  # noqa: E402, F401  # which torch's optimizers import

import oodbench.benchmark.running.worker  # noqa: E402, F401

gc.freeze()
gc.enable()
