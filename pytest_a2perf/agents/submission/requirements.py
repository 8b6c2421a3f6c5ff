"""A submission's own requirements: a virtual environment, made once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.caches import cache_folder
from pytest_a2perf.errors import InfraError

__all__ = ["python_for"]

_FILE = "requirements.txt"
_COMPLETE = "complete"
_BUILT = ("build", "dist", "__pycache__")  # what building a package leaves in its folder
_SHOWN = 12  # last lines of pip's words


def python_for(folder: Path) -> Path:
    """Return the interpreter that a submission runs in; its packages are installed first.

    It is our own where ``requirements.txt`` is missing or empty. Else it is that of a virtual
    environment in ``$A2PERF_CACHE`` (default: ``a2perf`` in the user's cache folder), which
    submissions with the same requirements share. What they do not pin comes from ours.

    Raises:
        InfraError: pip fails; the message ends with its last lines.
    """
    lines = _lines(folder)
    if not lines:
        return Path(sys.executable)
    venvs = cache_folder() / "venvs"
    home = venvs / _digest(folder, lines)
    # Built in place, as scripts know their path; what was not completed is built anew.
    if not (home / _COMPLETE).exists():
        try:
            venvs.mkdir(parents=True, exist_ok=True)
            with Path(f"{home}.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (home / _COMPLETE).exists():
                    _build(home, folder, lock.fileno())
        except (OSError, subprocess.CalledProcessError) as error:
            raise InfraError(
                f"submission {folder.name!r}: no environment for its {_FILE} can be made in "
                f"{venvs}: {error} (the environment variable A2PERF_CACHE names another place)"
            ) from error
    return home / "bin" / "python"


def _lines(folder: Path) -> list[str]:
    """Return the lines of the requirements that say something."""
    path = folder / _FILE
    if not path.is_file():
        return []
    lines = map(str.strip, path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _digest(folder: Path, lines: list[str]) -> str:
    digest = hashlib.sha256(repr([sys.version, sys.prefix, lines]).encode())
    for path in _named_files(folder, lines):
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _named_files(folder: Path, lines: list[str]) -> Iterator[Path]:
    """Yield the files in the submission that requirements name, alone or by their folder."""
    for word in " ".join(lines).replace("=", " ").split():
        path = folder / word.partition("[")[0]
        if path.is_dir():
            inside = (file for file in sorted(path.rglob("*")) if file.is_file())
            yield from (file for file in inside if not _is_built(file.relative_to(path)))
        elif path.is_file():
            yield path


def _is_built(path: Path) -> bool:
    return any(part in _BUILT or part.endswith(".egg-info") for part in path.parts)


def _build(home: Path, folder: Path, lock: int) -> None:
    shutil.rmtree(home, ignore_errors=True)
    pip_is_here = importlib.util.find_spec("pip") is not None
    venv.create(home, symlinks=True, with_pip=not pip_is_here)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    ours = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    (packages / "a2perf.pth").write_text(ours, encoding="utf-8")
    # pip keeps the lock: should we be killed, nobody builds here before it has ended.
    done = subprocess.run(  # noqa: S603 - our own interpreter
        [home / "bin" / "python", "-P", "-m", "pip", "install", "--no-input", "--quiet",
         "--disable-pip-version-check", "-r", _FILE],
        cwd=folder, pass_fds=(lock,), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        words = "\n".join(done.stdout.strip().splitlines()[-_SHOWN:])
        raise InfraError(
            f"submission {folder.name!r}: pip could not install its {_FILE} "
            f"(exit status {done.returncode}):\n{words}"
        )
    (home / _COMPLETE).touch()
