"""The other version's files: a git worktree below the run's folder, removed when the run ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from io import BufferedWriter
from pathlib import Path

from pytest_a2perf.errors import A2PerfError

__all__ = ["BASE", "Version", "Worktree", "open_worktree"]

BASE = "base"
"""Folder in the run's folder: worktree, logs and the files of trials."""

_TREE = "tree"
_LOCK = "tree.lock"
_SHORT = 10


@dataclass(frozen=True, slots=True)
class Version:
    """What is compared.

    Attributes:
        ref: as the user wrote it.
        commit: that it stands for.
        head: commit of the working tree, empty before the first one.
        dirty: whether the working tree differs from that.
    """

    ref: str
    commit: str
    head: str
    dirty: bool

    def text(self) -> str:
        """Say it in one line."""
        working = f"commit {self.head[:_SHORT]}" if self.head else "no commit yet"
        changes = ", with uncommitted changes" if self.dirty else ""
        same = "" if self.dirty or self.head != self.commit else ", the same"
        return f"{self.ref} ({self.commit[:_SHORT]}); working tree at {working}{changes}{same}"


@dataclass(slots=True)
class Worktree:
    """A checkout of the other version; `remove` it.

    Attributes:
        repository: top folder of the working tree, resolved.
        path: top folder of the checkout, resolved.
        version: see `Version`.
    """

    repository: Path
    path: Path
    version: Version
    _lock: BufferedWriter | None = field(default=None, repr=False)

    def add(self) -> None:
        """Check the version out.

        Raises:
            A2PerfError: git refuses.
        """
        _sweep(self.repository, self.path.parents[2])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # The kernel frees the lock of a process that is killed: how later runs know what is stale.
        self._lock = (self.path.parent / _LOCK).open("wb")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        arguments = ("worktree", "add", "--quiet", "--detach", str(self.path), self.version.commit)
        git(self.repository, "-c", "core.hooksPath=/dev/null", *arguments)

    def remove(self) -> None:
        """Remove the checkout, whatever state it is in."""
        _remove(self.repository, self.path)
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        with contextlib.suppress(OSError):
            (self.path.parent / _LOCK).unlink(missing_ok=True)
            self.path.parent.rmdir()  # unless there is something to keep


def open_worktree(root: Path, ref: str, run: Path) -> Worktree:
    """Find the other version; nothing is checked out yet.

    Args:
        root: pytest's rootdir.
        ref: branch, tag or commit.
        run: the run's folder.

    Raises:
        A2PerfError: no git, no repository, or no such version; the message says what to do.
    """
    repository = Path(git(root, "rev-parse", "--show-toplevel")).resolve()
    commit = _commit(repository, ref)
    if commit is None:
        raise A2PerfError(f"there is no {ref!r} in {repository}{_advice(repository, ref)}")
    head = _commit(repository, "HEAD") or ""
    changes = ("status", "--porcelain", "--", ":/", ":(exclude,glob)**/__pycache__/**")
    dirty = bool(git(repository, *changes))
    path = run.resolve() / BASE / _TREE
    return Worktree(repository, path, Version(ref, commit, head, dirty))


def _commit(repository: Path, ref: str) -> str | None:
    name = f"{ref}^{{commit}}"
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    except A2PerfError:
        return None


def _advice(repository: Path, ref: str) -> str:
    """Say how to get a version that is not here."""
    if git(repository, "rev-parse", "--is-shallow-repository") == "true":
        if ref.startswith(("HEAD", "@")) or "~" in ref or "^" in ref:
            return "; this clone is shallow: run git fetch --unshallow origin first"
        branch = ref.removeprefix("refs/").removeprefix("remotes/").removeprefix("heads/")
        branch = branch.removeprefix("origin/")
        return (
            f"; this clone is shallow: run git fetch --depth 1 origin {branch}, then compare with "
            "--a2perf-against FETCH_HEAD"
        )
    branches = git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads")
    known = ", ".join(branches.split()[:5])
    return f"; git fetch may bring it (branches here: {known or 'none'})"


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it prints.

    Raises:
        A2PerfError: it is not there, or fails.
    """
    # Inside of a hook these name another repository, or another index of this one.
    foreign = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
    environment = {key: value for key, value in os.environ.items() if key not in foreign}
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - whatever git the user has
            capture_output=True,
            text=True,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise A2PerfError(f"git cannot be run ({error.strerror}); please install it") from None
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"git {arguments[0]} failed"]
        if "not a git repository" in lines[0]:
            raise A2PerfError(f"{folder} is in no git repository")
        raise A2PerfError("; ".join(lines))
    return done.stdout.strip()


def _sweep(repository: Path, runs: Path) -> None:
    """Remove what runs left behind that were killed."""
    for lock in runs.glob(f"*/{BASE}/{_LOCK}"):
        with contextlib.suppress(OSError), lock.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(repository, lock.parent / _TREE)
            lock.unlink(missing_ok=True)
    git(repository, "worktree", "prune")


def _remove(repository: Path, path: Path) -> None:
    with contextlib.suppress(A2PerfError):
        git(repository, "worktree", "remove", "--force", str(path))
    shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(A2PerfError):
        git(repository, "worktree", "prune")
