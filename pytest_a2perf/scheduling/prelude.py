"""What a launched worker runs first: ``python -m pytest_a2perf.scheduling.prelude``.

It says on stdout that it is there, behind whatever a shell or a module system printed, and then
does what execnet asks of every worker: run the line of code that comes in on stdin.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from types import ModuleType

__all__ = ["READY", "OwnPath"]

READY = b"pytest-a2perf worker ready\n"


class OwnPath:
    """Finds modules on this machine's own path, behind the one that xdist brings along."""

    def __init__(self, path: Sequence[str]) -> None:
        self._path = list(path)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a top-level module; see `importlib.abc.MetaPathFinder.find_spec`."""
        return None if path is not None else PathFinder.find_spec(name, self._path, target)

    def find_distributions(
        self, context: DistributionFinder.Context | None = None
    ) -> Iterable[Distribution]:
        """Find installed packages, so that pytest finds its plugins here; see `find_spec`."""
        path = [folder for folder in self._path if folder not in sys.path]
        name = None if context is None else context.name
        return MetadataPathFinder.find_distributions(
            DistributionFinder.Context(name=name, path=path)
        )


if __name__ == "__main__":
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    folder = json.loads(sys.stdin.readline())["folder"]
    if folder and os.path.isdir(folder):  # noqa: PTH112 - before anything is imported
        os.chdir(folder)
    sys.meta_path.append(OwnPath([os.getcwd(), *sys.path]))  # noqa: PTH109
    for name in ("pytest_a2perf.scheduling", "pytest_a2perf"):
        del sys.modules[name]  # pytest wants to import its plugins itself
    exec(eval(sys.stdin.readline()))  # noqa: S102, S307 - execnet's protocol
