from __future__ import annotations

import io
import json
import sys

import pytest

from oodbench.benchmark.cli.encoding import escape_what_cannot_be_shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_stays_valid_in_every_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    escape_what_cannot_be_shown()
    found = {"name": "é — 猫 😀 \udcff"}
    stream.write(json.dumps(found, ensure_ascii=False))
    stream.flush()
    assert json.loads(stream.buffer.getvalue().decode(encoding)) == found
