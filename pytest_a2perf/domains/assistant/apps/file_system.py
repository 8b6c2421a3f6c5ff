"""What the file systems of a world have in common: rules, limits, and where contents come from."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pytest_a2perf.domains.assistant.apps.app import App, Clock
from pytest_a2perf.domains.assistant.apps.documents import text_of_document
from pytest_a2perf.domains.assistant.apps.file_tree import unfold
from pytest_a2perf.domains.assistant.apps.open_file import open_file, parse_mode
from pytest_a2perf.domains.assistant.apps.paths import MAX_DEPTH, Parts, parse, show
from pytest_a2perf.domains.assistant.apps.store import Entry, MemoryStore, Store
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.errors import InfraError

__all__ = ["MAX_BYTES", "MAX_ENTRIES", "FileSystem"]

MAX_BYTES = 64 * 2**20
"""What all files of a file system may hold together."""

MAX_ENTRIES = 20_000
"""How many files and folders there may be."""

_MODES = {"file": 0o100644, "directory": 0o040755, "other": 0o120777}


class FileSystem(App):
    """Files and folders.

    Scenarios say which files there are, but what these hold is elsewhere (of Gaia2's in a data
    set on the Hub): they can be listed, moved and replaced, and read where there is a copy.

    Attributes:
        mirror: folder with a copy of the files that scenarios name, or None.
    """

    def __init__(self, name: str, clock: Clock, *, seed: int = 0, app_class: str = "") -> None:
        super().__init__(name, clock, seed=seed, app_class=app_class)
        self.mirror: Path | None = None
        self._loaded: dict[Parts, str] = {}
        self._start = clock.now
        self._elsewhere: dict[Parts, Parts] = {}

    def _make_store(self, now: float) -> Store:
        """Return an empty store."""
        raise NotImplementedError

    @functools.cached_property
    def store(self) -> Store:
        """Keeps the files; is made when it is first used, since most worlds never use it."""
        return self._filled(self._make_store(self._start))

    def _filled(self, store: Store) -> Store:
        for path, kind in self._loaded.items():
            if kind == "directory":
                store.make(path, self._start)
            else:
                store.write(path, b"", self._start)
        return store

    def load_state(self, state: dict[str, Any]) -> None:
        """See `App.load_state`; what was there before is removed."""
        kinds: dict[Parts, str] = {}
        for path, kind in unfold(state.get("files") or {}):
            if kinds.setdefault(path, kind) != kind:
                raise TraceError(f"files: {show(path)} is both file and directory")
            if len(kinds) > MAX_ENTRIES:
                raise TraceError(f"files: there are more than {MAX_ENTRIES}")
        self._loaded = kinds
        self._start = self.clock.now
        if self._used:
            for path in self._listed(()):
                self._remove(path)
            self._filled(self.store)
        self._elsewhere = {path: path for path, kind in kinds.items() if kind == "file"}

    def get_state(self) -> dict[str, Any]:
        """See `App.get_state`; says which files there are, not what they hold."""
        store = self.store if self._used else self._filled(MemoryStore(self._start))
        return {"files": _node(store, ())}

    @property
    def _used(self) -> bool:
        return "store" in vars(self)

    def read_bytes(self, path: str) -> bytes:
        """Return what a file holds.

        Raises:
            ToolError: there is no such file.
            InfraError: what it holds is not here; see `mirror`.
        """
        return self._read(parse(path))

    def write_bytes(self, path: str, content: bytes) -> None:
        """Make or replace a file, in a folder that is there.

        Raises:
            ToolError: there cannot be such a file, or there is no room for it.
        """
        self._check_place(parse(path))
        self._write(parse(path), content)

    # What tools are made of; they differ only in their arguments.

    def _open(self, path: str, mode: str) -> IO[Any]:
        parts = parse(path)
        action, _ = parse_mode(mode)
        content = b""
        if action == "r":
            content = self._read(parts)
        else:
            self._check_place(parts)
            there = self.store.stat(parts) is not None
            if there and action == "x":
                raise ToolError(f"{show(parts)} exists already")
            if there and action == "a":
                content = self._read(parts)
            else:
                self._write(parts, b"")

        def commit(new: bytes) -> None:
            # What has been removed meanwhile stays removed.
            if self._is(parts, "file"):
                self._write(parts, new)

        return open_file(show(parts), content, mode, commit, MAX_BYTES)

    def _mkdir(self, path: str, create_parents: bool) -> None:
        parts = parse(path)
        if self.store.stat(parts) is not None:
            raise ToolError(f"{show(parts)} exists already")
        if not create_parents:
            self._require(parts[:-1], "directory")
        self._make(parts)

    def _makedirs(self, path: str, exist_ok: bool) -> None:
        parts = parse(path)
        if self.store.stat(parts) is not None and not exist_ok:
            raise ToolError(f"{show(parts)} exists already")
        self._make(parts)

    def _mv(self, path1: str, path2: str) -> None:
        source, target = parse(path1), parse(path2)
        moved = self._found(source)
        if source == target:
            return
        if not source:
            raise ToolError("the root cannot be moved")
        if self._is(target, "directory"):
            target = (*target, source[-1])
            if self.store.stat(target) is not None:
                raise ToolError(f"{show(target)} exists already")
        if moved.kind == "directory":
            self._check_tree_place(source, target)
            # As with `shutil.move`: where folders are missing, only a folder may be moved to.
            self._make(target[:-1])
        else:
            self._check_place(target)
        self.store.move(source, target, self.clock.now)
        self._elsewhere.pop(target, None)
        for old in [path for path in self._elsewhere if path[: len(source)] == source]:
            self._elsewhere[target + old[len(source) :]] = self._elsewhere.pop(old)

    def _ls(self, path: str, detail: bool) -> list[str | dict[str, Any]]:
        paths = self._listed(parse(path))
        return [self._details(each) if detail else show(each) for each in paths]

    def _rm(self, path: str, recursive: bool) -> None:
        parts = parse(path)
        if self._found(parts).kind == "directory" and not recursive:
            raise ToolError(f"{show(parts)} is a directory: remove it with recursive=True")
        for each in [parts] if parts else self._listed(()):
            self._remove(each)

    def _rmdir(self, path: str) -> None:
        parts = parse(path)
        self._require(parts, "directory")
        if not parts:
            raise ToolError("the root cannot be removed")
        if self.store.names(parts):
            raise ToolError(f"{show(parts)} is not empty")
        self._remove(parts)

    def _exists(self, path: str) -> bool:
        return self.store.stat(parse(path)) is not None

    def _tree(self, path: str) -> str:
        head = path.rpartition("/")[2] or "/"
        return "\n".join([head, *self._branches(parse(path), 0), ""])

    def _branches(self, path: Parts, level: int) -> Iterator[str]:
        paths = self._listed(path)
        for each in paths:
            yield f"{'    ' * level}{'└── ' if each == paths[-1] else '├── '}{each[-1]}"
            if self._is(each, "directory"):
                yield from self._branches(each, level + 1)

    def _document(self, path: str, max_lines: int | None) -> str:
        content = self._read(parse(path))
        if not content:
            raise ToolError(f"{path} is empty")
        text = text_of_document(path, content, MAX_BYTES)
        lines = text.split("\n")
        if max_lines is None or max_lines <= 0 or len(lines) <= max_lines:
            return text
        note = f"[Document truncated. Showing {max_lines} of {len(lines)} lines]"
        return "\n".join([*lines[:max_lines], "", note])

    def _info(self, path: str) -> dict[str, Any]:
        return self._details(parse(path))

    def _details(self, path: Parts) -> dict[str, Any]:
        """Return what is known of a path: nothing of the machine that it really is on."""
        entry = self._found(path)
        copied = self._copy(path) if path in self._elsewhere else None
        return {
            "name": show(path),
            "size": copied.stat().st_size if copied else entry.size,
            "type": entry.kind,
            "created": entry.mtime,
            "islink": False,
            "mode": _MODES[entry.kind],
            "uid": 0,
            "gid": 0,
            "mtime": entry.mtime,
            "ino": 0,
            "nlink": 1,
        }

    # Rules.

    def _is(self, path: Parts, kind: str) -> bool:
        entry = self.store.stat(path)
        return entry is not None and entry.kind == kind

    def _found(self, path: Parts) -> Entry:
        entry = self.store.stat(path)
        if entry is None:
            raise ToolError(f"there is no file or directory {show(path)}")
        return entry

    def _require(self, path: Parts, kind: str) -> None:
        if self._found(path).kind != kind:
            raise ToolError(f"{show(path)} is not a {kind}")

    def _check_place(self, path: Parts) -> None:
        """Check that a file can be put there: into a folder, and over nothing but a file."""
        if path and self.store.stat(path) is None:
            self._require(path[:-1], "directory")
        else:
            self._require(path, "file")

    def _check_tree_place(self, source: Parts, target: Parts) -> None:
        """Check that a folder can be put there: over nothing, not in itself, not too deep."""
        if target[: len(source)] == source:
            raise ToolError(f"cannot move {show(source)} into itself")
        if self.store.stat(target) is not None:
            raise ToolError(f"{show(target)} exists already")
        below = max(len(path) for path in self._walk(source)) - len(source)
        if len(target) + below > MAX_DEPTH:
            raise ToolError(f"{show(target)} would be nested too deeply")

    def _check_room(self, size: int, entries: int) -> None:
        """Check that there is room for so many more bytes, and files or folders."""
        used, there = self.store.usage()
        size, entries = size + used, entries + there
        if size > MAX_BYTES:
            raise ToolError(f"no room: the file system holds {MAX_BYTES} bytes at most")
        if entries > MAX_ENTRIES:
            raise ToolError(f"no room: the file system holds {MAX_ENTRIES} files at most")

    # Changes.

    def _listed(self, path: Parts) -> list[Parts]:
        if self._found(path).kind == "directory":
            return [(*path, name) for name in self.store.names(path)]
        return [path]

    def _walk(self, path: Parts) -> Iterator[Parts]:
        """Yield a path and all below it, folders before what is in them."""
        yield path
        if self._is(path, "directory"):
            for name in self.store.names(path):
                yield from self._walk((*path, name))

    def _make(self, path: Parts) -> None:
        """Make a folder, and those above it, where they are not there yet."""
        upward = [path[:depth] for depth in range(1, len(path) + 1)]
        missing = [each for each in upward if not self._is(each, "directory")]
        if missing:
            if self.store.stat(missing[0]) is not None:
                raise ToolError(f"{show(missing[0])} is not a directory")
            self._check_room(0, len(missing))
        for each in missing:
            self.store.make(each, self.clock.now)

    def _remove(self, path: Parts) -> None:
        for each in reversed(list(self._walk(path))):
            self.store.remove(each, self.clock.now)
            self._elsewhere.pop(each, None)

    def _write(self, path: Parts, content: bytes) -> None:
        old = self.store.stat(path)
        self._check_room(len(content) - (old.size if old else 0), entries=old is None)
        self.store.write(path, content, self.clock.now)
        self._elsewhere.pop(path, None)

    def _read(self, path: Parts) -> bytes:
        self._require(path, "file")
        if path in self._elsewhere:
            self._fetch(path)
        return self.store.read(path)

    def _fetch(self, path: Parts) -> None:
        copied = self._copy(path)
        if copied is None:
            hint = "a folder with a copy of the scenario's files is needed"
            reason = f"{self.mirror} has no such file" if self.mirror else hint
            raise InfraError(f"{self.name}: what {show(path)} holds is not here: {reason}")
        if copied.stat().st_size > MAX_BYTES:
            raise InfraError(f"{self.name}: {copied} is larger than {MAX_BYTES} bytes")
        self._write(path, copied.read_bytes())

    def _copy(self, path: Parts) -> Path | None:
        """Return the file of the mirror that holds what a file of the scenario should."""
        if self.mirror is None:
            return None
        copied = self.mirror.joinpath(*self._elsewhere[path]).resolve()
        inside = copied.is_relative_to(self.mirror.resolve())
        return copied if inside and copied.is_file() else None


def _node(store: Store, path: Parts) -> dict[str, Any]:
    """Return a file, or a folder with all that is in it, as scenarios list them."""
    name = path[-1] if path else ""
    entry = store.stat(path)
    if entry is None or entry.kind != "directory":
        return {"name": name, "type": "file"}
    children = [_node(store, (*path, child)) for child in store.names(path)]
    return {"name": name, "type": "directory", "children": children}
