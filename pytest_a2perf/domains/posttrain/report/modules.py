"""Which of an agent's code is reached when its scripts run, by reading it, never by running it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

__all__ = ["Module", "Unit", "by_name", "parse", "reachable"]

Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_EXITS = frozenset({"exit", "quit", "sys.exit", "os._exit", "os.abort"})
_HOOKS = frozenset({"forward", "compute_loss"})  # methods that a framework calls
_MOST_BYTES = 400_000
_DEEPEST = 200
_MOST_NESTING = 1_000_000
_NO_WORD = re.compile(r"[^\w./-]+")


@dataclass(slots=True)
class Module:
    """A Python file.

    Attributes:
        path: inside the workspace.
        tree: its syntax tree.
        lines: its text.
        aliases: imported name -> what it is, dotted.
        functions: module-level name -> function.
        classes: module-level name -> class.
    """

    path: str
    tree: ast.Module
    lines: list[str]
    aliases: dict[str, str] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)

    def quote(self, node: ast.AST) -> str:
        """Return the line on which a node begins, shortened."""
        number = getattr(node, "lineno", 1)
        line = self.lines[number - 1].strip() if number <= len(self.lines) else ""
        return line if len(line) <= 160 else line[:157] + "..."

    def dotted(self, node: ast.AST) -> str:
        """Return the name of an expression such as ``F.cross_entropy``, imports resolved.

        What is not a name at its root is left empty: ``.generate`` for ``model().generate``.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        root = self.aliases.get(node.id, node.id) if isinstance(node, ast.Name) else ""
        return ".".join([root, *reversed(parts)])


@dataclass(frozen=True, slots=True)
class Unit:
    """A stretch of code that is reached: a module's top level, or the body of a function or class.

    Attributes:
        module: where it stands.
        name: of the function; empty for the top level.
        nodes: all nodes of it that are reached, in order, inner functions left out.
        node: the function, or the class; None for the top level.
    """

    module: Module
    name: str
    nodes: tuple[ast.AST, ...]
    node: Function | ast.ClassDef | None = None


def parse(
    sources: Mapping[str, str], known: dict[tuple[str, str], Module | str] | None = None
) -> tuple[dict[str, Module], list[str]]:
    """Parse Python files; return modules by path, and what could not be read, in words.

    Args:
        sources: text by path.
        known: what was parsed before, by path and text; it is added to.
    """
    known = {} if known is None else known
    modules, problems = {}, []
    for path, text in sources.items():
        if (path, text) not in known:
            known[path, text] = _parsed(path, text)
        found = known[path, text]
        if isinstance(found, Module):
            modules[path] = found
        else:
            problems.append(found)
    return modules, problems


def _parsed(path: str, text: str) -> Module | str:
    """Return a module, or why it is none."""
    if len(text) > _MOST_BYTES:
        return f"{path}: too long to be read as code"
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"{path}: not Python: {error}"
    if _too_deep(tree):
        return f"{path}: too deeply nested to be read as code"
    module = Module(path, tree, text.splitlines())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                module.aliases[name] = alias.name if alias.asname else name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                origin = ".".join(filter(None, [node.module, alias.name]))
                module.aliases[alias.asname or alias.name] = origin
    for statement in tree.body:
        if isinstance(statement, Function):
            module.functions[statement.name] = statement
        elif isinstance(statement, ast.ClassDef):
            module.classes[statement.name] = statement
    return module


def _too_deep(tree: ast.Module) -> bool:
    """Return whether expressions are nested so deep that no person has written them.

    What looks into each expression, or follows one into its depth, is fast enough below that.
    """
    waiting: list[tuple[ast.AST, int]] = [(tree, 0)]
    total = 0
    while waiting:
        node, depth = waiting.pop()
        depth = 0 if isinstance(node, ast.stmt) else depth + 1
        total += depth
        if depth > _DEEPEST or total > _MOST_NESTING:
            return True
        waiting += [(child, depth) for child in ast.iter_child_nodes(node)]
    return False


