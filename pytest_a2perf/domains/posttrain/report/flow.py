"""What the names in a stretch of code hold, and where what they hold goes."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pytest_a2perf.domains.posttrain.report.modules import Unit

__all__ = ["Flow", "Makers", "Uses", "added", "makers_of", "of_each", "words"]

_GENERATES = re.compile(
    r"(^|\.)(generate(_batch)?|vllm\.LLM|nano\.(sample\.(complete|Writer)|rollout\.rollout))$"
)
_LOGP_CALLS = re.compile(
    r"(log_softmax|log_prob|logprobs?|get_logps?|token_logps?|logsumexp)$", re.IGNORECASE
)
_LOGP = re.compile(r"(^|_)(log_?p(robs?|i|s)?|logprobs?|lp|ratio|nll)(_|$|s$)", re.IGNORECASE)
_REWARD = re.compile(
    r"(^|_)(adv(antages?)?|rewards?|returns?|rets?|scores?|rs)(_|$)", re.IGNORECASE
)
_MEASURES = re.compile(
    r"(^|[._])(len|print|sum|any|all|float|int|bool|round|isinstance|f?mean|Counter"
    r"|log|info|debug|warning|accuracy|metrics?|evaluate|report|show|plot)(_|$)"
)
_CARRIERS = re.compile(
    r"(^|\.)(list|tuple|dict|set|sorted|zip|enumerate|reversed|iter|next|max|min|filter|map|join"
    r"|str|repr|format|tqdm|copy|nlargest|topk|argmax|items|values)$"
)


@dataclass(slots=True)
class Makers:
    """Names of functions that return what a model has generated, and losses of models."""

    texts: set[str] = field(default_factory=set)
    losses: set[str] = field(default_factory=set)


def makers_of(units: Iterable[Unit]) -> Makers:
    """Find such functions, a few calls deep."""
    makers = Makers()
    for _ in range(3):
        before = len(makers.texts) + len(makers.losses)
        for unit in units:
            if unit.name:
                flow = Flow(unit, makers)
                if any(map(flow.is_generated, flow.returned)):
                    makers.texts.add(unit.name)
                if any(map(flow.is_loss, flow.returned)):
                    makers.losses.add(unit.name)
        if len(makers.texts) + len(makers.losses) == before:
            break
    return makers


def words(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield names and strings that expressions consist of."""
    for root in nodes:
        for node in ast.walk(root):
            if isinstance(node, ast.Name):
                yield node.id
            elif isinstance(node, ast.Attribute):
                yield node.attr
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def added(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Return a collection or file, and what a call adds to it; None for all else."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
        return None
    known = node.func.attr in ("append", "extend", "add", "write")
    return (node.func.value, node.args[0]) if known else None


class Flow:
    """What the names in a unit hold: log-probabilities, rewards, losses, generated texts.

    Args:
        unit: whose names.
        makers: functions that return such.
    """

    def __init__(self, unit: Unit, makers: Makers) -> None:
        self._module = unit.module
        self._makers = makers
        self.logp: set[str] = set()
        self.reward: set[str] = set()
        self.loss: set[str] = set()
        self.generated: set[str] = set()
        for _ in range(2):  # loops carry values back to their start
            for node in unit.nodes:
                for target, value in _bound(node):
                    self._follow(target, value)
        self.returned = [
            node.value
            for node in unit.nodes
            if isinstance(node, ast.Return | ast.Yield) and node.value is not None
        ]

    def _follow(self, target: ast.expr, value: ast.expr) -> None:
        names = {part.id for part in ast.walk(target) if isinstance(part, ast.Name)}
        names -= {"self", "cls"}
        self.logp |= names if self.is_logp(value) else set()
        self.reward |= names if self.is_reward(value) else set()
        self.loss |= names if self.is_loss(value) else set()
        self.generated |= names if self.is_generated(value) else set()

    def _has(self, node: ast.AST, names: set[str], known: re.Pattern[str]) -> bool:
        return any(
            (isinstance(part, ast.Name) and (part.id in names or bool(known.search(part.id))))
            or (isinstance(part, ast.Attribute) and bool(known.search(part.attr)))
            for part in ast.walk(node)
        )

    def is_logp(self, node: ast.AST) -> bool:
        """Whether an expression holds log-probabilities of tokens."""
        return self._has(node, self.logp, _LOGP) or any(
            isinstance(part, ast.Call)
            and (_LOGP_CALLS.search(self._module.dotted(part.func)) or of_each(part))
            for part in ast.walk(node)
        )

    def is_difference(self, node: ast.AST) -> bool:
        """Whether an expression holds a difference of log-probabilities."""
        return any(
            isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub) and self.is_logp(part)
            for part in ast.walk(node)
        )

    def is_reward(self, node: ast.AST) -> bool:
        """Whether an expression holds rewards or advantages."""
        return self._has(node, self.reward, _REWARD)

    def is_loss(self, node: ast.AST) -> bool:
        """Whether an expression is the loss that a model returns, as it is or weighted.

        It is not if it is weighted by rewards, or made a plain number.
        """
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            return node.attr == "loss" and not own
        if isinstance(node, ast.Name):
            return node.id in self.loss
        if isinstance(node, ast.BinOp):
            return any(
                self.is_loss(one) and not (isinstance(node.op, ast.Mult) and self.is_reward(other))
                for one, other in ((node.left, node.right), (node.right, node.left))
            )
        if isinstance(node, ast.IfExp):
            return self.is_loss(node.body) or self.is_loss(node.orelse)
        if isinstance(node, ast.Tuple):
            return any(map(self.is_loss, node.elts))
        if isinstance(node, ast.Call):
            name = self._module.dotted(node.func).rpartition(".")[2]
            if name in ("mean", "sum", "to", "scale") and isinstance(node.func, ast.Attribute):
                return any(map(self.is_loss, (node.func.value, *node.args)))
            return name in self._makers.losses
        return False

    def is_generated(self, node: ast.AST) -> bool:
        """Whether an expression holds what a model has generated."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in self.generated:
                return True
            if isinstance(part, ast.Call):
                name = self._module.dotted(part.func)
                if name.rpartition(".")[2] in self._makers.texts or _GENERATES.search(name):
                    return True
        return False


def of_each(call: ast.Call) -> bool:
    """Return whether a call leaves the loss of each token or sample apart."""
    return any(
        word.arg == "reduction" and getattr(word.value, "value", "") == "none"
        for word in call.keywords
    )


def _bound(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    """Yield what a node gives a value to, and the value."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
        if node.value is not None:
            yield node.target, node.value
    elif isinstance(node, ast.For | ast.AsyncFor | ast.comprehension):
        pairs = [(node.target, node.iter)]
        if isinstance(node.iter, ast.Call) and isinstance(node.target, ast.Tuple):
            name = getattr(node.iter.func, "id", "")
            if name == "zip" and len(node.iter.args) == len(node.target.elts):
                pairs = list(zip(node.target.elts, node.iter.args, strict=True))
            elif name == "enumerate" and node.iter.args and len(node.target.elts) == 2:
                pairs = [(node.target.elts[1], node.iter.args[0])]
        yield from pairs
    elif (pair := added(node)) is not None:
        yield pair


