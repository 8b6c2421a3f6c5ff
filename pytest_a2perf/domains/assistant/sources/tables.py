"""Scenarios as rows: JSONL and Parquet files, alone or laid out like a data set of the Hub."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.sources.cases import (
    CAPABILITIES,
    CaseRef,
    file_case,
    packed_case,
)
from pytest_a2perf.domains.assistant.trace.models import Dataset
from pytest_a2perf.errors import InfraError
from pytest_a2perf.suggest import did_you_mean

__all__ = [
    "SUFFIXES", "choose_split", "configs_of", "has_tables", "jsonl_cases", "parquet_cases",
    "table_cases", "table_files",
]  # fmt: skip

SUFFIXES = (".parquet", ".jsonl")
_SPLITS = {"train", "training", "validation", "valid", "val", "dev", "test"}
_SHARD = re.compile(r"-\d{5}-of-\d{5}.*$")
_COLUMNS = ("scenario_id", "data", "run_number", "phase_name")


def has_tables(folder: Path) -> bool:
    """Whether a folder is laid out like a data set: of Parquet or JSONL files, not of JSON."""
    found = _tables(folder)
    parquet = any(path.suffix == ".parquet" for path in found)
    return parquet or (bool(found) and next(folder.rglob("*.json"), None) is None)


def configs_of(folder: Path) -> list[str]:
    """Return the configurations in a folder that is laid out like a data set."""
    return sorted({config for config, _ in _files(folder)})


def table_cases(
    folder: Path,
    where: str,
    *,
    config: str | None,
    split: str | None,
    dataset: Dataset | None = None,
) -> list[CaseRef]:
    """Return the scenarios in a folder that is laid out like a data set of the Hub.

    Args:
        folder: of the data set.
        where: what messages call it.
        config: only this configuration; None: Gaia2's capabilities if there are any, else all.
        split: only this split; None: the only one.
        dataset: which one on the Hub it is.

    Raises:
        TraceError: there is no such configuration or split, or a row is no scenario.
        InfraError: pyarrow is not installed.
    """
    files = _files(folder)
    cases = []
    for name in choose_configs(configs_of(folder), config, where):
        splits = sorted({own for of, own in files if of == name})
        own_split = choose_split(splits, split, f"{where}, config {name!r}" if name else where)
        for path in files[name, own_split]:
            reader = parquet_cases if path.endswith(".parquet") else jsonl_cases
            origin = dataset and dataset.model_copy(update={"split": own_split})
            cases += reader(folder / path, config=name, split=own_split, dataset=origin)
    return cases


def table_files(paths: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return files by configuration and split, as their paths say.

    Args:
        paths: such as ``data/test-00000-of-00001.parquet``, ``<config>/<split>/0000.parquet`` or
            ``<config>/<split>.jsonl``.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for path in sorted(paths):
        parsed = PurePosixPath(path)
        folders = [part for part in parsed.parent.parts if part != "data"]
        name = _SHARD.sub("", parsed.stem)
        if folders and name not in _SPLITS and (len(folders) > 1 or folders[-1] in _SPLITS):
            name = folders.pop()
        found.setdefault(("/".join(folders), name), []).append(path)
    return found


def choose_configs(known: list[str], config: str | None, where: str) -> list[str]:
    """Return the configurations to read: the one named, or Gaia2's capabilities, or else all.

    Raises:
        TraceError: there is none of that name.
    """
    if config is None:
        return [name for name in known if name in CAPABILITIES] or known
    if config not in known:
        raise TraceError(f"{where}: no config {config!r}{did_you_mean(config, known)}")
    return [config]


def choose_split(splits: Sequence[str], split: str | None, where: str) -> str:
    """Return the split to take: the one asked for, or the only one.

    Raises:
        TraceError: there is no such split, or several to choose from.
    """
    if split is not None and split not in splits:
        raise TraceError(f"{where}: no split {split!r}{did_you_mean(split, splits)}")
    if split is None and len(splits) != 1:
        if not splits:
            raise TraceError(f"{where}: there are no scenarios")
        raise TraceError(f"{where}: choose a split; valid: {', '.join(splits)}")
    return splits[0] if split is None else split


def jsonl_cases(
    path: Path, *, config: str = "", split: str = "", dataset: Dataset | None = None
) -> list[CaseRef]:
    """Return the scenarios of a JSONL file, in its order.

    A line has ``scenario_id`` and ``data``, the scenario or its JSON; or ``trace_id``, the path of
    a JSON file, as in ARE's ``output.jsonl``, which must be in the folder of the JSONL file.

    Raises:
        TraceError: a line has neither, or what it has is no scenario; names it.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeError) as error:
        raise TraceError(f"{path}: {error}") from None
    cases = []
    for number, line in enumerate(lines, start=1):
        if line.strip():
            origin = f"{path}:{number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                raise TraceError(f"{origin}: no JSON: {error}") from None
            if isinstance(row, dict) and "data" not in row and row.get("trace_id"):
                file = _inside(path.parent, str(row["trace_id"]), origin)
                cases.append(file_case(file, config=config, split=split))
            else:
                cases.append(_row_case(row, origin, config=config, split=split, dataset=dataset))
    if not cases:
        raise TraceError(f"{path}: it is empty")
    return cases


