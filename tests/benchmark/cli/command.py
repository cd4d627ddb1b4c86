"""The command as tests call it."""

from __future__ import annotations

import shlex

from typer.testing import CliRunner, Result

from oodbench.benchmark.cli.app import app


def bench(*arguments: object) -> Result:
    """Run the command in this process, with its output in a pipe."""
    return CliRunner().invoke(app, list(map(str, arguments)))


def done(*arguments: object) -> str:
    """Run the command; return what it printed, once it has ended well."""
    result = bench(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def pasted(line: str) -> Result:
    """Run a command as it was printed."""
    words = shlex.split(line)
    assert words[0] == "bench"
    return bench(*words[1:])


def words(text: str) -> str:
    return " ".join(text.split())
