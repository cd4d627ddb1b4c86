"""The short table in the README of the repository that holds the leaderboard."""

from __future__ import annotations

from pathlib import Path

from oodbench.benchmark.files import write_text
from oodbench.benchmark.results.store import Store

START, END = "<!-- headline -->", "<!-- /headline -->"
"""Between them the table stands."""


def write_headline(store: Store, table: str) -> None:
    """Write the table between the markers of the README beside the default leaderboard's folder, if there are such.

    Parameters
    ----------
    store : Store
        Any; only that in the folder ``leaderboard`` of the working directory has such a README.
    table : str
        Markdown.
    """
    text = _text_beside(store)
    if text is not None and (changed := _with_headline(text, table)) != text:
        write_text(_readme(store), changed)


def has_other_headline(store: Store, table: str) -> bool:
    """Whether there is such a README, and it shows another table."""
    text = _text_beside(store)
    return text is not None and _with_headline(text, table) != text


def _readme(store: Store) -> Path:
    return store.leaderboard.parent / "README.md"


def _text_beside(store: Store) -> str | None:
    """Read the README; None unless it is a file with one pair of markers beside the default leaderboard's folder."""
    if store.leaderboard != Path("leaderboard") or _readme(store).is_symlink() or not _readme(store).is_file():
        return None
    text = _readme(store).read_bytes().decode("utf-8", errors="replace")  # newlines stay what they are
    single = text.count(START) == text.count(END) == 1
    return text if single and text.index(START) < text.index(END) else None


def _with_headline(text: str, table: str) -> str:
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{table}\n{END}{rest.partition(END)[2]}"