def by_name(modules: Mapping[str, Module]) -> dict[str, list[str]]:
    """Return paths by the dotted names under which they may be imported, from any folder."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(modules):
        if path.endswith(".py"):
            parts = PurePosixPath(path).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            for start in range(len(parts)):
                found[".".join(parts[start:])].append(path)
    return dict(found)


def reachable(modules: Mapping[str, Module], scripts: Iterable[str]) -> list[Unit]:
    """Return the code that is reached when scripts are run.

    A function is taken to be reached when reached code names it; a method when reached code names
    its class and it. What stands behind ``if False`` or after a ``return`` is not reached.

    Args:
        modules: all of the agent's.
        scripts: paths of those that are run.
    """
    return _Reach(modules).units(scripts)


class _Reach:
    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._modules = modules
        self._by_name = by_name(modules)
        self._found: dict[tuple[str, str], Module | None] = {}
        self._units: dict[int, Unit] = {}
        self._waiting: list[tuple[Module, ast.AST, bool]] = []
        self._attributes: set[str] = set()
        self._unnamed: dict[str, list[tuple[Module, Function]]] = defaultdict(list)

    def units(self, scripts: Iterable[str]) -> list[Unit]:
        for path in scripts:
            if path in self._modules:
                self._reach(self._modules[path], self._modules[path].tree, script=True)
        while self._waiting:
            module, node, script = self._waiting.pop()
            self._visit(module, node, script=script)
        return list(self._units.values())

    def _reach(self, module: Module, node: ast.AST, *, script: bool = False) -> None:
        if id(node) in self._units:
            return
        self._units[id(node)] = Unit(module, "", ())  # taken; filled in by its visit
        self._waiting.append((module, node, script))
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                if isinstance(method, Function):
                    name = method.name
                    if name in self._attributes or name in _HOOKS or name.startswith("__"):
                        self._reach(module, method)
                    else:
                        self._unnamed[name].append((module, method))

    def _visit(self, module: Module, node: ast.AST, *, script: bool) -> None:
        body = node.body if isinstance(node, ast.Module | Function | ast.ClassDef) else []
        nodes = tuple(_walk(body, module, script=script or not isinstance(node, ast.Module)))
        owner = node if isinstance(node, Function | ast.ClassDef) else None
        if isinstance(owner, ast.ClassDef):
            nodes = (*(part for base in owner.bases for part in ast.walk(base)), *nodes)
        name = owner.name if isinstance(owner, Function) else ""
        self._units[id(node)] = Unit(module, name, nodes, owner)
        inner = {child.name: child for child in nodes if isinstance(child, Function | ast.ClassDef)}
        for child in nodes:
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Load):
                if child.id in inner and node is not module.tree:
                    self._reach(module, inner[child.id])
                else:
                    self._named(module, module.aliases.get(child.id, child.id))
            elif isinstance(child, ast.Attribute):
                self._attributes.add(child.attr)
                for home, method in self._unnamed.pop(child.attr, ()):
                    self._reach(home, method)
                self._named(module, module.dotted(child))
            elif isinstance(child, ast.Import):
                for alias in child.names:
                    self._imported(module, alias.name)
            elif isinstance(child, ast.ImportFrom):
                for alias in child.names:
                    if not self._imported(module, f"{child.module or ''}.{alias.name}".strip(".")):
                        self._imported(module, child.module or "")
            elif isinstance(child, ast.Call):
                self._started(module, child)

    def _named(self, module: Module, dotted: str) -> None:
        """Follow a name to the function or class that it stands for, here or in another file."""
        home, _, last = dotted.rpartition(".")
        found = self._find(module, home) if home else module
        if found is None:
            return
        definition = found.functions.get(last) or found.classes.get(last)
        if definition is not None:
            self._reach(found, definition)

    def _imported(self, module: Module, dotted: str) -> bool:
        found = self._find(module, dotted)
        if found is not None:
            self._reach(found, found.tree)
        return found is not None

    def _started(self, module: Module, call: ast.Call) -> None:
        """Follow ``subprocess.run(["python", "train.py"])`` and the like."""
        if not re.match(r"(subprocess|os|runpy|pty|asyncio)\.", module.dotted(call.func)):
            return
        before = ""
        for part in ast.walk(call):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                for word in _NO_WORD.split(part.value):
                    name = PurePosixPath(word).stem if word.endswith(".py") else ""
                    found = self._find(module, word if before == "-m" else name)
                    if found is not None:
                        self._reach(found, found.tree, script=True)
                    before = word

    def _find(self, module: Module, dotted: str) -> Module | None:
        key = (module.path, dotted)
        if key not in self._found:
            paths = self._by_name.get(dotted, [])
            folder = PurePosixPath(module.path).parent
            near = [path for path in paths if PurePosixPath(path).is_relative_to(folder)]
            self._found[key] = self._modules[(near or paths)[0]] if paths else None
        return self._found[key]


def _walk(body: Iterable[ast.stmt], module: Module, *, script: bool) -> Iterator[ast.AST]:
    """Yield what statements hold, but not the insides of functions, nor what cannot be reached."""
    waiting: list[ast.AST] = _until_end(list(body), module)[::-1]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, _Scope) and not isinstance(node, ast.Lambda):
            outer: list[ast.AST] = [*node.decorator_list]
            if isinstance(node, Function):
                outer += node.args.defaults
            waiting += outer[::-1]
            continue
        children: list[ast.AST] = []
        for name, value in ast.iter_fields(node):
            if isinstance(node, ast.If | ast.While | ast.IfExp) and name in ("body", "orelse"):
                known = _truth(node.test, script=script)
                if known is (name != "body"):
                    continue
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                children += _until_end(value, module)
            elif isinstance(value, list):
                children += [part for part in value if isinstance(part, ast.AST)]
            elif isinstance(value, ast.AST):
                children.append(value)
        waiting += children[::-1]


def _until_end(body: list[ast.stmt], module: Module) -> list[ast.AST]:
    """Return statements up to the first after which none is reached."""
    for number, statement in enumerate(body):
        leaves = isinstance(statement, _ENDS) or (
            isinstance(statement, ast.Expr)
            and isinstance(statement.value, ast.Call)
            and module.dotted(statement.value.func) in _EXITS
        )
        if leaves:
            # A function that is defined further down does not become unknown by that.
            return list(body[: number + 1])
    return list(body)


def _truth(test: ast.expr, *, script: bool) -> bool | None:
    """Return what a condition always is; None if it may be either."""
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _truth(test.operand, script=script)
        return None if inner is None else not inner
    if isinstance(test, ast.Compare) and isinstance(test.left, ast.Name):
        return script if test.left.id == "__name__" else None
    if isinstance(test, ast.Name) and test.id == "TYPE_CHECKING":
        return False
    if isinstance(test, ast.BoolOp):
        parts = [_truth(part, script=script) for part in test.values]
        decisive = isinstance(test.op, ast.Or)
        if decisive in parts:
            return decisive
        return None if None in parts else not decisive
    return None
