"""The controller's end of launching workers: settings that launchers read, failures they leave."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from pytest_a2perf.scheduling.launcher import LaunchSettings
from pytest_a2perf.settings import Config

__all__ = ["Launch"]


class Launch:
    """What the launchers of one session share: a temporary folder, made on demand.

    Args:
        options: the plugin's.
        folder: where pytest was called, and where workers are to work if they have it.
    """

    def __init__(self, options: Config, folder: Path) -> None:
        self._options = options
        self._working = folder
        self._folder: Path | None = None

    @property
    def command(self) -> str:
        """The command that execnet takes for a worker's Python."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="a2perf-launch-"))
            options = self._options
            settings = LaunchSettings(
                options.launcher,
                options.cluster,
                "" if options.cluster else str(self._working),
                str(self._folder / "failure.txt"),
                options.launch_timeout,
                options.worker_cpus,
                options.worker_gpus,
            )
            settings.write(self._folder / "settings.json")
        module = "pytest_a2perf.scheduling.launcher"
        return shlex.join([sys.executable, "-m", module, str(self._folder / "settings.json")])

    def failure(self) -> str | None:
        """Return what a launcher left for the user, if one has failed."""
        try:
            return None if self._folder is None else (self._folder / "failure.txt").read_text()
        except OSError:
            return None

    def close(self) -> None:
        """Remove the folder."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
