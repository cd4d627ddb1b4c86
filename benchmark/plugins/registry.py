"""Named classes of one kind, each imported when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from oodbench.benchmark.errors import UsageError, unknown
from oodbench.benchmark.plugins import catalogue
from oodbench.benchmark.plugins.catalogue import Entry
from oodbench.benchmark.plugins.sources import (
    BUILT_IN,
    SESSION,
    Broken,
    Kind,
    Origin,
    built_in,
    built_in_families,
    classes_in,
    declared_members,
    families_in,
    installed,
    local,
    registers_nothing,
    source_of,
)

if TYPE_CHECKING:
    from oodbench.datasets.base import Dataset
    from oodbench.detectors.base import Detector

Base = TypeVar("Base", "Detector", "Dataset")
Named = TypeVar("Named")


@dataclass(frozen=True)
class Plugin(Generic[Base]):
    """A registered class, and where it comes from."""

    name: str
    cls: type[Base]
    source: str

    @property
    def summary(self) -> str:
        """The first line of the class's docstring."""
        return catalogue.first_line(self.cls)


@dataclass(frozen=True)
class Family(Generic[Base]):
    """A registered function that makes classes from what stands behind ``name:``, and where it comes from."""

    name: str
    make: Callable[[Any], type[Base]]
    source: str

    @property
    def summary(self) -> str:
        """The first line of the function's docstring."""
        return catalogue.first_line(self.make)

    @property
    def members(self) -> list[str]:
        """The names of its detectors that stand among the others; see `oodbench.detectors.base.register_family`."""
        return [f"{self.name}:{argument}" for argument in getattr(self.make, "members", ())]

    @property
    def missing(self) -> str | None:
        """Why its members cannot run here, in a sentence; None if they can."""
        missing = getattr(self.make, "missing", None)
        return missing() if missing else None

    @property
    def wraps(self) -> bool:
        """Whether it makes a class of another one of the same registry."""
        return getattr(self.make, "wraps", False)


