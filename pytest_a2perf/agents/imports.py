"""Import what the user wrote, from the project's folder or an installed package."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["import_attribute", "importable", "is_missing"]


def importable(root: Path) -> None:
    """Put the project's folder on the path, where it stays: user code imports late, too."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    importlib.invalidate_caches()


def is_missing(error: ModuleNotFoundError, module: str) -> bool:
    """Whether it is ``module`` itself that was not found, and not something that it imports."""
    return error.name is not None and f"{module}.".startswith(f"{error.name}.")


def import_attribute(module: str, attribute: str, root: Path) -> Any:
    """Import ``module:attribute``; the attribute may be nested.

    Raises:
        AgentError: there is no such module or attribute, or the module raised on import.
    """
    spec = f"{module}:{attribute}"
    importable(root)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and is_missing(error, module):
            near = did_you_mean(module, (found.name for found in pkgutil.iter_modules([str(root)])))
            raise AgentError(
                f"agent {spec!r}: there is no module {error.name!r}{near} "
                f"(looked in {root} and the installed packages)"
            ) from None
        raise AgentError(
            f"agent {spec!r}: importing {module!r} raised {type(error).__name__}: {error}"
        ) from error
    walked = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [name for name in dir(found) if not name.startswith("_")]
            raise AgentError(
                f"agent {spec!r}: {walked!r} has no {part!r}{did_you_mean(part, names)}"
            )
        found = getattr(found, part)
        walked = f"{walked}.{part}"
    return found
