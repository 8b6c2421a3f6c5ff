"""Folders that are made once and found again, by processes that know nothing of each other."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from pytest_a2perf.domains.posttrain.grading.artefact import digest_of
from pytest_a2perf.errors import InfraError

__all__ = ["cached", "key_of"]

_MADE = "made.json"
_TICK = 0.2  # seconds between tries of a lock


def key_of(about: Mapping[str, Any], sources: Iterable[Path] = ()) -> str:
    """Return a key that is another one whenever what it stands for is made in another way.

    Args:
        about: what is made; JSON.
        sources: files with the code that makes it.
    """
    value = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for path in sorted(sources):
        value.update(f"\0{path.name}\0".encode() + path.read_bytes())
    return value.hexdigest()[:24]


def cached(
    cache: Path,
    name: str,
    key: str,
    make: Callable[[Path], None],
    *,
    patience: float = 1800.0,
) -> tuple[Path, str]:
    """Return a folder and the digest of its content, after making it if it is not there.

    One process makes it, others wait. It appears whole or not at all; one that was damaged since
    is made again.

    Args:
        cache: folder of the cache.
        name: of what is made; a path below the cache.
        key: see `key_of`.
        make: fills an empty folder.
        patience: seconds to wait for another process.

    Raises:
        InfraError: it cannot be written, or another process takes too long.
    """
    place = cache / name
    folder, note = place / key, place / f"{key}.{_MADE}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        with _locked(place / f"{key}.lock", patience):
            found = _intact(folder, note)
            if not found:
                shutil.rmtree(folder, ignore_errors=True)
                draft = place / f".{key}-{uuid.uuid4().hex[:8]}"
                draft.mkdir()
                try:
                    make(draft)
                    found, _ = digest_of(draft)
                    note.write_text(json.dumps({"digest": found}) + "\n", encoding="utf-8")
                    draft.rename(folder)
                finally:
                    shutil.rmtree(draft, ignore_errors=True)
            return folder, found
    except OSError as error:
        raise InfraError(f"{folder}: cannot be made: {error}") from error


def _intact(folder: Path, note: Path) -> str:
    """Return the digest of a folder whose content is as it was made; else an empty string."""
    try:
        made = json.loads(note.read_bytes())["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return str(made) if folder.is_dir() and digest_of(folder)[0] == made else ""


@contextmanager
def _locked(path: Path, patience: float) -> Iterator[None]:
    """Keep other processes out; one that dies lets go."""
    until = monotonic() + patience
    with path.open("wb") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() > until:
                    raise InfraError(
                        f"{path}: another process has held this lock for {patience:.0f} s: end it,"
                        " or wait until it is done"
                    ) from None
                sleep(_TICK)
            else:
                break
        yield
