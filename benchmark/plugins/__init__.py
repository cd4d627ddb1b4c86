"""Which detectors and datasets there are: one way to discover them, and to import only those that are asked for.

A built-in has the name of its file, and an installed package declares names as entry points, so that only the module of
a name that is asked for is imported. Names in local files are known once the files are imported.
"""

from oodbench.benchmark.plugins.catalogue import Entry, first_line
from oodbench.benchmark.plugins.modules import load_file
from oodbench.benchmark.plugins.plugins import Plugins
from oodbench.benchmark.plugins.registry import Family, Plugin, Registry
from oodbench.benchmark.plugins.sources import BUILT_IN, SESSION, Broken, source_of

__all__ = [
    "BUILT_IN",
    "SESSION",
    "Broken",
    "Entry",
    "Family",
    "Plugin",
    "Plugins",
    "Registry",
    "first_line",
    "load_file",
    "source_of",
]