class Registry(Generic[Base]):
    """Named classes of one kind, each imported when it is first asked for.

    Names match without regard to case. Of two classes with one name, a built-in comes before an installed package's,
    and that before a local file's.

    Parameters
    ----------
    kind : {"detector", "dataset"}
        What the classes are.
    """

    def __init__(self, kind: Kind) -> None:
        self.kind: Kind = kind
        self.broken: list[Broken] = []
        self._plugins: dict[str, Plugin[Base]] = {}
        self._families: dict[str, Family[Base]] = {}
        self._made: dict[str, type[Base]] = {}
        self._broken_by_name: dict[str, Broken] = {}
        self._waiting = [*built_in(kind), *installed(kind)]
        self._files: list[Path] = []
        self._files_are_whole = False

    def __getitem__(self, name: str) -> type[Base]:
        """Return the class of a name, made by its family if need be.

        Raises
        ------
        UsageError
            There is none, or it cannot be imported; the message names the nearest ones, or the cause.
        """
        plain, colon, argument = name.partition(":")
        for stage in (
            lambda origin: origin.name.lower() == plain.lower(),
            lambda origin: not origin.name,
            lambda origin: origin.source != BUILT_IN,  # a package may register more than it declares
        ):
            self._load(stage)
            plugin, family = _match(self._plugins, plain), _match(self._families, plain)
            if plugin and not colon:
                return plugin.cls
            if family and argument:
                return self._make(family, argument)
        raise self._unknown(name)

    @property
    def plugins(self) -> Mapping[str, Plugin[Base]]:
        """All classes by name, sorted; this imports everything."""
        self._load(lambda _: True)
        return dict(sorted(self._plugins.items()))

    def names(self) -> list[str]:
        """Return all names, sorted; nothing but local files is imported."""
        return sorted({*self._declared(families=False), *self._plugins})

    def members(self) -> list[str]:
        """Return the members of families, such as ``family:name``, sorted; nothing but local files is imported."""
        found = [name for family in self._families.values() for name in family.members]
        for origin in self._declared_origins(families=True):
            if origin.source == BUILT_IN:
                found += [f"{origin.name}:{argument}" for argument in declared_members(origin.module)]
        return sorted(found)

    def available(self) -> list[str]:
        """Return all names, and those members of families that can run here, sorted; this imports everything."""
        return sorted([*self.plugins, *(name for name, cls, _ in self._made_members() if cls)])

    def missing(self) -> list[str]:
        """Return why members of families cannot run here, a sentence for each family; this imports everything."""
        self._load(lambda _: True)
        said = [family.missing for family in self._families.values() if family.members]
        return list(dict.fromkeys(sentence for sentence in said if sentence))

    def families(self) -> list[str]:
        """Return the names of families, which stand before a colon, sorted; nothing but local files is imported."""
        return sorted({*self._declared(families=True), *self._families})

    def check(self, name: str) -> None:
        """Raise UsageError if there is nothing of a name; no built-in is imported for it."""
        plain, colon, argument = name.partition(":")
        known = self.families() if colon and argument else self.names()
        if plain.lower() in map(str.lower, known):
            return
        if all(origin.source == BUILT_IN for origin in self._waiting):
            raise self._unknown(name)
        self[name]

    def entries(self) -> list[Entry]:
        """Return what there is, classes before families, sorted by name.

        It is kept in the user's cache folder, and read from there until a module changes: then nothing is imported. A
        catalogue that lacks a broken plugin is not kept, since the cause may lie outside the modules.
        """
        in_session = any(plugin.source == SESSION for plugin in self._plugins.values())
        kept = None if in_session else catalogue.read(self.kind, self._files)
        if kept is not None:
            self._files_are_whole = True
            return kept
        entries = [catalogue.entry(self.kind, name, found.cls, found.source) for name, found in self.plugins.items()]
        for name, cls, family in self._made_members():
            made = catalogue.entry(self.kind, name, cls, family.source) if cls else None
            entries.append(made or Entry(name, family.summary, family.source))
        entries.sort(key=lambda entry: entry.name)
        entries += [
            catalogue.family_entry(self.kind, name, family.make, family.source)
            for name, family in sorted(self._families.items())
        ]
        if not self.broken and not in_session:
            catalogue.write(self.kind, self._files, entries)
        return entries

    def find_broken(self) -> list[Broken]:
        """Return what could not be loaded so far; local files are imported to see."""
        if not self._files_are_whole:
            self._load_files()
        return self.broken

    def add_file(self, path: Path) -> None:
        """Add a local file, which is imported when it is needed."""
        self._files.append(path)
        self._files_are_whole = False
        self._waiting.append(local(path))

    def add_class(self, cls: type[Base]) -> Plugin[Base]:
        """Add a class unless it is known; raises UsageError if another class has its name."""
        if not vars(cls).get("name"):
            cls.name = default_name(cls)
        self._load(lambda origin: not origin.name or origin.name.lower() == cls.name.lower())
        if taken := self._taken(Plugin(cls.name, cls, SESSION)):
            raise UsageError(f'{cls.__name__}: {taken}; put @register("another-name") before the class.')
        return self._plugins[cls.name]

    def look_again(self) -> None:
        """Forget what families have made, for it may have changed, as images in a folder do."""
        self._made.clear()

    def of_file(self, path: Path) -> list[str]:
        """Return the names that a local file registers.

        Raises
        ------
        UsageError
            It cannot be used, or registers nothing of this kind.
        """
        self._load_files()
        source = source_of(path)
        for broken in self.broken:
            if broken.source == source:
                raise UsageError(f"{source} cannot be used: {broken.cause}")
        found = [name for name, plugin in self._plugins.items() if plugin.source == source]
        if not found:
            raise UsageError(f'{source} holds no {self.kind}: put @register("its-name") before the class.')
        return found

    def _declared(self, *, families: bool) -> list[str]:
        """Import local files, and return the names of what is not imported yet."""
        return [origin.name for origin in self._declared_origins(families=families)]

    def _declared_origins(self, *, families: bool) -> list[Origin]:
        self._load_files()
        known = built_in_families(self.kind)
        return [origin for origin in self._waiting if (origin.name in known) == families]

    def _made_members(self) -> Iterator[tuple[str, type[Base] | None, Family[Base]]]:
        """Import everything, and yield families' members by name: a class, or None where it cannot run here.

        One that cannot be made although nothing is missing is left out, and reported as broken.
        """
        self._load(lambda _: True)
        for _, family in sorted(self._families.items()):
            missing = family.members and family.missing
            for name in family.members:
                try:
                    made = None if missing else self[name]
                except Exception as error:  # a plugin may raise anything; the others go on
                    broken = Broken(f"{name}, {family.source}", str(error))
                    self.broken += [] if broken in self.broken else [broken]
                else:
                    yield name, made, family

    def _unknown(self, name: str) -> UsageError:
        broken = self._broken_by_name.get(name.partition(":")[0].lower())
        if broken:
            return UsageError(f"The {self.kind} {name!r} cannot be loaded ({broken.source}): {broken.cause}")
        for broken in self.broken:
            if broken.source.startswith("file "):
                return UsageError(
                    f"There is no {self.kind} {name!r}, and {broken.source} cannot be used: {broken.cause}"
                )
        on_demand: list[str] = [f"{family}:…" for family in self.families()]
        return unknown(self.kind, name, [*self.names(), *self.members(), *on_demand])

    def _make(self, family: Family[Base], argument: str) -> type[Base]:
        name = f"{family.name}:{argument}"
        if name not in self._made:
            made = family.make(self[argument] if family.wraps else argument)
            self._made[name] = self._made.setdefault(made.name, made)  # however it was spelt, one class
        return self._made[name]

    def _load_files(self) -> None:
        self._load(lambda origin: not origin.name)

    def _load(self, wanted: Callable[[Origin], bool]) -> None:
        for origin in [origin for origin in self._waiting if wanted(origin)]:
            if origin in self._waiting:  # it may have been loaded because of one before
                self._load_one(origin)

    def _load_one(self, origin: Origin) -> None:
        position = self._waiting.index(origin)
        earlier = self._waiting[:position]
        del self._waiting[position]
        try:
            loaded = origin.load()
        except (Exception, SystemExit) as error:  # a plugin may raise anything; the others go on
            self._report(origin, f"{type(error).__name__}: {error}")
            return
        for cls in classes_in(loaded, self.kind):
            for other in earlier:
                if other.name.lower() == cls.name.lower() and other in self._waiting:
                    self._load_one(other)
            if taken := self._taken(Plugin(cls.name, cls, origin.source)):
                self._report(origin, taken)
        for name, make in families_in(loaded, self.kind):
            self._families.setdefault(name, Family(name, make, origin.source))
        if not origin.name and registers_nothing(loaded):
            self._report(origin, 'it holds no detector and no dataset: put @register("its-name") before the class')

    def _taken(self, plugin: Plugin[Base]) -> str:
        """Add a class unless its name is taken; return by whom."""
        other = _match(self._plugins, plugin.name) or self._plugins.setdefault(plugin.name, plugin)
        free = other.cls is plugin.cls
        return "" if free else f"the name {plugin.name!r} is already taken by a {self.kind} from {other.source}"

    def _report(self, origin: Origin, cause: str) -> None:
        broken = Broken(f"{origin.source}, {origin.module}" if origin.module else origin.source, cause)
        self.broken.append(broken)
        if origin.name:
            self._broken_by_name[origin.name.lower()] = broken


def default_name(cls: type[Any]) -> str:
    """Return the name of a class that has none: MyDetector is ``my-detector``, MyKNN ``my-knn``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_", "-", cls.__name__).lower()


def _match(named: Mapping[str, Named], name: str) -> Named | None:
    """Return what has a name, spelt exactly so or else but for the case; None if nothing has."""
    return named.get(name) or next((named[other] for other in named if other.lower() == name.lower()), None)
