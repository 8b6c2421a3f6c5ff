"""Signs of training, rollouts and rewards in code that is reached: calls and data flow, not words.

Comments, docstrings and names of things that are never used count for nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_a2perf.domains.posttrain.report.data import Evidence
from pytest_a2perf.domains.posttrain.report.flow import (
    Flow,
    Makers,
    Uses,
    makers_of,
    of_each,
    words,
)
from pytest_a2perf.domains.posttrain.report.modules import Module, Unit
from pytest_a2perf.domains.posttrain.report.selection import best_of_n, filters

__all__ = ["Sign", "signs_of"]


@dataclass(frozen=True, slots=True)
class Sign:
    """Something that code does.

    Attributes:
        kind: e.g. ``optimizer``, ``cross entropy``, ``GRPO``, ``generate``, ``filter``.
        evidence: where.
    """

    kind: str
    evidence: Evidence


_CALLS: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (kind, re.compile(r"(^|\.)(" + pattern + ")"), what)
    for kind, pattern, what in (
        ("SFT", r"nano\.sft\.sft$|SFTTrainer$|run_sft$", "calls a trainer for SFT"),
        ("SFT", r"transformers\.(Seq2Seq)?Trainer$", "calls a trainer for next tokens"),
        ("GRPO", r"nano\.grpo\.grpo(_episodes)?$|GRPOTrainer$", "calls a trainer for GRPO"),
        ("PPO", r"PPO(v2)?Trainer$|verl\.trainer\.|run_ppo$", "calls a trainer for PPO"),
        ("DPO", r"(Online)?(DPO|ORPO|KTO|CPO|XPO)Trainer$", "calls a trainer for DPO"),
        ("REINFORCE", r"(RLOO|Reinforce\w*)Trainer$", "calls a trainer for REINFORCE"),
        ("optimizer", r"torch\.optim\.[A-Z]\w+$", "makes an optimiser"),
        (
            "optimizer",
            r"((Paged)?AdamW?(8bit)?|SGD|Lion|Muon|nano\.turns\.optimiser)$",
            "makes an optimiser",
        ),
        ("cross entropy", r"(cross_entropy|CrossEntropyLoss|nll_loss|NLLLoss)$", "loss of tokens"),
        ("generate", r"generate(_batch)?$|vllm\.LLM$", "generates"),
        ("generate", r"nano\.(sample\.(complete|Writer)|rollout\.rollout)$", "generates"),
        ("copy", r"shutil\.(copytree|copyfile|copy2?|move)$|os\.(sym)?link$", "copies the base"),
        ("noise", r"torch\.(randn?|randint|normal)(_like)?$", "makes random numbers"),
        ("noise", r"(standard_normal|random_sample|urandom|randbytes)$", "makes random numbers"),
        ("noise", r"(normal|uniform|random)_$|nn\.init\.\w+_$", "fills with random numbers"),
        (
            "load",
            r"nano\.io\.load$|(?<!Tokenizer\.)(?<!Config\.)from_pretrained$|load_file$|torch\.load$",
            "loads a model",
        ),
        ("fresh model", r"NanoLM$|from_config$", "makes a model that nothing has taught"),
        ("dynamic", r"(?<!\.)(exec|eval|__import__)$|import_module$", "runs code that it makes"),
    )
)
_PAIR = re.compile(r"chosen|rejected|winner|loser|preferred", re.IGNORECASE)
_FORMAT = re.compile(
    r"(generation_config|chat_template|tokenizer_config|system_prompt|prompt_template|config\.json)"
)
_BASE = re.compile(r"MODEL_PATH|BASE_MODEL|(^|/)models(/|$)|\bbase\b", re.IGNORECASE)
_NO_WEIGHTS = re.compile(r"\.(json|txt|jinja|md|py|model)$|tokenizer|config|vocab", re.IGNORECASE)
_TRAINERS = frozenset({"SFT", "GRPO", "PPO", "DPO", "REINFORCE"})
_BY_REWARD = ("policy gradient", "ratio", "pairs")


def signs_of(units: Sequence[Unit]) -> list[Sign]:
    """Return the signs in units of code, each kind at its first few places."""
    makers = makers_of(units)
    by_unit = [(unit, _of_unit(unit, makers)) for unit in units]
    by_node = {id(unit.node): signs for unit, signs in by_unit if unit.node is not None}
    by_reward = any(sign.kind == "policy gradient" for _, signs in by_unit for sign in signs)
    found: list[Sign] = []
    counts: dict[tuple[str, str], int] = {}
    for unit, signs in by_unit:
        # Losses of each token, in a function that leaves the rest to others, are weighed there.
        weighed = by_reward and all(sign.kind != "backward" for sign in signs)
        for sign in (*_inherited(unit, by_node), *signs):
            key = (sign.kind, sign.evidence.where.rpartition(":")[0])
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= 3 and not (weighed and sign.kind == "token losses"):
                found.append(sign)
    return found


def _of_unit(unit: Unit, makers: Makers) -> list[Sign]:
    flow, uses = Flow(unit, makers), Uses(unit)
    signs = [*_calls(unit, flow), *_followed(unit, flow)]
    signs += [
        _sign("best of n", unit.module, node, "keeps the best of generated samples")
        for node in best_of_n(unit, flow, uses)
    ]
    signs += [
        _sign("filter", unit.module, test, "keeps generated samples that pass a check")
        for test in filters(unit, flow, uses)
    ]
    kinds = {sign.kind for sign in signs}
    left_out = set()
    if not kinds.isdisjoint(_BY_REWARD):
        # There, a log-probability with a minus sign is part of that, or a bonus for entropy.
        left_out.add("likelihood")
    if "policy gradient" in kinds:
        left_out.add("token losses")
    return [sign for sign in signs if sign.kind not in left_out]


def _sign(kind: str, module: Module, node: ast.AST, what: str) -> Sign:
    path = module.path.partition("!")[0]  # code inside of a shell script has that one's lines
    where = path if path == "process" else f"{path}:{getattr(node, 'lineno', 1)}"
    return Sign(kind, Evidence(what or kind, where, module.quote(node)))


def _inherited(unit: Unit, by_node: Mapping[int, Sequence[Sign]]) -> Iterator[Sign]:
    """Yield what a class does because a trainer is its base.

    One that has a loss of its own does what that one says, and is trained by.
    """
    if not isinstance(unit.node, ast.ClassDef):
        return
    losses = [
        sign.kind
        for method in unit.node.body
        if getattr(method, "name", "") == "compute_loss"
        for sign in by_node.get(id(method), ())
    ]
    own = any(kind in _BY_REWARD for kind in losses)
    for base in unit.node.bases:
        name = unit.module.dotted(base)
        for kind, pattern, what in _CALLS:
            if kind in _TRAINERS and pattern.search(name):
                if kind == "SFT" and own:
                    yield _sign("optimizer", unit.module, unit.node, "is a trainer")
                    yield _sign("backward", unit.module, unit.node, "is a trainer")
                else:
                    yield _sign(kind, unit.module, unit.node, what.replace("calls", "is"))


def _calls(unit: Unit, flow: Flow) -> Iterator[Sign]:
    module = unit.module
    for node in unit.nodes:
        if not isinstance(node, ast.Call):
            continue
        name = module.dotted(node.func)
        for kind, pattern, what in _CALLS:
            if pattern.search(name) and (kind != "copy" or _copies_base(node, name)):
                each = kind == "cross entropy" and of_each(node)
                yield _sign("token losses" if each else kind, module, node, what)
        if name.endswith(".backward"):
            yield _sign("backward", module, node, "back-propagates")
            if any(map(flow.is_loss, (*node.args, getattr(node.func, "value", node)))):
                yield _sign("cross entropy", module, node, "loss that the model returns")
        if any(keyword.arg == "labels" for keyword in node.keywords):
            yield _sign("token losses", module, node, "loss of next tokens")
        if _writes(name) and any(map(_FORMAT.search, words([node]))):
            yield _sign("format", module, node, "writes prompts or configuration")
        if name.endswith(".step") and node.args:
            yield _sign("environment", module, node, "steps an environment")
        for word in words([node]):
            if len(word) < 200 and re.search(r"/(judge|search|step|act)\b", word):
                yield _sign("service", module, node, "calls a service of the task")


def _copies_base(node: ast.Call, name: str) -> bool:
    """Return whether a call copies the base model, not just its tokenizer or configuration."""
    named = list(words(node.args))
    whole = name.endswith(("copytree", "link"))
    return any(map(_BASE.search, named)) and (whole or not any(map(_NO_WEIGHTS.search, named)))


def _writes(name: str) -> bool:
    return bool(re.search(r"(^|\.)(write_text|dump|write|open|save_pretrained)$", name))


def _followed(unit: Unit, flow: Flow) -> Iterator[Sign]:
    module = unit.module
    clipped = any(
        isinstance(node, ast.Call) and re.search(r"(clamp|clip|minimum)$", module.dotted(node.func))
        for node in unit.nodes
    )
    for node in unit.nodes:
        if isinstance(node, ast.BinOp):
            yield from _arithmetic(node, module, flow)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            if flow.is_logp(node.operand) and not flow.is_reward(node.operand):
                yield _sign("likelihood", module, node, "raises the likelihood of texts")
        elif isinstance(node, ast.Call):
            name = module.dotted(node.func).rpartition(".")[2]
            if name == "exp" and clipped and any(map(flow.is_difference, node.args)):
                yield _sign("ratio", module, node, "ratio of probabilities, clipped")
            paired = flow.is_logp(node) or any(map(_PAIR.search, words(node.args)))
            if name in ("logsigmoid", "log_sigmoid") and paired:
                yield _sign("pairs", module, node, "loss of preferred over rejected")


def _arithmetic(node: ast.BinOp, module: Module, flow: Flow) -> Iterator[Sign]:
    if isinstance(node.op, ast.Mult):
        for one, other in ((node.left, node.right), (node.right, node.left)):
            likely = flow.is_logp(one) or flow.is_loss(one)
            if likely and flow.is_reward(other) and not flow.is_logp(other):
                yield _sign("policy gradient", module, node, "weighs log-probabilities by rewards")
                return
    centred = isinstance(node.op, ast.Sub) and flow.is_reward(node.left)
    if centred and any("mean" in word for word in words([node.right])):
        yield _sign("group mean", module, node, "subtracts the mean reward of a group")