def parquet_cases(
    path: Path, *, config: str = "", split: str = "", dataset: Dataset | None = None
) -> list[CaseRef]:
    """Return the scenarios of a Parquet file with columns ``scenario_id`` and ``data``.

    Raises:
        TraceError: the file is none, lacks a column, or a row is no scenario; names it.
        InfraError: pyarrow is not installed.
    """
    cases = []
    for index, row in enumerate(_parquet_rows(path)):
        origin = f"{path}, row {index}"
        cases.append(_row_case(row, origin, config=config, split=split, dataset=dataset))
    if not cases:
        raise TraceError(f"{path}: it is empty")
    return cases


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InfraError(
            f"{path}: Parquet needs pyarrow: pip install 'pytest-a2perf[parquet]'"
        ) from None
    try:
        with pq.ParquetFile(str(path)) as file:
            columns = file.schema_arrow.names
            if missing := [name for name in _COLUMNS[:2] if name not in columns]:
                raise TraceError(
                    f"{path}: no column {missing[0]!r}{did_you_mean(missing[0], columns)}"
                )
            for batch in file.iter_batches(
                batch_size=16, columns=[name for name in _COLUMNS if name in columns]
            ):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise TraceError(f"{path}: no Parquet file: {error}") from None


def _row_case(
    row: Any, origin: str, *, config: str, split: str, dataset: Dataset | None
) -> CaseRef:
    data = row.get("data") if isinstance(row, dict) else None
    if not data:
        raise TraceError(f"{origin}: no scenario; it needs 'scenario_id' and 'data'")
    text = data if isinstance(data, str) else json.dumps(data)
    number = row.get("run_number")
    return packed_case(
        text.encode(errors="replace"),
        origin,
        config=config,
        split=split,
        phase=str(row.get("phase_name") or ""),
        scenario_id=row.get("scenario_id"),
        run_number=None if number is None else int(number),
        dataset=dataset,
    )


def _inside(folder: Path, name: str, origin: str) -> Path:
    """Return the file that a row names; results may have been moved as a whole."""
    parts = Path(name).parts
    for candidate in (folder / name, folder.joinpath(*parts[-2:]), folder / parts[-1]):
        path = candidate.resolve()
        if path.is_relative_to(folder.resolve()) and path.is_file():
            return path
    raise TraceError(f"{origin}: no file {name!r} in {folder}; copy it there")


def _files(folder: Path) -> dict[tuple[str, str], list[str]]:
    return table_files([path.relative_to(folder).as_posix() for path in _tables(folder)])


def _tables(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
