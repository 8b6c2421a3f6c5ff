"""Where the system's Chromium is, and how it is started so that it always ends."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from pytest_a2perf.errors import InfraError

__all__ = ["find_chromedriver", "find_chromium", "reaped"]

_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_REAPER = Path(__file__).with_name("reaper.py")


def find_chromium(executable: str | None = None) -> str:
    """Return the path of Chromium, or of Chrome.

    Args:
        executable: a path, or a name to look for; default: the usual names.

    Raises:
        InfraError: it is not here; the message says how to install it.
    """
    wanted = _CHROMIUM if executable is None else (executable,)
    return _find(wanted, "Chromium", "chromium")


def find_chromedriver() -> str:
    """Return the path of ChromeDriver, which Selenium needs beside Chromium.

    Raises:
        InfraError: it is not here; the message says how to install it.
    """
    return _find(("chromedriver",), "ChromeDriver", "chromium-driver")


def reaped(*command: str) -> list[str]:
    """Return a command that runs another; see `pytest_a2perf.domains.web.reaper`.

    Start it with ``stdin=subprocess.PIPE``, and close that to end all of it.
    """
    # -P: the folder of the script holds modules that are called like Python's own.
    return [sys.executable, "-P", str(_REAPER), *command]


def _find(names: tuple[str, ...], what: str, package: str) -> str:
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    raise InfraError(
        f"{what} is not here (looked for {', '.join(names)}): install it, for example with "
        f"'apt-get install {package}'"
    )
