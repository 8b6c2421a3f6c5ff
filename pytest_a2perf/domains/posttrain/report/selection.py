"""Where code keeps some of what a model has generated: those that pass a check, or the best."""

from __future__ import annotations

import ast
import re
from bisect import bisect_left
from collections.abc import Iterator

from pytest_a2perf.domains.posttrain.report.flow import Flow, Uses, added, words
from pytest_a2perf.domains.posttrain.report.modules import Unit

__all__ = ["best_of_n", "filters"]

_CHECK = re.compile(
    r"reward|verif|correct|score|check|passe?[sd]|accept|judge|success|solved|valid", re.IGNORECASE
)
_FAULT = re.compile(r"incorrect|invalid|wrong|fail|unsolved|reject", re.IGNORECASE)
_GOLD = re.compile(
    r"(^|_)(answers?|labels?|targets?|gold(en)?|solutions?|references?|expected|truth)(_|$)",
    re.IGNORECASE,
)
_RANKING = ("max", "sorted", "argmax", "topk", "nlargest", "sort")
_Place = tuple[int, int]


def best_of_n(unit: Unit, flow: Flow, uses: Uses) -> Iterator[ast.AST]:
    """Yield where the best of generated samples go on."""
    for node in unit.nodes:
        if isinstance(node, ast.Call):
            name = unit.module.dotted(node.func).rpartition(".")[2]
            ranked = name in _RANKING and flow.is_generated(node)
            if ranked and any(map(_CHECK.search, words([node]))) and uses.leaves(node):
                yield node


def filters(unit: Unit, flow: Flow, uses: Uses) -> Iterator[ast.AST]:
    """Yield checks that generated samples have to pass to go on."""
    kept = sorted(
        (node.lineno, node.col_offset)
        for node in unit.nodes
        if isinstance(node, ast.Call)
        and (pair := added(node)) is not None
        and flow.is_generated(pair[1])
        and uses.leaves(pair[1])
    )
    loops: list[_Place] = []  # ends of those around
    for node in unit.nodes:
        if isinstance(node, ast.stmt):
            while loops and _begin(node) >= loops[-1]:
                loops.pop()
        if isinstance(node, ast.For | ast.AsyncFor | ast.While):
            loops.append(_end(node))
        elif isinstance(node, ast.If):
            skips = any(isinstance(part, ast.Continue) for part in node.body)
            if skips and loops:
                places = (_end(node), loops[-1])
            else:
                places = (_begin(node.body[0]), _end(node.body[-1]))
            if _any_between(kept, *places) and _demands(node.test, flow, not skips):
                yield node.test
        elif isinstance(node, ast.ListComp | ast.SetComp | ast.GeneratorExp):
            tests = [test for part in node.generators for test in part.ifs]
            texts = flow.is_generated(node.elt) or flow.is_generated(node.generators[0].iter)
            if tests and texts and uses.leaves(node):
                yield from (test for test in tests if _demands(test, flow, True))


def _begin(node: ast.stmt) -> _Place:
    return node.lineno, node.col_offset


def _end(node: ast.stmt) -> _Place:
    return node.end_lineno or node.lineno, node.end_col_offset or 0


def _any_between(places: list[_Place], first: _Place, last: _Place) -> bool:
    at = bisect_left(places, first)
    return at < len(places) and places[at] < last


def _demands(test: ast.expr, flow: Flow, holds: bool) -> bool:
    """Return whether samples for which a condition holds, or does not, have passed a check."""
    if isinstance(test, ast.BoolOp):
        return any(_demands(part, flow, holds) for part in test.values)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _demands(test.operand, flow, not holds)
    named = list(words([test]))
    checked = flow.is_reward(test) or any(map(_CHECK.search, named))
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        left, operator, right = test.left, test.ops[0], test.comparators[0]
        equal = isinstance(operator, ast.Eq | ast.In | ast.Is)
        if equal or isinstance(operator, ast.NotEq | ast.NotIn | ast.IsNot):
            none = isinstance(right, ast.Constant) and not right.value  # e.g. `reward == 0`
            right_answer = any(
                flow.is_generated(one) and any(map(_GOLD.search, words([other])))
                for one, other in ((left, right), (right, left))
            )
            return (checked or right_answer) and holds is (equal is not none)
        less = isinstance(operator, ast.Lt | ast.LtE) is not isinstance(left, ast.Constant)
        return checked and holds is not less
    return checked and holds is not any(map(_FAULT.search, named))
