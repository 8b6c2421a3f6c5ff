"""Agents that are a Python function of the project, called inside the box."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from pytest_a2perf.domains.posttrain.agents.agent import Agent, AgentOptions
from pytest_a2perf.domains.posttrain.files import RunFiles
from pytest_a2perf.domains.posttrain.sandbox.spec import Mount
from pytest_a2perf.domains.posttrain.workspace.names import PROJECT
from pytest_a2perf.errors import AgentError, InfraError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["function_agent", "stage_sources"]

_LARGEST = 64 << 20
_NOT_SOURCE = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
_CALLABLE = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_LEFT_OUT = ("conftest.py", "setup.py", "noxfile.py", "tests", "pytest_a2perf")


def function_agent(name: str, root: Path, options: AgentOptions) -> Agent:
    """Return an agent ``module:function``.

    It sees Python modules and packages at the top of the project, not its data: these may hold
    what is hidden. It is called with a `grader.Run` and ``agent_options.arguments``.

    Args:
        name: as the scenario has it.
        root: the project's folder.
        options: of the scenario.

    Raises:
        AgentError: there is no such module, or the project's has no such function.
    """
    module, _, function = name.partition(":")
    parts = module.split(".")
    if not function or not all(part.isidentifier() for part in (*parts, *function.split("."))):
        raise AgentError(f"agent {name!r}: expected 'module:function'")
    sources = _sources(root)
    here = root.joinpath(*parts)
    if not (here.with_suffix(".py").is_file() or here.is_dir()) and not _installed(parts[0]):
        near = did_you_mean(parts[0], [path.stem for path in sources])
        raise AgentError(
            f"agent {name!r}: there is no module {module!r}{near} (looked in {root} and the "
            "installed packages)"
        )
    _check_name(name, here)
    return Agent(
        name=name,
        command=("python3", "-m", "call", name, json.dumps(options.arguments)),
        driver=options.driver or options.model,
        description="a function of the project",
        sources=tuple(sources),
    )


def stage_sources(agent: Agent, files: RunFiles) -> tuple[Mount, ...]:
    """Copy the sources that an agent needs, for the run alone; return the mount that shows them.

    Raises:
        InfraError: they cannot be copied.
    """
    if not agent.sources:
        return ()
    staged = files.root / "project"
    try:
        shutil.rmtree(staged, ignore_errors=True)
        staged.mkdir(parents=True)
        for source in agent.sources:
            if source.is_dir():
                shutil.copytree(source, staged / source.name, ignore=_NOT_SOURCE, symlinks=True)
            else:
                shutil.copyfile(source, staged / source.name)
    except (OSError, shutil.Error) as error:
        raise InfraError(f"agent {agent.name!r}: its sources cannot be copied: {error}") from error
    return (Mount(staged, PROJECT),)


def _sources(root: Path) -> list[Path]:
    """Return modules and packages at the top of the project."""
    return [
        path
        for path in sorted(root.iterdir())
        if path.name not in _LEFT_OUT
        and not path.name.startswith((".", "test_"))
        and (path.suffix == ".py" if path.is_file() else (path / "__init__.py").is_file())
        and _size(path) <= _LARGEST
    ]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else (path,)
    return sum(file.lstat().st_size for file in files)


def _check_name(spec: str, here: Path) -> None:
    """Check that a module of the project names the function; it is read, and not imported.

    Raises:
        AgentError: nothing in it has that name.
    """
    package = here / "__init__.py"
    path = package if package.is_file() else here.with_suffix(".py")
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return  # an installed one, or for another Python; if not, importing it will tell
    name = spec.partition(":")[2].partition(".")[0]
    named = {text for node in ast.walk(tree) for text in _named(node)}
    if path == package:
        named |= {part.stem for part in here.iterdir()}
    if not named & {name, "*", "__getattr__"}:
        known = [node.name for node in tree.body if isinstance(node, _CALLABLE)]
        near = did_you_mean(name, known)
        raise AgentError(f"agent {spec!r}: there is no {name!r} in {path}{near}")


def _named(node: ast.AST) -> Iterator[str]:
    """Yield the names that a statement gives; ``*`` may be any."""
    if isinstance(node, _CALLABLE):
        yield node.name
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id


def _installed(top: str) -> bool:
    """Whether there is such a package among the installed ones; nothing is imported."""
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False
