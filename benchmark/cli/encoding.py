"""Output to a terminal, pipe or file that cannot hold every letter: ASCII or Latin-1, as the user's locale says."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper


def escape_what_cannot_be_shown() -> None:
    """Print letters that an output does not have as escapes, such as JSON has them, rather than end in an error."""
    codecs.register_error("json-escapes", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="json-escapes")


def _escape(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True)), error.end
