from __future__ import annotations

import importlib
import importlib.util
import itertools
import linecache
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from oodbench.benchmark.plugins import Plugins
from oodbench.benchmark.results import fingerprint as hashing
from oodbench.benchmark.results.fingerprint import fingerprint
from oodbench.detectors.memvae import MemVAE
from oodbench.detectors.vae import VAE

PLUGIN = '''
import math
import torch
from oodbench.detectors.base import Detector, register

WIDTH = 3
DEPTH = 2 * WIDTH
UNUSED = 1


def root(x):
    return math.sqrt(x)


def helper(x: float) -> float:
    return root(x) + DEPTH


def unrelated(x):
    return x


class Base(Detector):
    def fit(self, images, *, monitor=None):
        return self


@register("mine")
class Mine(Base):
    """It."""

    SEARCH = {"k": (1, 2)}

    def __init__(self, *, k: int = 5) -> None:
        self.k = k

    def score(self, images):
        """Score."""
        scale: float = 1.0  # of it
        return images.flatten(1).sum(1) * helper(scale) / self.k
'''

Load = Callable[..., type]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Write files into a folder of their own, import one of them, and give its class Mine."""
    folders = (tmp_path / str(count) for count in itertools.count())

    def forget() -> None:
        for name, module in list(sys.modules.items()):
            if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
                del sys.modules[name]

    def load(code: str = PLUGIN, others: dict[str, str] | None = None, file: str = "mine.py", module: str = "") -> type:
        forget()
        folder = next(folders)
        for path, text in {file: code, **(others or {})}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        monkeypatch.syspath_prepend(folder)
        if module:
            return importlib.import_module(module).Mine  # type: ignore[no-any-return]
        spec = importlib.util.spec_from_file_location(f"plugin_{folder.name}", folder / file)
        assert spec is not None
        assert spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = loaded
        spec.loader.exec_module(loaded)
        return loaded.Mine  # type: ignore[no-any-return]

    yield load
    forget()


def edited(code: str, old: str, new: str) -> str:
    assert old in code
    return code.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  # of it", ""),
        ('    """It."""\n', ""),
        ('        """Score."""\n', '        """Otherwise."""\n\n'),
        ("scale: float = 1.0", "scale = 1.0"),
        ("x: float) -> float", "x)"),
        ("k: int = 5) -> None", "k=5)"),
        ("root(x) + DEPTH", "(\n        root(x)\n        + DEPTH\n    )"),
        ("UNUSED = 1", "UNUSED = 2"),
        ("def unrelated(x):\n    return x", "def unrelated(x):\n    return -x"),
        ("import math\nimport torch\n", "import torch\nimport math\n"),
        ("import math\n", "from math import sqrt\n"),  # with the next: the same function, imported otherwise
        ('@register("mine")', '@register("yours")'),
        ("SEARCH = {", "SEARCH = {'more': (1,), "),
    ],
)
def test_what_does_not_change_a_method_does_not_change_its_fingerprint(load: Load, old: str, new: str) -> None:
    changed = edited(PLUGIN, old, new)
    if "sqrt\n" in new:
        changed = edited(changed, "math.sqrt(x)", "sqrt(x)")
    assert fingerprint(load(changed)) == fingerprint(load())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sum(1)", "mean(1)"),
        ("scale: float = 1.0", "scale: float = 2.0"),
        ("k: int = 5", "k: int = 6"),
        ("root(x) + DEPTH", "root(x) - DEPTH"),
        ("math.sqrt(x)", "math.log(x)"),
        ("import math", "import cmath as math"),
        ("WIDTH = 3", "WIDTH = 4"),
        ("        return self\n", "        self.k = 0\n        return self\n"),
        ("class Mine(Base)", "class Mine(Detector)"),
        ("    def score(", "    @torch.inference_mode()\n    def score("),
        ("UNUSED = 1", "UNUSED = 1\ntorch.backends.cudnn.benchmark = True"),
        ("UNUSED = 1", "UNUSED = 1\nif WIDTH > 2:\n    WIDTH = 2"),
    ],
)
def test_what_changes_a_method_changes_its_fingerprint(load: Load, old: str, new: str) -> None:
    changed = edited(PLUGIN, old, new)
    if "(Detector)" in new:
        changed = edited(changed, "def score(", "fit = Base.fit\n\n    def score(")
    assert fingerprint(load(changed)) != fingerprint(load())


def test_what_a_file_does_as_a_script_does_not_count(load: Load) -> None:
    assert fingerprint(load(PLUGIN + '\nif __name__ == "__main__":\n    print(Mine())\n')) == fingerprint(load())


def test_a_file_may_be_renamed_and_moved(load: Load) -> None:
    assert fingerprint(load(file="other/name.py")) == fingerprint(load())


HELPERS = PLUGIN[PLUGIN.index("WIDTH") : PLUGIN.index("class Base")]


@pytest.mark.parametrize(
    ("imports", "call", "file"),
    [
        ("from help import helper", "helper", "help.py"),
        ("import help", "help.helper", "help.py"),
        ("from help import helper as aid", "aid", "help.py"),
        ("from lib import help", "help.helper", "lib/help.py"),
        ("import lib.help", "lib.help.helper", "lib/help.py"),
        ("from again import helper", "helper", "help.py"),
    ],
)
def test_code_may_move_to_a_module_beside_and_counts_there(load: Load, imports: str, call: str, file: str) -> None:
    moved = edited(PLUGIN, HELPERS, imports + "\n\n").replace("helper(scale)", f"{call}(scale)")

    def moved_and_edited(old: str = "", new: str = "") -> str:
        helpers = edited("import math\n" + HELPERS, old, new)
        return fingerprint(load(moved, {file: helpers, "again.py": "from help import helper\n"}))

    assert moved_and_edited() == fingerprint(load())
    assert moved_and_edited("def unrelated(x):\n    return x\n") == fingerprint(load())
    assert moved_and_edited("math.sqrt(x)", "math.log(x)") != fingerprint(load())
    assert moved_and_edited("WIDTH = 3", "WIDTH = 4") != fingerprint(load())


def test_a_base_class_beside_counts(load: Load) -> None:
    base = PLUGIN[PLUGIN.index("class Base") : PLUGIN.index("@register")]
    helpers = "from oodbench.detectors.base import Detector\n" + base
    moved = edited(PLUGIN, base, "from help import Base\n\n")
    assert fingerprint(load(moved, {"help.py": helpers})) == fingerprint(load())
    changed = edited(helpers, "return self", "return self.fit(images)")
    assert fingerprint(load(moved, {"help.py": changed})) != fingerprint(load())


def test_plugins_of_the_same_file_name_keep_apart(load: Load) -> None:
    plugin = edited(PLUGIN, HELPERS, "from help import helper\n\n")
    first = load(plugin, {"help.py": "def helper(x): return x"})
    expected = fingerprint(first)
    second = load(plugin, {"help.py": "def helper(x): return 2 * x"})
    assert fingerprint(second) != expected
    assert fingerprint(first) == expected


def test_a_package_counts_as_far_as_it_is_reached(load: Load) -> None:
    def of(code: str, helpers: str) -> str:
        package = {"pack/__init__.py": "", "pack/sub/__init__.py": "", "pack/help.py": helpers}
        return fingerprint(load(code, package, "pack/sub/mine.py", "pack.sub.mine"))

    relative = edited(PLUGIN, HELPERS, "from ..help import helper\n\n")
    absolute = edited(PLUGIN, HELPERS, "from pack.help import helper\n\n")
    helpers = "import math\n" + HELPERS
    assert of(relative, helpers) == of(absolute, helpers) == fingerprint(load())
    assert of(relative, edited(helpers, "sqrt", "log")) == of(absolute, edited(helpers, "sqrt", "log"))
    assert of(relative, edited(helpers, "sqrt", "log")) != of(relative, helpers)


OF_EVERY_KIND = """
from dataclasses import dataclass

