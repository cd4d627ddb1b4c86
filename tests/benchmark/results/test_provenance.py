from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from oodbench.benchmark.results import provenance


def git(folder: Path, *words: str) -> str:
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    return subprocess.run(
        ["git", *author, *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(provenance, "CHECKOUT", folder)
    return provenance.commit.__wrapped__()


def test_commit_is_that_of_the_checkout_and_not_of_a_repository_around_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path, monkeypatch) is None
    git(tmp_path, "init")
    assert commit_of(tmp_path, monkeypatch) is None  # without a commit
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    assert commit_of(tmp_path, monkeypatch) == git(tmp_path, "rev-parse", "HEAD")
    installed = tmp_path / "site-packages" / "oodbench"
    installed.mkdir(parents=True)
    assert commit_of(installed, monkeypatch) is None


def test_commit_of_a_worktree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "main").mkdir()
    git(tmp_path / "main", "init")
    git(tmp_path / "main", "commit", "--allow-empty", "-m", "first")
    git(tmp_path / "main", "worktree", "add", "../tree")
    assert commit_of(tmp_path / "tree", monkeypatch) == git(tmp_path / "main", "rev-parse", "HEAD")


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    monkeypatch.setenv("PATH", "")
    assert commit_of(tmp_path, monkeypatch) is None


def test_environment() -> None:
    about = provenance.environment("cpu")
    assert set(about) == {"oodbench", "python", "torch", "system", "device", "processor", "threads"}
    assert about["device"] == "cpu"
    assert about["threads"] == 1
