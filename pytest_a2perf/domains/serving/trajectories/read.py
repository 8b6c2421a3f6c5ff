"""Read recorded sessions in whatever known format they are."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pytest_a2perf.domains.serving.errors import TrajectoryError
from pytest_a2perf.domains.serving.recorder import form as recorded
from pytest_a2perf.domains.serving.trajectories.form import Form, head_of
from pytest_a2perf.domains.serving.trajectories.formats import (
    agentperf_local,
    atif,
    claude_code,
    mini_swe_agent,
    mlperf,
    mooncake,
    openai,
    opencode,
    openhands,
    otel,
    own,
    sharegpt,
    swe_agent,
    weka,
)
from pytest_a2perf.domains.serving.trajectories.models import Session

__all__ = ["FORMS", "detect_form", "read_trajectories"]

FORMS: dict[str, Form] = {
    module.FORM.name: module.FORM
    for module in (
        # In the order in which they are tried: openai takes whatever has messages.
        own,
        recorded,
        agentperf_local,
        mlperf,
        weka,
        mooncake,
        atif,
        mini_swe_agent,
        swe_agent,
        openhands,
        claude_code,
        opencode,
        otel,
        sharegpt,
        openai,
    )
}


def read_trajectories(path: Path | str, *, form: str | None = None) -> list[Session]:
    """Read a file, or all files of a folder, in the order of their names.

    Where sessions share an id, later ones get a number after it. In a folder, what begins with a
    dot, links to folders and files of no known format are left out.

    Args:
        path: file or folder.
        form: name of the format; None: see what it is.

    Returns:
        At least one session.

    Raises:
        TrajectoryError: there is nothing to be read, or something is not as its format says; the
            message names file and line.
    """
    path = Path(path)
    if form is not None and form not in FORMS:
        raise TrajectoryError(f"no format of trajectories is called {form!r}: {_known()}")
    sessions: list[Session] = []
    taken: dict[str, int] = {}
    for part, read in _parts(path, None if form is None else FORMS[form]):
        sessions += _with_own_ids(_read(part, read), taken)
    if not sessions:
        raise TrajectoryError(f"{path}: no sessions in a format that is known: {_known()}")
    return sessions


def detect_form(path: Path) -> Form | None:
    """Return the format of a file or folder, or None where it is none that is known.

    Raises:
        TrajectoryError: the file cannot be read.
    """
    try:
        head = b"" if path.is_dir() else head_of(path)
        return next((form for form in FORMS.values() if form.detect(path, head)), None)
    except (OSError, EOFError, zlib.error) as error:
        raise TrajectoryError(f"{path}: cannot be read: {error}") from None


def _parts(path: Path, form: Form | None) -> Iterator[tuple[Path, Form]]:
    found = form or detect_form(path)
    if found is not None and (form is None or not path.is_dir() or found.detect(path, b"")):
        yield path, found
    elif path.is_dir():
        for part in sorted(path.iterdir()):
            linked = part.is_symlink() and part.is_dir()  # perhaps to where it stands
            if not part.name.startswith(".") and not linked:
                yield from _parts(part, form)


def _read(path: Path, form: Form) -> list[Session]:
    try:
        return list(form.read(path))
    except RecursionError:
        raise TrajectoryError(f"{path}: nested too deeply") from None
    except (OSError, EOFError, zlib.error) as error:
        raise TrajectoryError(f"{path}: cannot be read: {error}") from None


def _with_own_ids(sessions: list[Session], taken: dict[str, int]) -> Iterator[Session]:
    """Make ids unique; what a session's parent is called changes with it.

    Args:
        sessions: of one file.
        taken: ids so far, and the last number that was put after each; is added to.
    """
    names: dict[str, str] = {}
    renamed = []
    for session in sessions:
        name = session.id
        while name in taken:
            taken[session.id] += 1
            name = f"{session.id}-{taken[session.id]}"
        taken[name] = 1
        names.setdefault(session.id, name)
        renamed.append(name)
    for session, name in zip(sessions, renamed, strict=True):
        yield replace(session, id=name, parent=names.get(session.parent, session.parent))


def _known() -> str:
    return ", ".join(FORMS)
