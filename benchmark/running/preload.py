"""What the server imports that workers are forked from; see `oodbench.benchmark.running.processes`.

All of it stays, so that Python's collector of cycles need not look for garbage among it, neither while it comes nor in
a worker (which would also copy the memory that it shares with the server).
"""

import gc
import os
from contextlib import suppress
from pathlib import Path

gc.disable()
os.environ["JOBLIB_MULTIPROCESSING"] = "0"  # a worker has one thread; joblib would look for semaphores

from torch._inductor.runtime.cache_dir_utils import default_cache_dir  # noqa: E402

import oodbench.benchmark.running.worker  # noqa: E402, F401

with suppress(OSError):  # torch makes it among the temporary files; it is empty, unless others use it
    Path(default_cache_dir()).rmdir()
gc.freeze()
gc.enable()
