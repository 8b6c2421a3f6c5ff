"""From the working tree to the other version's tree: paths, and imports that must not go astray."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

__all__ = ["RelocatingFinder", "Relocation"]

_OURS = "pytest_a2perf"


@dataclass(frozen=True, slots=True)
class Relocation:
    """Maps the working tree onto the other version's tree.

    Attributes:
        repository: top folder of the working tree, resolved.
        tree: top folder of the other version, resolved; it may lie inside the repository.
        environment: folder of the Python environment, which stays where it is even if it lies
            inside the repository.
    """

    repository: Path
    tree: Path
    environment: Path

    def applies(self, path: str | Path) -> bool:
        """Whether a path belongs to the working tree."""
        absolute = Path(path).resolve()
        if not absolute.is_relative_to(self.repository) or absolute.is_relative_to(self.tree):
            return False
        inside = self.environment.is_relative_to(self.repository)
        return not (inside and absolute.is_relative_to(self.environment))

    def moved(self, path: str | Path) -> str:
        """Return the path in the other tree, or the path itself if it is not of the project."""
        if not self.applies(path):
            return str(path)
        return str(self.tree / Path(path).resolve().relative_to(self.repository))

    def all_moved(self, paths: Iterable[str]) -> list[str]:
        """Move each path; an empty one is the working directory and stays empty."""
        return [self.moved(path) if path else path for path in paths]

    def key(self, path: Path, name: str) -> str:
        """Name an item alike in both trees, whose node ids differ for files outside of them."""
        absolute = path.resolve()
        if absolute.is_relative_to(self.tree):
            absolute = self.repository / absolute.relative_to(self.tree)
        return f"{absolute}::{name}"


class RelocatingFinder:
    """Takes what other finders find in the working tree from the other tree instead.

    Editable installs put the working tree on the path in ways of their own; whatever they are, the
    other version never imports from there. The plugin itself is not the one under test: both
    versions are measured by the same.
    """

    def __init__(self, relocation: Relocation) -> None:
        self._relocation = relocation

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module; see `importlib.abc.MetaPathFinder.find_spec`.

        Raises:
            ModuleNotFoundError: it is in the working tree only.
        """
        if name.partition(".")[0] == _OURS:
            return None
        others = sys.meta_path[sys.meta_path.index(self) + 1 :]
        for finder in others:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return self._moved(spec)
        return None

    def _moved(self, spec: ModuleSpec) -> ModuleSpec:
        applies, moved = self._relocation.applies, self._relocation.moved
        folders = spec.submodule_search_locations
        if spec.has_location and spec.origin is not None and applies(spec.origin):
            origin = moved(spec.origin)
            if not Path(origin).exists():
                raise ModuleNotFoundError(
                    f"{spec.name}: the version compared with has no {origin}; if it must be built "
                    "first, install that version into an environment of its own and name its "
                    "interpreter with --a2perf-against-python",
                    name=spec.name,
                )
            places = None if folders is None else self._relocation.all_moved(folders)
            new = spec_from_file_location(spec.name, origin, submodule_search_locations=places)
            assert new is not None
            return new
        if spec.origin is None and folders is not None and any(map(applies, folders)):
            namespace = ModuleSpec(spec.name, None, is_package=True)
            namespace.submodule_search_locations = self._relocation.all_moved(folders)
            return namespace
        return spec
