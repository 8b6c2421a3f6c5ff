"""Submitted models: copied out of the workspace without following the agent anywhere, and checked.

What is hashed, checked and evaluated is the copy, which the agent cannot reach: what happens to the
files in the workspace meanwhile and later makes no difference.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from time import monotonic
from typing import Any

from pytest_a2perf.domains.posttrain.grading.refusal import Refused
from pytest_a2perf.domains.posttrain.grading.tensors import Tensor, read_tensors, same_weights

__all__ = ["Artefact", "Rules", "Weights", "digest_of", "relative_path", "take", "validate"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_BLOCK = 1 << 20
_JSON = 4 << 20  # bytes; tokenizers have more, but are not read here
_TENSORS = 100_000  # of all files together
_CHECKING = threading.Lock()  # what is read may take many times its size: one at a time
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+=@ -]{0,127}")

Weights = dict[str, Tensor]
"""Tensors by name, of all files together."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a submission may be.

    Attributes:
        size: bytes of all files together.
        files: how many, folders included.
        depth: folders below the submitted one.
        suffixes: of files; nothing that is loaded by unpickling or run is among them.
        seconds: that copying may take.
    """

    size: int = 4 << 30
    files: int = 200
    depth: int = 2
    suffixes: tuple[str, ...] = (".json", ".safetensors", ".txt", ".model", ".jinja", ".md")
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Artefact:
    """A copy of what was submitted.

    Attributes:
        folder: read-only.
        digest: SHA-256 over names and contents.
        size: bytes.
    """

    folder: Path
    digest: str
    size: int


def relative_path(path: object, roots: tuple[str, ...]) -> PurePosixPath:
    """Return what the agent names as a path below the workspace.

    Args:
        path: relative to the workspace, or absolute.
        roots: the workspace, as it is called where the agent runs.

    Raises:
        Refused: it is no path, or leads out of the workspace.
    """
    if not isinstance(path, str) or not path:
        raise Refused("model_path must be a string: the folder of the model in the workspace")
    if len(path) > 4096 or not path.isprintable():
        raise Refused("model_path is too long or holds characters that cannot be printed")
    plain = PurePosixPath(os.path.normpath(path))
    if plain.is_absolute():
        inside = [PurePosixPath(root) for root in roots if plain.is_relative_to(root)]
        if not inside:
            raise Refused("model_path leads out of the workspace")
        plain = plain.relative_to(inside[0])
    if ".." in plain.parts:
        raise Refused("model_path leads out of the workspace")
    if not plain.parts:
        raise Refused("model_path is the workspace: name the folder of the model in it")
    return plain


def take(workspace: Path, path: PurePosixPath, into: Path, rules: Rules | None = None) -> Artefact:
    """Copy a folder of the workspace to ``into/<digest>``.

    Every step is taken from an open folder to a name in it, and never through a symbolic link, so
    that renaming and linking meanwhile leads nowhere.

    Args:
        workspace: of the agent.
        path: see `relative_path`.
        into: folder for copies; the agent must not reach it.
        rules: see `Rules`.

    Raises:
        Refused: the rules forbid it, there is no such folder, or it changed while it was copied.
        OSError: the copy cannot be written.
    """
    rules = rules or Rules()
    into.mkdir(parents=True, exist_ok=True)
    draft = into / f".draft-{uuid.uuid4().hex}"
    draft.mkdir()
    try:
        with _opened(workspace, path) as folder:
            copied = _Copy(rules, os.fstat(folder).st_dev)
            copied.folder(folder, draft, PurePosixPath(), 0)
        if not copied.hashes:
            raise Refused(f"{path}: is empty")
        digest = _digest(copied.hashes)
        target = into / digest
        if not target.exists():
            draft.rename(target)
            _seal(target)
        return Artefact(target, digest, copied.size)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def digest_of(folder: Path) -> tuple[str, int]:
    """Return SHA-256 over names and contents of a folder that is ours, and its size in bytes."""
    hashes: dict[str, tuple[int, str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                value = hashlib.file_digest(file, "sha256").hexdigest()
            hashes[path.relative_to(folder).as_posix()] = (path.stat().st_size, value)
    return _digest(hashes), sum(size for size, _ in hashes.values())


def validate(artefact: Artefact, base: Path | None) -> None:
    """Check a copy: a model by its files, and not the base model.

    Args:
        artefact: what `take` returned.
        base: folder of the base model, to compare with.

    Raises:
        Refused: it is not a model that can be evaluated, or it is the base model.
        OSError: it cannot be read.
    """
    with _CHECKING:
        _validate(artefact.folder, base)


class _Copy:
    """A copy under way."""

    def __init__(self, rules: Rules, device: int) -> None:
        self._rules = rules
        self._device = device
        self._until = monotonic() + rules.seconds
        self._seen = 0
        self.hashes: dict[str, tuple[int, str]] = {}
        self.size = 0

    def folder(self, source: int, target: Path, place: PurePosixPath, depth: int) -> None:
        names = sorted(self._names(source))
        for name in names:
            where = place / name
            try:
                kind = os.stat(name, dir_fd=source, follow_symlinks=False).st_mode
            except OSError as error:
                raise Refused(f"{where}: changed while it was copied: {error}", 409) from None
            if stat.S_ISDIR(kind):
                if depth == self._rules.depth:
                    raise Refused(f"{where}: folders may lie {depth} deep, no deeper", 413)
                with _descended(source, name, where) as inner:
                    (target / name).mkdir()
                    self.folder(inner, target / name, where, depth + 1)
            elif stat.S_ISREG(kind):
                self._file(source, name, target / name, where)
            else:
                raise Refused(f"{where}: is {_kind(kind)}: only files and folders are accepted")

    def _names(self, source: int) -> Iterator[str]:
        with os.scandir(source) as entries:
            for entry in entries:
                self._seen += 1
                if self._seen > self._rules.files:
                    raise Refused(f"has more than {self._rules.files} files and folders", 413)
                if not _NAME.fullmatch(entry.name):
                    raise Refused(f"{entry.name[:100]!a}: is no acceptable file name")
                yield entry.name

    def _file(self, source: int, name: str, target: Path, where: PurePosixPath) -> None:
        if not name.endswith(self._rules.suffixes):
            allowed = ", ".join(self._rules.suffixes)
            raise Refused(
                f"{where}: is not accepted, only {allowed} are: what is loaded by unpickling, and"
                " code, would run in the grader. Save weights as safetensors, and submit a folder"
                " with nothing else in it"
            )
        with _open(name, _FILE, source, where) as descriptor:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode) or before.st_dev != self._device:
                raise Refused(f"{where}: changed while it was copied", 409)
            if before.st_nlink != 1:
                raise Refused(f"{where}: has other names (hard links): copy it")
            value, size = self._bytes(descriptor, target, where)
            after = os.fstat(descriptor)
        if size != before.st_size or (before.st_mtime_ns, before.st_ctime_ns) != (
            after.st_mtime_ns,
            after.st_ctime_ns,
        ):
            raise Refused(f"{where}: changed while it was copied: submit when it is written", 409)
        self.hashes[where.as_posix()] = (size, value)

    def _bytes(self, source: int, target: Path, where: PurePosixPath) -> tuple[str, int]:
        value, size = hashlib.sha256(), 0
        if self.size + os.fstat(source).st_size > self._rules.size:
            raise Refused(f"{where}: is too large: at most {self._rules.size} bytes in all", 413)
        with target.open("xb") as file:
            while block := os.read(source, _BLOCK):
                size += len(block)
                self.size += len(block)
                if self.size > self._rules.size:
                    raise Refused(f"{where}: is too large: {self._rules.size} bytes in all", 413)
                if monotonic() > self._until:
                    raise Refused(f"{where}: copying took too long", 413)
                value.update(block)
                file.write(block)
        return value.hexdigest(), size


@contextmanager
def _opened(workspace: Path, path: PurePosixPath) -> Iterator[int]:
    """Open a folder of the workspace, step by step."""
    try:
        current = os.open(workspace, _FOLDER)
    except OSError as error:
        raise Refused(f"the workspace is gone: {error.strerror}") from None
    try:
        walked = PurePosixPath()
        for part in path.parts:
            walked /= part
            with _descended(current, part, walked) as inner:
                os.dup2(inner, current, inheritable=False)
        yield current
    finally:
        os.close(current)


@contextmanager
def _descended(folder: int, name: str, where: PurePosixPath) -> Iterator[int]:
    with _open(name, _FOLDER, folder, where) as inner:
        yield inner


@contextmanager
def _open(name: str, flags: int, folder: int, where: PurePosixPath) -> Iterator[int]:
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise Refused(f"{where}: there is no such thing in the workspace") from None
    except OSError as error:
        try:
            kind = _kind(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
        except OSError:
            kind = ""
        reason = f"is {kind}" if kind else f"cannot be read: {error.strerror}"
        raise Refused(f"{where}: {reason}: name the folder itself that holds the model") from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _kind(mode: int) -> str:
    """Return what is neither a folder nor, if it could not be opened as one, a file."""
    if stat.S_ISLNK(mode):
        return "a symbolic link"
    if stat.S_ISREG(mode):
        return "a file"
    return "" if stat.S_ISDIR(mode) else "a device, a pipe or a socket"


def _digest(hashes: dict[str, tuple[int, str]]) -> str:
    total = hashlib.sha256()
    for name, (size, value) in sorted(hashes.items()):
        total.update(f"{name}\0{size}\0{value}\n".encode())
    return total.hexdigest()


def _seal(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)


def _validate(folder: Path, base: Path | None) -> None:
    if (folder / "adapter_config.json").exists():
        raise Refused("is an adapter: merge it into the model, and submit the whole model")
    config = _json(folder / "config.json")
    if "auto_map" in config or "custom_pipelines" in config:
        raise Refused("config.json: auto_map names code: code of a submission is never run")
    for index in folder.rglob("*.index.json"):
        _check_index(index)
    ours = _weights(folder)
    if not ours:
        raise Refused("has no weights: a file that ends in .safetensors is needed")
    if base is not None and same_weights(ours, _weights(base)):
        raise Refused("this is the base model: its weights are unchanged", 409)


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _JSON:
            raise Refused(f"{path.name}: is too large: at most {_JSON} bytes", 413)
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise Refused(f"has no {path.name}: submit the whole model, not its weights only") from None
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path.name}: is not JSON: {error}"[:300]) from None
    if not isinstance(data, dict):
        raise Refused(f"{path.name}: must be a JSON object")
    return data


def _check_index(path: Path) -> None:
    places = _json(path).get("weight_map")
    if not isinstance(places, dict):
        raise Refused(f"{path.name}: has no weight_map")
    if not all(isinstance(name, str) for name in places.values()):
        raise Refused(f"{path.name}: weight_map must hold names of files")
    for name in set(places.values()):
        if not _NAME.fullmatch(name) or not (path.parent / name).is_file():
            raise Refused(f"{path.name}: names {name[:100]!a}, which was not submitted")


def _weights(folder: Path) -> Weights:
    found: Weights = {}
    for path in sorted(folder.rglob("*.safetensors")):
        for name, tensor in read_tensors(path).items():
            if name in found:
                raise Refused(f"{path.name}: {name[:100]!r} stands in another file already")
            found[name] = tensor
        if len(found) > _TENSORS:
            raise Refused(f"has more than {_TENSORS} tensors", 413)
    return found