class Uses:
    """Where what is made in a unit goes: on, or no further than a figure or a line of output.

    It goes on as an argument (of a trainer, of a dataset), as a result, or into a file.

    Args:
        unit: where it is made.
    """

    def __init__(self, unit: Unit) -> None:
        self._module = unit.module
        self._parents = {
            id(child): parent for parent in unit.nodes for child in ast.iter_child_nodes(parent)
        }
        self._own = {
            node.id
            for node in unit.nodes
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self._leaving: set[str] = set()
        sources: dict[str, set[str]] = defaultdict(set)
        for node in unit.nodes:
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                leaves, names = self._next(node)
                if leaves:
                    self._leaving.add(node.id)
                for name in names:
                    sources[name].add(node.id)
        waiting = list(self._leaving)
        while waiting:
            for name in sources.pop(waiting.pop(), ()):
                if name not in self._leaving:
                    self._leaving.add(name)
                    waiting.append(name)

    def leaves(self, node: ast.AST) -> bool:
        """Return whether the value of an expression goes on."""
        leaves, names = self._next(node)
        return leaves or not names.isdisjoint(self._leaving)

    def _next(self, node: ast.AST) -> tuple[bool, set[str]]:
        """Return whether a value leaves from here, and the names that hold it next."""
        while (parent := self._parents.get(id(node))) is not None:
            if isinstance(parent, ast.Return | ast.Yield | ast.YieldFrom):
                return True, set()
            if isinstance(parent, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.NamedExpr):
                targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
                return self._held(targets)
            if isinstance(parent, ast.For | ast.AsyncFor):
                return self._held([parent.target])
            if isinstance(parent, ast.Call) and node is not parent.func:
                pair = added(parent)
                if pair is not None and isinstance(parent.func, ast.Attribute):
                    root = _root(pair[0])
                    if parent.func.attr == "write" or root is None or root not in self._own:
                        return True, set()  # into a file, or into what others hold as well
                    return False, {root}
                name = self._module.dotted(parent.func)
                if _MEASURES.search(name):
                    return False, set()
                if not _CARRIERS.search(name):
                    # Its result may be looked at alone, as in `print(check(kept))`.
                    return not self._measured(parent), set()
            elif isinstance(parent, ast.comprehension):
                if node is not parent.iter:
                    return False, set()
            elif isinstance(parent, ast.stmt | ast.Compare | ast.UnaryOp | ast.BoolOp):
                return False, set()
            node = parent
        return False, set()

    def _measured(self, node: ast.AST) -> bool:
        while (parent := self._parents.get(id(node))) is not None:
            if isinstance(parent, ast.stmt):
                return isinstance(parent, ast.If | ast.While | ast.Assert)
            if isinstance(parent, ast.Compare) or (
                isinstance(parent, ast.Call) and _MEASURES.search(self._module.dotted(parent.func))
            ):
                return True
            node = parent
        return False

    def _held(self, targets: Iterable[ast.expr]) -> tuple[bool, set[str]]:
        roots = {_root(part) for target in targets for part in _parts(target)}
        return None in roots, {root for root in roots if root is not None}


def _parts(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for part in target.elts:
            yield from _parts(part)
    else:
        yield target


def _root(node: ast.AST) -> str | None:
    """Return the name in which something is kept; None if that is part of another object."""
    while isinstance(node, ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None
