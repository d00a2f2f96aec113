"""Of which commit an execution is, read as Git writes it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from duologue.config.origin import commit_of, origin

IDENTITY = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / "suites" / "nightly").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


def test_the_commit_is_that_of_git(repository: Path, tmp_path: Path) -> None:
    expected = git(repository, "rev-parse", "HEAD")
    assert commit_of(repository) == commit_of(repository / "suites" / "nightly") == expected
    git(repository, "pack-refs", "--all")
    assert not (repository / ".git" / "refs" / "heads" / "main").exists()
    assert commit_of(repository) == expected
    git(repository, "worktree", "add", "-q", "-b", "a/branch", str(tmp_path / "beside"))
    git(tmp_path / "beside", "commit", "-q", "--allow-empty", "-m", "two")
    other = git(tmp_path / "beside", "rev-parse", "HEAD")
    assert commit_of(tmp_path / "beside") == other != expected
    git(repository, "checkout", "-q", other)  # no branch
    assert commit_of(repository) == other


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("HEAD", ""),
        ("HEAD", "ref: refs/heads/nothing"),
        ("HEAD", "ref: ../../../../etc/hostname"),
        ("HEAD", "<script>alert(1)</script>"),
        ("HEAD", "\0"),
        ("HEAD", "ref: \0"),
        ("", "gitdir: /nowhere"),
        ("", "anything"),
    ],
)
def test_what_is_no_commit_is_none(name: str, text: str, tmp_path: Path) -> None:
    if name:
        (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / name if name else tmp_path / ".git").write_text(text, "utf-8")
    assert commit_of(tmp_path) is None


def test_a_build_says_it_itself(repository: Path) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    assert origin(repository, {"USER": "somebody"}) == {"commit": commit}
    built = {"GITHUB_SHA": "a" * 40, "GITHUB_ACTOR": "ada"}
    assert origin(repository, built) == {"commit": "a" * 40, "who": "ada"}
    assert origin(repository, {"CI_COMMIT_SHA": "b" * 40, "GITHUB_SHA": ""}) == {"commit": "b" * 40}
