"""Finding scenarios, and choosing among them, always in the same order."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from pytest_a2perf.domains.assistant.errors import TraceError
from pytest_a2perf.domains.assistant.sources import hub, tables
from pytest_a2perf.domains.assistant.sources.cases import CaseRef, file_case
from pytest_a2perf.suggest import did_you_mean

__all__ = ["find_cases"]


def find_cases(
    location: str,
    *,
    root: Path,
    config: str | None = None,
    split: str | None = None,
    revision: str | None = None,
    ids: Sequence[str] = (),
    tags: Sequence[str] = (),
    limit: int | None = None,
) -> list[CaseRef]:
    """Find scenarios, or traces of runs.

    Args:
        location: a ``.json`` file, or a pattern for some; a folder of them, or of
            ``<config>/<split>/`` with them; a ``.jsonl`` or ``.parquet`` file; a folder laid out
            like a data set of the Hub; or
            ``hf://datasets/<owner>/<name>[@revision][/<config>[/<split>]]``.
        root: what a relative path starts from.
        config: only this configuration (folder); None: Gaia2's capabilities if there are any,
            else all.
        split: only this split; None: the only one.
        revision: of a data set on the Hub: branch, tag or commit.
        ids: only these scenarios.
        tags: only scenarios with one of these, in upper or lower case.
        limit: how many scenarios of each configuration at most.

    Returns:
        At least one, in the order of configurations, files and rows; all are valid.

    Raises:
        TraceError: something cannot be found, read or chosen, or a scenario is there twice; says
            what to do.
        InfraError: the Hub cannot be reached, or a package that reads it is missing.
    """
    if hub.is_hub(location):
        cases = hub.hub_cases(location, config=config, split=split, revision=revision)
    elif "://" in location:
        raise TraceError(f"{location}: only files, folders and {hub.PREFIX}... are known")
    else:
        if revision is not None:
            raise TraceError(f"{location}: only data sets on the Hub have a revision; remove it")
        cases = _local_cases(root / location, config, split)
    cases = _numbered(cases)
    _check_unique(cases)
    chosen = _choose(cases, location, ids, tags, limit)
    problems = []
    for case in chosen:
        try:
            if not case.lite:
                case.trace()
        except TraceError as error:
            problems.append(str(error))
    if problems:
        raise TraceError("\n".join(problems))
    return chosen


def _local_cases(path: Path, config: str | None, split: str | None) -> list[CaseRef]:
    if any(sign in str(path) for sign in "*?[") and not path.exists():
        files = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not files:
            raise TraceError(f"{path}: no file has such a path")
        return [file_case(file, config="", split="") for file in files]
    if path.is_dir():
        if tables.has_tables(path):
            return tables.table_cases(path, str(path), config=config, split=split)
        return _folder_cases(path, config, split)
    if not path.exists():
        near = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise TraceError(f"{path}: no such file or folder{did_you_mean(path.name, near)}")
    readers: dict[str, Callable[[], list[CaseRef]]] = {
        ".json": lambda: [file_case(path, config="", split="")],
        ".jsonl": lambda: tables.jsonl_cases(path),
        ".parquet": lambda: tables.parquet_cases(path),
    }
    reader = readers.get(path.suffix)
    if reader is None:
        raise TraceError(f"{path}: scenarios are in .json, .jsonl or .parquet files, or folders")
    if config is not None or split is not None:
        raise TraceError(f"{path}: a file has no config or split; name the folder instead")
    return reader()


def _folder_cases(folder: Path, config: str | None, split: str | None) -> list[CaseRef]:
    """Return the scenarios of a folder of JSON files, maybe in folders of configs and splits."""
    if config is None and (files := _json_files(folder)):
        if split is not None:
            raise TraceError(f"{folder}: its files are in no split; remove split = {split!r}")
        return [file_case(path, config="", split="") for path in files]
    cases = []
    for name in tables.choose_configs(_subfolders(folder), config, str(folder)):
        own_split, files = _split_files(folder / name, split)
        cases += [file_case(path, config=name, split=own_split) for path in files]
    if not cases:
        raise TraceError(f"{folder}: there are no scenarios (.json files)")
    return cases


def _split_files(folder: Path, split: str | None) -> tuple[str, list[Path]]:
    if split is None and (files := _json_files(folder)):
        return "", files
    splits = [name for name in _subfolders(folder) if _json_files(folder / name)]
    name = tables.choose_split(splits, split, str(folder))
    return name, _json_files(folder / name)


def _json_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.json") if path.is_file())


def _subfolders(folder: Path) -> list[str]:
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")
    )


def _numbered(cases: list[CaseRef]) -> list[CaseRef]:
    """Number the lite traces of a scenario, which do not say themselves which run they are of."""
    seen: Counter[str] = Counter()
    numbered = []
    for case in cases:
        seen[case.id] += case.lite
        numbered.append(replace(case, run_number=seen[case.id]) if case.lite else case)
    return numbered


def _check_unique(cases: Sequence[CaseRef]) -> None:
    first: dict[tuple[str, str, int | None], CaseRef] = {}
    problems = []
    for case in cases:
        known = first.setdefault((case.id, case.phase, case.run_number), case)
        if known is not case:
            run = "" if case.run_number is None else f", run {case.run_number}"
            problems.append(
                f"{case.origin}: scenario {case.id!r}{run} is also in {known.origin}; give it"
                " another scenario_id, or choose a config"
            )
    if problems:
        raise TraceError("\n".join(problems))


def _choose(
    cases: list[CaseRef],
    location: str,
    ids: Sequence[str],
    tags: Sequence[str],
    limit: int | None,
) -> list[CaseRef]:
    known_ids = dict.fromkeys(case.id for case in cases)
    known_tags = {tag.lower(): tag for case in cases for tag in case.tags}
    problems = [
        f"{location}: no scenario {one!r}{did_you_mean(one, known_ids)}"
        for one in ids
        if one not in known_ids
    ]
    problems += [
        f"{location}: no scenario has the tag {tag!r}{did_you_mean(tag, known_tags.values())}"
        for tag in tags
        if tag.lower() not in known_tags
    ]
    if limit is not None and limit < 1:
        problems.append(f"{location}: limit is {limit}, but must be at least 1")
    if problems:
        raise TraceError("\n".join(problems))
    wanted = {tag.lower() for tag in tags}
    chosen = [
        case
        for case in cases
        if (not ids or case.id in ids)
        and (not wanted or wanted.intersection(map(str.lower, case.tags)))
    ]
    if limit is not None:
        chosen = _first(chosen, limit)
    if not chosen:
        raise TraceError(f"{location}: no scenario has both one of the ids and one of the tags")
    return chosen


def _first(cases: list[CaseRef], limit: int) -> list[CaseRef]:
    kept = []
    for _, group in itertools.groupby(cases, key=lambda case: case.config):
        members = list(group)
        names = list(dict.fromkeys(case.id for case in members))[:limit]
        kept += [case for case in members if case.id in names]
    return kept
