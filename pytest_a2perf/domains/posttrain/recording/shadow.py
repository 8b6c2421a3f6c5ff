"""Revisions of the agent's folder, in a repository that the agent neither sees nor reaches."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.posttrain.recording.git import EMPTY_TREE, Git, GitError
from pytest_a2perf.domains.posttrain.recording.scan import Found, Scanner

__all__ = ["LARGEST", "MANIFEST", "Blob", "ShadowRepository"]

LARGEST = 5_000_000
"""Bytes; of larger files only size and hash are recorded."""
MANIFEST = ".a2perf-manifest.json"
"""Name, in a commit, of the list of what is not kept, and why."""
_MOST_STORED = 200_000_000
_BRANCH = "refs/heads/main"
_LOCK_SECONDS = 30.0
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


@dataclass(frozen=True, slots=True)
class Blob:
    """A file of a commit.

    Attributes:
        hash: git's, of its content.
        size: bytes.
        mode: git's, e.g. ``100644``, or ``120000`` for a link, whose content is its target.
    """

    hash: str
    size: int
    mode: str


class ShadowRepository:
    """Commits of a folder that others write to.

    Files are read here, without git's help, and handed to git as a stream: so that no attribute,
    filter, ignore list, submodule or repository of the agent's has an effect. Links are kept as
    links. What is not kept (large files, weights, what the task gave) stands in `MANIFEST` with
    size and SHA-256.

    Several processes may commit; each waits for the others. A process that is killed leaves nothing
    behind that stops the next one.

    Args:
        git_dir: the repository; made where there is none.
        work_tree: the folder.
        largest: see `LARGEST`.
        most: bytes of all contents that are stored; beyond, files are only hashed.

    Raises:
        InfraError: git is not installed.
    """

    def __init__(
        self, git_dir: Path, work_tree: Path, *, largest: int = LARGEST, most: int = _MOST_STORED
    ) -> None:
        self.notes: list[str] = []
        """What went wrong, in words; recording never ends a run."""
        self._folder = git_dir
        self._git = Git(git_dir)
        self._scanner = Scanner(work_tree, largest)
        self._left = most
        self._stored: set[str] = set()

    def commit(self, message: str) -> str:
        """Record the folder as it is now.

        Returns:
            The commit's hash; empty where it could not be recorded, and then `notes` say why.
        """
        try:
            with self._locked():
                return self._commit(message)
        except (GitError, OSError) as error:
            self.notes.append(f"revision not recorded ({message}): {error}")
            return ""

    def head(self) -> str:
        """Return the latest commit; empty where there is none."""
        file = self._folder / _BRANCH
        try:
            commit = file.read_text().strip()
        except OSError:
            return ""
        return commit if _COMMIT.match(commit) else ""

    def diff(self, a: str, b: str, most: int = 200_000) -> str:
        """Return the unified difference between two commits; an empty name is an empty folder.

        Files that are not text are only named.

        Args:
            a: the older commit.
            b: the newer one.
            most: bytes; the rest is cut off, and a last line says so.

        Raises:
            GitError: a commit is not there.
        """
        trees = [_checked(commit) if commit else EMPTY_TREE for commit in (a, b)]
        options = ["--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--unified=3"]
        words = ["diff", *options, *trees, "--", ".", f":(exclude){MANIFEST}"]
        text = self._git.run(words, most=most)
        cut = "\n... cut off here\n" if len(text) == most else ""
        return text.decode(errors="replace") + cut

    def files(self, commit: str) -> dict[str, Blob]:
        """Return the files of a commit by their paths.

        Raises:
            GitError: the commit is not there.
        """
        listed = self._git.run(["ls-tree", "-r", "-z", "-l", "--full-tree", _checked(commit)])
        found = {}
        for entry in listed.split(b"\0"):
            about, _, path = entry.partition(b"\t")
            if path:
                mode, _, blob, size = about.split()
                found[os.fsdecode(path)] = Blob(blob.decode(), int(size), mode.decode())
        return found

    def read(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """Return contents by their hashes; those that are not there are left out.

        Raises:
            GitError: the repository cannot be read.
        """
        wanted = [blob for blob in dict.fromkeys(blobs) if _COMMIT.match(blob)]
        if not wanted:
            return {}
        answer = self._git.run(["cat-file", "--batch"], "\n".join(wanted).encode() + b"\n")
        found, at = {}, 0
        for blob in wanted:
            head, _, _ = answer[at:].partition(b"\n") if at < len(answer) else (b"", b"", b"")
            at += len(head) + 1
            words = head.split()
            if len(words) == 3:
                size = int(words[2])
                found[blob] = answer[at : at + size]
                at += size + 1
        return found

    def manifest(self, commit: str) -> list[dict[str, Any]]:
        """Return what a commit does not keep: path, size, why, and its SHA-256 if known.

        Raises:
            GitError: the commit is not there.
        """
        blob = self.files(commit).get(MANIFEST)
        if blob is None:
            return []
        listed = json.loads(self.read([blob.hash])[blob.hash])["left_out"]
        return [dict(entry) for entry in listed]

    def _commit(self, message: str) -> str:
        if not (self._folder / "objects").is_dir() or not (self._folder / "HEAD").is_file():
            self._git.run(["init", "--quiet", "--bare", "--template=", "--initial-branch=main"])
        # Nobody else is at work while the lock is held: git's own locks are of a killed process.
        for stale in [*self._folder.glob("*.lock"), *(self._folder / "refs").rglob("*.lock")]:
            stale.unlink(missing_ok=True)
        for crash in self._folder.glob("fast_import_crash_*"):
            crash.unlink(missing_ok=True)
        stream, blobs = self._stream(message, self.head())
        told = self._git.run(["fast-import", "--quiet", "--done", "--force"], stream)
        commit = told.decode().strip()
        if not _COMMIT.match(commit):
            raise GitError(f"git fast-import answered {commit[:80]!r}")
        self._stored |= blobs
        return commit

    def _stream(self, message: str, parent: str) -> tuple[bytes, set[str]]:
        """Return what `git fast-import` is told, and the blobs that are new in it."""
        parts: list[bytes] = []
        changes = [b"deleteall\n"]
        notes: list[dict[str, Any]] = []
        new: set[str] = set()
        for found in self._scanner.scan():
            entry = self._within_limits(found, new)
            if entry.content is None:
                notes.append(entry.note())
                continue
            blob = _blob_hash(entry.content)
            if blob not in self._stored and blob not in new:
                new.add(blob)
                self._left -= len(entry.content)
                parts.append(_data(b"blob\n", entry.content))
            changes.append(f"M {entry.mode} {blob} ".encode() + _quoted(entry.path) + b"\n")
        manifest = json.dumps({"left_out": notes}, indent=0).encode()
        changes.append(_data(f"M 100644 inline {MANIFEST}\n".encode(), manifest))
        who = f"a2perf <a2perf@localhost> {int(time.time())} +0000"
        head = f"commit {_BRANCH}\nmark :1\ncommitter {who}\n".encode()
        parts.append(_data(head, message.encode()))
        if parent:
            parts.append(f"from {parent}\n".encode())
        return b"".join([*parts, *changes, b"get-mark :1\ndone\n"]), new

    def _within_limits(self, found: Found, new: set[str]) -> Found:
        content = found.content
        if content is None:
            return found
        if found.path.partition(b"/")[0] == MANIFEST.encode():
            why = "the name of this list"
        elif len(content) <= self._left or _blob_hash(content) in self._stored | new:
            return found
        else:
            why = "too much is stored already"
        digest = hashlib.sha256(content).hexdigest()
        return Found(found.path, "", None, found.size, digest, why)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the repository; the system releases it when this process ends in any way."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = os.open(self._folder / "a2perf-lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise GitError("another process holds the repository") from None
                    time.sleep(0.01)
            yield
        finally:
            os.close(file)


def _checked(commit: str) -> str:
    if not _COMMIT.match(commit):
        raise GitError(f"{commit!r} is not a commit")
    return commit


def _blob_hash(content: bytes) -> str:
    head = f"blob {len(content)}\0".encode()
    return hashlib.sha1(head + content, usedforsecurity=False).hexdigest()


def _data(head: bytes, content: bytes) -> bytes:
    return head + f"data {len(content)}\n".encode() + content + b"\n"


def _quoted(path: bytes) -> bytes:
    """Return a path as fast-import wants it, whatever bytes it has."""
    plain = b"".join(
        bytes([byte]) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}".encode()
        for byte in path
    )
    return b'"' + plain + b'"'