@dataclass
class Mine:
    a: int = -1
    b: "str | None" = None

    async def f(self, /, x: int, *rest, y=1 + 2j, **more) -> str:
        global z
        if (n := len(rest)) > 1 and not 0 < n <= 3: return f"{x!r:>{y}}" f"{x=}" "end"
        match x:
            case {"a": [1, *_], **kw} if kw: pass
        try: z = b"0"[::-1]
        except* (OSError, ValueError) as e: raise e from None
        return [i async for i in x if i], {**more, **{}}, *rest, lambda q, *, r=...: (q, "\\x85ä")
"""


def test_a_fingerprint_is_the_same_on_every_version_of_python(load: Load) -> None:
    assert fingerprint(load(OF_EVERY_KIND)) == "1fd0b3b9e20d"


# ---------------------------------------------------------------------- the built-in ones


def with_edit(file: str, old: str, new: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a file of the detectors as if it had been edited."""

    @cache
    def parsed(path: Path, changed: int) -> Any:
        code = path.read_text()
        return hashing._Source(edited(code, old, new) if path.name == file else code, path)

    monkeypatch.setattr(hashing, "_parsed", parsed)


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("memory.py", "torch.softmax(", "torch.log_softmax(", {MemVAE}),
        ("vae.py", "divergence, score_penalty=divergence", "divergence", {VAE}),
        ("gaussian_posterior.py", "0.5 * log_variance", "0.4 * log_variance", {VAE, MemVAE}),
        ("autoencoder.py", ".flatten(1).mean(1)", ".flatten(1).sum(1)", {VAE, MemVAE}),
        ("training.py", "torch.optim.Adam(", "torch.optim.SGD(", {VAE, MemVAE}),
        ("training.py", "\nimport math\n", "\n# a comment\nimport math\n", set()),
        ("deepsvdd.py", "LEAST_CENTRE = 0.1", "LEAST_CENTRE = 0.2", set()),
        ("base.py", "images.aminmax()", "images.max()", set()),
    ],
)
def test_fingerprint_includes_what_is_shared(
    file: str, old: str, new: str, changed: set[type], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {cls: fingerprint(cls) for cls in (VAE, MemVAE)}
    with_edit(file, old, new, monkeypatch)
    assert {cls for cls in before if fingerprint(cls) != before[cls]} == changed


def test_every_built_in_detector_has_a_fingerprint_of_its_own(plugins: Plugins) -> None:
    found = [fingerprint(plugins.detectors[name]) for name in plugins.detectors.plugins]
    assert len(set(found)) == len(found)


def test_classes_that_a_family_makes_have_their_own(plugins: Plugins) -> None:
    pytest.importorskip("pyod")
    ecod, knn = plugins.detectors["pyod:ECOD"], plugins.detectors["pyod:KNN"]
    assert fingerprint(ecod) != fingerprint(knn)
    assert fingerprint(ecod) == fingerprint(plugins.detectors["pyod:ecod"])


# ---------------------------------------------------------------------- classes without a file


def run_cell(code: str, number: int, namespace: dict[str, Any], *, keep: bool = True) -> None:
    """Run code as a notebook does; its source is kept in `linecache`, or not (as with ``python -c``)."""
    name = f"<cell {number} of {id(namespace)}>"
    if keep:
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    exec(compile(code, name, "exec"), namespace)


IN_A_CELL = PLUGIN[PLUGIN.index("class Base") :]
BEFORE_IT = PLUGIN[: PLUGIN.index("class Base")]


def of_cells(first: str, second: str, *, keep: bool) -> str:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    run_cell(first, 1, namespace, keep=keep)
    run_cell(second, 2, namespace, keep=keep)
    return fingerprint(namespace["Mine"])


@pytest.mark.parametrize("keep", [True, False], ids=["with source", "without source"])
def test_a_class_of_a_notebook_reaches_other_cells(keep: bool) -> None:
    before = of_cells(BEFORE_IT, IN_A_CELL, keep=keep)
    for old, new, same in [
        ("UNUSED = 1", "UNUSED = 2\nprint()", True),
        ("import math", "# a comment\n\nimport math", True),
        ("return math.sqrt(x)", '"""It."""\n    return math.sqrt(x)', True),
        ("math.sqrt", "math.log", False),
        ("import math", "import cmath as math", False),
        ("WIDTH = 3", "WIDTH = 4", False),
        ("root(x) + DEPTH", "root(x) - DEPTH", False),
    ]:
        assert (of_cells(edited(BEFORE_IT, old, new), IN_A_CELL, keep=keep) == before) == same, new
    for old, new, same in [
        ('"""Score."""', '"""Otherwise."""', True),
        ('register("mine")', 'register("yours")', True),
        ("return self\n", "return self.fit(images)\n", False),
        ("k: int = 5", "k: int = 6", False),
        ("sum(1)", "mean(1)", False),
    ]:
        assert (of_cells(BEFORE_IT, edited(IN_A_CELL, old, new), keep=keep) == before) == same, new


def test_a_class_without_methods_counts_with_its_attributes() -> None:
    code = "from oodbench.detectors.vae import VAE\nclass Mine(VAE):\n    factor = 2\n"
    first, again, other = (of_cells("", edited(code, "2", number), keep=False) for number in ("2", "2", "3"))
    assert first == again != other
    assert first != fingerprint(VAE)


def test_what_a_local_class_finds_around_it_counts(load: Load) -> None:
    code = "def make(k):\n    class Mine:\n        def score(self, x): return k * x\n    return Mine\nMine = make({})\n"
    assert fingerprint(load(code.format(2))) == fingerprint(load(code.format(2)))
    assert fingerprint(load(code.format(2))) != fingerprint(load(code.format(3)))


def test_functions_are_told_apart_by_their_code() -> None:
    def closed_over(k: int) -> FunctionType:
        return lambda x: k * x  # type: ignore[return-value]

    first, second = (type("Mine", (), {"score": closed_over(k), "__module__": __name__}) for k in (1, 2))
    assert fingerprint(first) != fingerprint(second)


def test_where_a_file_lies_is_not_what_it_computes(load: Load) -> None:
    """Each is loaded from a folder of its own, and reads its defaults from a file beside it."""
    reading = edited(PLUGIN, "    SEARCH = {", "    DEFAULTS = str(__file__)[:0]\n    SEARCH = {")
    assert fingerprint(load(reading)) == fingerprint(load(reading)) != fingerprint(load())
