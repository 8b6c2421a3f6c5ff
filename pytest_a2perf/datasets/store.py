"""Where data sets are, how they are opened, and how one is replaced whole."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    import minari

__all__ = [
    "MINARI_PATH", "check_dataset_id", "dataset_fingerprint", "datasets_folder", "locked",
    "minari_path", "open_dataset", "replace_dataset", "require_minari",
]  # fmt: skip

MINARI_PATH = "MINARI_DATASETS_PATH"
"""Environment variable that tells Minari where its data sets are."""

_ID = re.compile(r"(?:[\w-]{2,}/)*[\w-]+-v\d+", re.ASCII)


def check_dataset_id(name: str) -> None:
    """Check the syntax of a data set's id, as Minari has it.

    Raises:
        A2PerfError: it is none.
    """
    if not _ID.fullmatch(name):
        raise A2PerfError(
            f"{name!r} is no id of a Minari data set: expected 'name-v0' or 'namespace/name-v0' of "
            "letters, digits, '_' and '-', with a version, and namespaces of two or more characters"
        )


def require_minari() -> None:
    """Import what reads and writes data sets.

    Raises:
        InfraError: it is not installed.
    """
    try:
        for module in ("h5py", "minari"):
            importlib.import_module(module)
    except ImportError as error:
        raise InfraError(
            f"data sets need a package: {error}; pip install 'pytest-a2perf[data]'"
        ) from error


def datasets_folder(root: Path, run: Path | None = None) -> Path:
    """Return the folder into which data sets are collected: Minari's, where the user set it.

    Args:
        root: pytest's rootdir.
        run: folder of the run in progress, in the folder of runs.
    """
    chosen = os.environ.get(MINARI_PATH)
    if chosen:
        return Path(chosen)
    return (root / ".a2perf" if run is None else run.parents[1]) / "datasets"


def open_dataset(name: str, root: Path, run: Path | None = None) -> minari.MinariDataset:
    """Open a data set: one that was collected here, else one in the user's folder of Minari.

    Args:
        name: its id.
        root: pytest's rootdir.
        run: folder of the run in progress.

    Raises:
        InfraError: there is none of this id, or it cannot be read.
    """
    try:
        check_dataset_id(name)
    except A2PerfError as error:
        raise InfraError(f"dataset: {error}") from None
    require_minari()
    import minari

    own = (root / ".a2perf" if run is None else run.parents[1]) / "datasets"
    folders = list(dict.fromkeys([datasets_folder(root, run), own, _home()]))
    for folder in folders:
        data = folder / name / "data"
        if data.is_dir():
            try:
                return minari.MinariDataset(data)
            except Exception as error:
                raise InfraError(f"data set {name!r} in {data} cannot be read: {error}") from error
    known = {str(path.parent.relative_to(f)) for f in folders for path in f.glob("**/data")}
    places = ", ".join(map(str, folders))
    raise InfraError(
        f"there is no data set {name!r} in {places}{did_you_mean(name, known)}; collect it with a "
        f"scenario of phase 'collect', or get it with: minari download {name}"
    )


def _home() -> Path:
    return Path("~/.minari/datasets").expanduser()


@contextlib.contextmanager
def minari_path(folder: Path) -> Iterator[None]:
    """Have Minari work in a folder of ours; it asks the environment only."""
    before = os.environ.get(MINARI_PATH)
    os.environ[MINARI_PATH] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[MINARI_PATH]
        else:
            os.environ[MINARI_PATH] = before


@contextlib.contextmanager
def locked(folder: Path, name: str) -> Iterator[None]:
    """Keep other processes from writing the same data set; a process that dies lets go."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f".{name.replace('/', '.')}.lock").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replace_dataset(folder: Path, name: str, write: Callable[[Path], None]) -> Path:
    """Write a data set beside the one of the same id, then put it in its place in one step.

    Two files make a data set, and no system call replaces a folder that has something in it. So
    ``data`` is a link to the newest of the folders beside it, and a link can be replaced.

    Args:
        folder: of all data sets; locked for this one.
        name: its id.
        write: is given a path that does not exist, for the folder ``data``.

    Returns:
        The path of ``data``.
    """
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    version = place / f".data-{uuid.uuid4().hex[:12]}"
    try:
        write(version)
    except BaseException:
        shutil.rmtree(version, ignore_errors=True)
        raise
    link = place / f"{version.name}.link"
    link.symlink_to(version.name)
    link.replace(place / "data")
    for stale in place.glob(".data-*"):
        if stale.name != version.name:
            if stale.is_symlink():
                stale.unlink()
            else:
                shutil.rmtree(stale, ignore_errors=True)
    return place / "data"


def dataset_fingerprint(dataset: minari.MinariDataset) -> str:
    """Hash the content of a data set's episodes, in their order; not its metadata or its file."""
    digest = hashlib.sha256()
    storage, indices = dataset.storage, dataset.episode_indices
    metadata = storage.get_episode_metadata(indices)
    for episode, about in zip(storage.get_episodes(indices), metadata, strict=True):
        content = {key: episode[key] for key in _CONTENT}
        _feed(digest, {**content, "seed": about.get("seed", "")})
    return digest.hexdigest()[:16]


_CONTENT = ("observations", "actions", "rewards", "terminations", "truncations", "infos")


def _feed(digest: hashlib._Hash, value: Any) -> None:
    import numpy as np

    if isinstance(value, dict):
        for key in sorted(value):
            digest.update(f"{{{key}".encode())
            _feed(digest, value[key])
    elif isinstance(value, tuple | list):
        digest.update(f"[{len(value)}".encode())
        for part in value:
            _feed(digest, part)
    else:
        array = np.asarray(value)
        digest.update(f"<{array.dtype.str}{array.shape}".encode())
        digest.update(str(array.tolist()).encode() if array.dtype.hasobject else array.tobytes())
