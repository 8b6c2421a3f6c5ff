"""What runs in a submission's process."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import pickle
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_a2perf.agents.submission.remake import Blueprint
from pytest_a2perf.agents.submission.signatures import (
    ENV,
    OBSERVATION,
    POLICY,
    PREPROCESSED,
    SPEC,
    bind,
    taken,
    takes,
)
from pytest_a2perf.agents.traceback import user_traceback
from pytest_a2perf.errors import A2PerfError, AgentError, InfraError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["Host", "Setup", "main"]


@dataclass(frozen=True, slots=True)
class Setup:
    """What a policy is loaded for.

    Attributes:
        options: for the function that loads it; each must be taken.
        spare: more of them, which need not be taken.
        blueprint: of the environment, or None where there is none.
        seed: the trial's.
    """

    options: Mapping[str, Any]
    spare: Mapping[str, Any]
    blueprint: Blueprint | None
    seed: int


class Host:
    """Imports a submission and calls its functions.

    Attributes:
        doing: the call in progress, for messages.

    Args:
        folder: of the submission.
    """

    def __init__(self, folder: Path) -> None:
        self.doing = ""
        self._folder = folder
        self._decide: Callable[[Any], Any]
        self._action_shape: tuple[int, ...] | None = None

    def train(self, seed: int, options: Mapping[str, Any]) -> None:
        """Call the submission's ``train``.

        Raises:
            AgentError: it is not there, or takes other arguments.
        """
        module = self._import("train", seed)
        work = bind(_function(module, "train"), options=options)
        self.doing = "train()"
        try:
            work()
        except SystemExit as end:
            if end.code:
                raise

    def load_policy(self, setup: Setup) -> None:
        """Load the submission's policy.

        Raises:
            AgentError: a function is not there, or takes other arguments.
            InfraError: the environment cannot be made.
        """
        module = self._import("inference", setup.seed)
        load = _function(module, "load_policy", "load_model")
        prepare = _function(module, "preprocess_observation")
        preprocess = bind(prepare, OBSERVATION, SPEC)
        infer = bind(_function(module, "infer_once"), POLICY, PREPROCESSED)
        options = {**taken(load, setup.spare), **setup.options}
        make_policy = bind(load, ENV, options=options)
        blueprint, env, spec = setup.blueprint, None, None
        if blueprint is not None:
            # Neither is made for nothing: that would import Gymnasium.
            self.doing = "making the environment"
            self._action_shape = blueprint.action_shape
            if takes(load, ENV, options=options):
                env = blueprint.make()
            if takes(prepare, OBSERVATION, SPEC):
                spec = blueprint.observation_space
        self.doing = f"{load.__name__}()"
        policy = make_policy(env)
        self._decide = lambda observation: infer(policy, preprocess(observation, spec))
        _seed(setup.seed)

    def reset(self, seed: int) -> None:
        """Begin an episode: what the submission draws follows from its seed."""
        _seed(seed)

    def infer_once(self, observation: Any) -> Any:
        """Return the submission's action for an observation."""
        self.doing = "infer_once()"
        return _action(self._decide(observation), self._action_shape)

    def _import(self, name: str, seed: int) -> ModuleType:
        """Import one of the two files, as A2Perf does: by its path, as a module of that name.

        One that has relative imports is imported as a part of its folder.
        """
        self.doing = f"importing {name}.py"
        _seed(seed)
        path = self._folder / f"{name}.py"
        if _is_relative(path):
            sys.path.append(str(self._folder.parent))
            package = importlib.import_module(self._folder.name)
            if str(self._folder) not in getattr(package, "__path__", ()):
                raise AgentError(
                    f"{path.name} has relative imports, but {self._folder.name!r} is also the name "
                    "of another package: rename the folder"
                )
            name = f"{self._folder.name}.{name}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        _seed(seed)  # once more, of what was imported
        return module


def main(descriptor: int, folder: str) -> None:
    """Answer requests until the trial closes the connection."""
    sys.path.insert(0, folder)
    connection = Connection(descriptor)
    # Processes of the submission must not keep the connection open: its end is how we die.
    os.set_inheritable(descriptor, False)
    os.register_at_fork(after_in_child=connection.close)
    host = Host(Path(folder))
    while True:
        try:
            name, arguments = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the trial
        except EOFError:
            return
        connection.send_bytes(_answer(host, getattr(host, name), arguments))


def _answer(host: Host, call: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps(("returned", call(*arguments)), 5)
    except A2PerfError as error:
        kind = "infra" if isinstance(error, InfraError) else "agent"
        return pickle.dumps((kind, str(error)))
    except SystemExit as error:
        message = f"{host.doing} called sys.exit({error.code!r})"
        return pickle.dumps(("raised", message, user_traceback(error)))
    except BaseException as error:  # noqa: BLE001 - all of it is the trial's to report
        message = f"{host.doing} raised {type(error).__name__}: {error}"
        return pickle.dumps(("raised", message, user_traceback(error)))


def _is_relative(path: Path) -> bool:
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError:  # importing it will tell
        return False
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


def _function(module: ModuleType, *names: str) -> Callable[..., Any]:
    """Return the first of these functions that the module has."""
    for name in names:
        found = getattr(module, name, None)
        if callable(found):
            return found  # type: ignore[no-any-return]  # it is the participant's
    has = [name for name in vars(module) if not name.startswith("_")]
    wanted = " or ".join(f"{name}()" for name in names)
    file = Path(module.__file__ or "").name
    raise AgentError(f"{file} has no function {wanted}{did_you_mean(names[0], has)}")


def _seed(seed: int) -> None:
    """Seed what the submission may draw from, as far as it is imported."""
    random.seed(seed)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(seed % 2**32)
    for name, path in (("torch", ("manual_seed",)), ("tensorflow", ("random", "set_seed"))):
        found: Any = sys.modules.get(name)
        for part in path:
            found = getattr(found, part, None)
        if found is not None:
            found(seed)


def _action(result: Any, shape: tuple[int, ...] | None) -> Any:
    """Return an action as NumPy knows it, without a batch's dimension of one.

    Args:
        result: an action, a tensor of torch or TensorFlow, or a ``PolicyStep`` of TF-Agents.
        shape: of an action of the environment.
    """
    if isinstance(result, tuple):
        result = getattr(result, "action", result)
    for method in ("detach", "cpu", "numpy"):
        if hasattr(result, method):
            result = getattr(result, method)()
    found = getattr(result, "shape", None)
    if shape is not None and found is not None and tuple(found) == (1, *shape):
        return result[0]
    return result
