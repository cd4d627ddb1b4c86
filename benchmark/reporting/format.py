"""Figures and names as text, fit for where they are shown.

Names, paths and messages hold whatever a folder, a plugin or a system gives them. Each medium has one function that
they go through: `markdown_cell` and `markdown_code` for pages, `plain` and `command_line` for the terminal,
`figure_text` for pictures, `csv_cell` for tables that others read. Harmless text comes out of each as it went in.
"""

from __future__ import annotations

import math
import re
import shlex
from functools import lru_cache

DASH = "—"
"""Stands where there is nothing to show."""
UNSHOWN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]")
"""What may steer a terminal, break a line, reorder a text, or stand for bytes that are not UTF-8."""
SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the beginning of a formula."""
LONGEST = 80
"""Characters of a text in a picture."""
MARKDOWN = (
    (r"&(?=[#\w])", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    (r"([\\`*\[\]|$~])", r"\\\1"),
    # within a word it is no emphasis: memae@memory_size=3
    (r"(?<!\w)_+|_+(?!\w)", lambda run: run[0].replace("_", r"\_")),
    (r"(?<!\S)#", r"\\#"),
    # what would begin a list or a line, in a list or under a heading
    (r"^([-+])(?=[-\s]|$)", r"\\\1"),
    (r"^(\d+)(?=[.)](?:\s|$))", r"\1\\"),
    # GitHub puts a picture in the place of :cat:, escaped or not, unless the word is broken
    (r":(?=(?:[a-z+-][a-z0-9_+-]*|100|1234):)", ":&#8288;"),
)
"""What has a meaning in Markdown, and what stands for it, in the order of replacement."""


class Markdown(str):
    """Text that is Markdown already, and is not escaped again."""

    __slots__ = ()


def or_dash(value: float | None, form: str) -> str:
    """Return a figure as text, or a dash where there is none.

    Parameters
    ----------
    value : float or None
        None or NaN where nothing was measured.
    form : str
        For `str.format`: ``"{:.3f}"``.

    Returns
    -------
    str
    """
    return DASH if value is None or math.isnan(value) else form.format(value)


def duration(seconds: float) -> str:
    """Return a time, given in seconds, in the unit that suits it: ``9.8 s``, ``64 s``, ``3 min``, ``1.7 h``."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 6000:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def in_one_line(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def plain(text: str) -> str:
    r"""Return a text for the terminal: one line, in which control characters are visible.

    Parameters
    ----------
    text : str
        Any.

    Returns
    -------
    str
        With ``\n`` for a line break, ``\x1b`` for ESC, ``\xff`` for a byte of a file name that is not UTF-8, ``\u202e``
        for a character that reverses what follows.
    """
    return UNSHOWN.sub(lambda found: _visible(found[0]), text)


def command_line(command: str) -> str:
    r"""Return a shell command so that it stands on one line, and does the same when it is copied.

    Parameters
    ----------
    command : str
        As `shlex.join` makes it.

    Returns
    -------
    str
        The same, except that words with control characters are quoted as ``$'a\nb'``, which bash, zsh and ksh know.
    """
    if not UNSHOWN.search(command):
        return command
    return " ".join(map(_shell_word, words_of(command)))


def words_of(command: str) -> list[str]:
    """Return the words of a shell command; one that was cut off is taken apart at its spaces."""
    try:
        return shlex.split(command)
    except ValueError:
        return command.split()


def markdown_cell(text: str) -> Markdown:
    """Return a text as Markdown that shows it as it is: in a cell of a table, a heading, an item of a list, a caption.

    Parameters
    ----------
    text : str
        Any; `Markdown` comes back as it is.

    Returns
    -------
    Markdown
        One line.
    """
    if isinstance(text, Markdown):
        return text
    shown = plain(in_one_line(text))
    for pattern, replacement in MARKDOWN:
        shown = re.sub(pattern, replacement, shown)
    return Markdown(shown)


def markdown_code(text: str) -> Markdown:
    """Return a text as a code span, on one line.

    Parameters
    ----------
    text : str
        Any; a command goes through `command_line` before.

    Returns
    -------
    Markdown
        Between as many backticks as it needs.
    """
    shown = plain(text)
    fence = "`" * next(count for count in range(1, len(shown) + 2) if not re.search(rf"(?<!`)`{{{count}}}(?!`)", shown))
    # a space at both ends is taken off again
    apart = " " if shown.startswith(("`", " ")) or shown.endswith(("`", " ")) or not shown else ""
    return Markdown(f"{fence}{apart}{shown}{apart}{fence}")


def figure_text(text: str, longest: int = LONGEST) -> str:
    r"""Return a text for a picture, which Matplotlib draws letter by letter, without taking it for mathematics.

    Parameters
    ----------
    text : str
        Any.
    longest : int
        Characters to show at most; of more, the middle is left out.

    Returns
    -------
    str
        Characters that Matplotlib's font lacks stand as ``\u732b``.
    """
    shown = plain(text)
    if not shown.isascii():
        known = _glyphs()
        shown = "".join(letter if ord(letter) in known else _visible(letter) for letter in shown)
    if len(shown) > longest:
        shown = f"{shown[: longest // 2]}…{shown[1 - longest // 2 :]}"
    # a legend leaves out what begins with an underscore
    return (f" {shown}" if shown.startswith("_") else shown).replace("$", r"\$")


def csv_cell(text: str) -> str:
    """Return a text for a cell of a CSV file, which no spreadsheet takes for a formula.

    Parameters
    ----------
    text : str
        Any.

    Returns
    -------
    str
        With an apostrophe before what begins like a formula or with an apostrophe, and visible control characters:
        `str.removeprefix` of an apostrophe gives what the terminal shows. Commas and quotes are left to the writer.
    """
    return f"'{plain(text)}" if text.startswith((*FORMULA, "'")) else plain(text)


def _visible(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python holds it
        code -= 0xDC00
    wide = f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
    return SHORT.get(letter) or (f"\\x{code:02x}" if code <= 0xFF else wide)


def _shell_word(word: str) -> str:
    if not UNSHOWN.search(word):
        return shlex.quote(word)
    escaped = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(_byte_by_byte(letter) if UNSHOWN.match(letter) else letter for letter in escaped) + "'"


def _byte_by_byte(letter: str) -> str:
    if letter in SHORT:
        return SHORT[letter]
    # octal, which has at most three digits: a digit that follows is no part of it
    errors = "surrogateescape" if "\udc80" <= letter <= "\udcff" else "surrogatepass"
    return "".join(f"\\{byte:03o}" for byte in letter.encode("utf-8", errors))


@lru_cache(maxsize=1)
def _glyphs() -> frozenset[int]:
    """Return the characters that Matplotlib's font can draw."""
    from matplotlib.font_manager import fontManager, get_font  # it takes a while

    return frozenset(get_font(fontManager.findfont("DejaVu Sans")).get_charmap())
