"""How models were made: from what code does, held against what was seen to happen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pytest_a2perf.domains.posttrain.grading.submission import Submission
from pytest_a2perf.domains.posttrain.report.data import (
    Certainty,
    Compliance,
    Evidence,
    Route,
    RouteName,
)
from pytest_a2perf.domains.posttrain.report.modules import Module, parse, reachable
from pytest_a2perf.domains.posttrain.report.process import is_copy
from pytest_a2perf.domains.posttrain.report.read import CODE, Run
from pytest_a2perf.domains.posttrain.report.scripts import find_scripts
from pytest_a2perf.domains.posttrain.report.shell import inline_sources, notebook
from pytest_a2perf.domains.posttrain.report.signs import Sign, signs_of

__all__ = ["Code", "Routes", "code_of", "compliance_of"]

_METHODS = ("GRPO", "PPO", "DPO", "REINFORCE")
_SHELLS = (".sh", ".bash", ".yaml", ".yml")
_NOTEBOOK = ".ipynb"
_CPU = 0.5
_MOST_EVIDENCE = 12
_UNKNOWN = "weights changed in a way the rules do not know"
_STAGED = ("SFT+RL", "rejection sampling", "best-of-n distillation")
_TAUGHT = ("SFT+RL", "RL", "rejection sampling", "best-of-n distillation", "SFT")


@dataclass(frozen=True, slots=True)
class Code:
    """What the code of a commit does.

    Attributes:
        signs: of what is reached.
        runs: where its scripts are seen to be run.
        told: whether nothing but the agent's own output shows that.
        problems: what could not be read as code.
        empty: whether there is no code at all.
    """

    signs: tuple[Sign, ...]
    runs: tuple[Evidence, ...]
    told: bool
    problems: tuple[str, ...]
    empty: bool

    def of(self, *kinds: str) -> list[Evidence]:
        """Return the evidence of signs of some kinds."""
        return [sign.evidence for sign in self.signs if sign.kind in kinds]


def code_of(
    sources: Mapping[str, str],
    log: Sequence[str] = (),
    commands: Sequence[str] = (),
    known: dict[tuple[str, str], Module | str] | None = None,
) -> Code:
    """Read an agent's code.

    Args:
        sources: text files by path: Python, notebooks, shell, configurations of trainers.
        log: lines of the agent's output, which may show what was run.
        commands: command lines of processes, which do.
        known: see `parse`.
    """
    shells = {path: text for path, text in sources.items() if path.endswith(_SHELLS)}
    python = {path: text for path, text in sources.items() if path.endswith(".py")}
    unread = []
    for path, text in sources.items():
        if path.endswith(_NOTEBOOK):
            try:
                python[path], shells[path] = notebook(text)
            except ValueError as error:
                unread.append(f"{path}: not a notebook: {error}")
    modules, problems = parse({**python, **inline_sources(shells, commands)}, known)
    # Command lines are recorded in part, so that what they hold may end anywhere.
    unread += [each for each in problems if not each.startswith("process!")]
    scripts = find_scripts(modules, shells, log, commands)
    signs = [*scripts.signs, *signs_of(reachable(modules, scripts.paths))]
    return Code(
        signs=tuple(signs),
        runs=scripts.evidence,
        told=scripts.told,
        problems=tuple(unread),
        empty=not (python or shells),
    )


class Routes:
    """Routes of a run's submissions, and of the run.

    Args:
        run: what is left of it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._codes: dict[tuple[frozenset[tuple[str, str]], tuple[str, ...]], Code] = {}
        self._known: dict[int, Route] = {}
        self._parsed: dict[tuple[str, str], Module | str] = {}

    def code(self, commit: str, commands: tuple[str, ...] | None = None) -> Code:
        """Return what the code of a commit does.

        Args:
            commit: its hash.
            commands: what was run; None: all that was run in the whole run.
        """
        run = self._run
        if commands is None:
            commands = tuple(command for _, command in run.commands)
        texts = run.revisions.texts(commit, CODE) | run.agent
        key = (frozenset(texts.items()), commands)  # most commits change no code
        if key not in self._codes:
            code = self._codes[key] = code_of(texts, run.log, commands, self._parsed)
            run.problems.extend(each for each in code.problems if each not in run.problems)
        return self._codes[key]

    def of(self, one: Submission, before: Submission | None) -> Route:
        """Return the route of a submission.

        Args:
            one: the submission.
            before: the one before it.
        """
        run, where = self._run, f"submission {one.number}"
        code = self.code(one.commit)
        seen = _Seen.between(run, one, before)
        if is_copy(one, run.base_public, run.info):
            same = Evidence(
                "is the base model, or answers every item as it does", where, one.reason
            )
            route = Route("copy", "", "seen", (same, *code.of("copy")))
        elif one.repeated in self._known:
            earlier = self._known[one.repeated]
            told = Evidence(f"has the same content as submission {one.repeated}", where)
            route = Route(
                earlier.name, earlier.method, earlier.certainty, (told, *earlier.evidence)
            )
        else:
            unchanged = self._same_weights(one)
            route = _classify(self._latest(one, before) or code, seen, unchanged)
            if route.name == "copy" and one.status != "scored":  # only some of what it does is
                told = Evidence("was not accepted", where, one.reason)
                route = Route("placeholder/missing", "", "seen", (told,))
            elif (
                unchanged is None
                and route.name in ("copy", "prompt/format only")
                and one.status == "scored"  # the grader refuses the base model's weights
            ):
                told = Evidence(_UNKNOWN, where)
                route = Route("placeholder/missing", "", "guess", (told, *route.evidence))
            elif route.certainty == "seen" and route.name in _STAGED and self._goes_on(one, code):
                told = Evidence("what made it ran on, so that not all of it need be in it", where)
                route = Route(route.name, route.method, "code", (told, *route.evidence))
        self._known[one.number] = route
        return route

    def of_run(self, routes: Sequence[Route]) -> Route:
        """Return the route of a run: all that its submissions did together.

        Args:
            routes: of its submissions.
        """
        taught = [route for route in routes if route.name in _TAUGHT]
        taught.sort(key=lambda route: route.certainty != "seen")
        if not routes:
            code = self.code(self._run.revisions.head())
            route = _classify(code, _Seen.all_of(self._run), unchanged=None)
            told = Evidence("nothing was submitted", "submissions.jsonl")
            return Route(route.name, route.method, route.certainty, (told, *route.evidence))
        if not taught:
            return max(routes, key=lambda route: [r.name for r in routes].count(route.name))
        names = {route.name for route in taught}
        rl = next((route for route in taught if route.name in ("RL", "SFT+RL")), None)
        if rl is not None and names != {"RL"}:
            sft = next((r for r in taught if r.name != "RL"), rl)
            evidence = dict.fromkeys((*sft.evidence, *rl.evidence))
            return Route("SFT+RL", rl.method, rl.certainty, tuple(evidence)[:_MOST_EVIDENCE])
        return next(route for name in _TAUGHT for route in taught if route.name == name)

    def _latest(self, one: Submission, before: Submission | None) -> Code | None:
        """Return what the scripts do that were started since the last submission, if they train."""
        start = -1.0 if before is None else before.clock
        commands = tuple(text for at, text in self._run.commands if start < at <= one.clock + 1)
        if not commands:
            return None
        code = self.code(one.commit, commands)
        by_process = any(run.where == "process" for run in code.runs)
        return code if by_process and _by_code(code)[0] in _TAUGHT else None

    def _goes_on(self, one: Submission, code: Code) -> bool:
        """Return whether the same code handed in more later, and nothing was started for that."""
        after = next((each for each in self._run.submissions if each.number > one.number), None)
        return (
            after is not None
            and self.code(after.commit) is code
            and not any(one.clock + 1 < at <= after.clock + 1 for at, _ in self._run.commands)
        )

    def _same_weights(self, one: Submission) -> Evidence | None:
        """Say so if a submission has the weights of an earlier one, in another artefact."""
        weights = self._weights(one)
        for each in reversed(self._run.submissions):
            earlier = each.number < one.number and each.artefact != one.artefact
            if earlier and weights and all(weights.values()) and self._weights(each) == weights:
                told = f"has the weights of submission {each.number}; other files differ"
                return Evidence(told, f"submission {one.number}")
        return None

    def _weights(self, one: Submission) -> dict[str, str]:
        left_out = self._run.revisions.left_out(one.commit)
        folder = one.path.removeprefix("/workspace/").strip("/") + "/"
        return {p.removeprefix(folder): h for p, h in left_out.items() if p.startswith(folder)}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What happened in a stretch of time."""

    cpu: float
    gpu: bool
    services: int
    evidence: tuple[Evidence, ...]

    @property
    def worked(self) -> bool:
        """Whether there was time for any training."""
        return self.gpu or self.cpu >= _CPU

    @classmethod
    def between(cls, run: Run, one: Submission, before: Submission | None) -> _Seen:
        start, cpu = (0.0, 0.0) if before is None else (before.clock, before.cpu)
        return cls._of(run, start, one.clock, max(0.0, one.cpu - cpu))

    @classmethod
    def all_of(cls, run: Run) -> _Seen:
        last = run.samples[-1] if run.samples else {"clock": 0.0, "cpu": 0.0}
        return cls._of(run, 0.0, max(run.info.clock, last["clock"]), max(run.info.cpu, last["cpu"]))

    @classmethod
    def _of(cls, run: Run, start: float, end: float, cpu: float) -> _Seen:
        gpu = any(
            sample.get("gpu", {}).get("utilization", 0.0) > 0.2
            for sample in run.samples
            if start <= sample["clock"] <= end
        )
        services = sum(
            int(call.get("calls", 1))
            for call in run.calls
            if call.get("kind") == "service" and start <= call["clock"] <= end
        )
        evidence = [Evidence(f"{cpu:.1f} CPU seconds since the one before", "process")]
        if services:
            evidence.append(Evidence(f"{services} calls of the task's services", "calls"))
        if gpu:
            evidence.append(Evidence("a GPU was busy", "process"))
        return cls(cpu, gpu, services, tuple(evidence))


def _classify(code: Code, seen: _Seen, unchanged: Evidence | None) -> Route:
    name, method, evidence = _by_code(code)
    if unchanged is not None:
        return Route("prompt/format only", "", "seen", (unchanged, *code.of("format")))
    if name in _TAUGHT and not seen.worked:
        told = Evidence("the code trains, but no time was spent on it", "process")
        return Route("placeholder/missing", "", "seen", (told, *seen.evidence, *evidence[:3]))
    evidence = [*evidence[:_MOST_EVIDENCE], *code.runs[:2], *seen.evidence]
    certainty: Certainty = "code"
    if name == "placeholder/missing":
        certainty = "guess"
        why = "no code that is reached trains anything"
        if evidence:
            why = _UNKNOWN
        elif code.empty:
            why = "no code was recorded"
        evidence = [Evidence(why, "revisions.git"), *evidence]
    elif code.runs and not code.told and (seen.worked or name not in _TAUGHT):
        certainty = "seen"
    dynamic = code.of("dynamic")
    if dynamic:
        what = "runs code that cannot be read"
        evidence.append(Evidence(what, dynamic[0].where, dynamic[0].quote))
    return Route(name, method, certainty, tuple(evidence))


def _by_code(code: Code) -> tuple[RouteName, str, list[Evidence]]:
    """Return route, method of RL, and evidence, from code alone."""
    trains = bool(code.of("optimizer")) and bool(code.of("backward"))
    rl = {method: code.of(method) for method in _METHODS if code.of(method)}
    if trains and code.of("policy gradient"):
        by_hand = code.of("policy gradient", "ratio", "group mean")
        if code.of("ratio"):
            method = "GRPO" if code.of("group mean") else "PPO"
        else:
            method = "GRPO" if code.of("group mean") else "REINFORCE"
        rl.setdefault(method, by_hand)
    if trains and code.of("pairs"):
        rl.setdefault("DPO", code.of("pairs"))
    sft = code.of("SFT")
    losses = code.of("cross entropy", "token losses", "likelihood")
    if trains and losses:
        sft = [*sft, *losses, *code.of("optimizer")[:1]]
    if rl:
        method = next(method for method in _METHODS if method in rl)
        extra = code.of("generate", "environment", "service")[:3]
        evidence = [part for found in rl.values() for part in found]
        if sft:
            return "SFT+RL", method, [*sft[:4], *evidence, *extra]
        return "RL", method, [*evidence, *extra]
    if sft and code.of("filter"):
        return "rejection sampling", "", [*code.of("filter"), *sft[:4], *code.of("generate")[:2]]
    if sft and code.of("best of n"):
        return "best-of-n distillation", "", [*code.of("best of n"), *sft[:4]]
    if sft:
        return "SFT", "", sft
    if trains:
        return "placeholder/missing", "", code.of("optimizer", "backward")
    if code.of("noise", "fresh model") and not code.of("load", "optimizer", "backward"):
        return "random", "", code.of("noise", "fresh model")
    if code.of("copy"):
        return "copy", "", code.of("copy")
    if code.of("format"):
        return "prompt/format only", "", code.of("format")
    return "placeholder/missing", "", []


def compliance_of(mode: str, routes: Sequence[Route]) -> Compliance:
    """Return whether an agent kept to its mode.

    In mode ``sft`` nothing may learn from rewards; in mode ``rl`` nothing from demonstrations.
    Filtering one's own samples by reward, and learning from those, is a use of rewards.

    Args:
        mode: ``free``, ``sft`` or ``rl``.
        routes: of the submissions, and of the run.
    """
    forbidden = {
        "sft": ("RL", "SFT+RL", "rejection sampling", "best-of-n distillation"),
        "rl": ("SFT", "SFT+RL"),
    }.get(mode, ())
    against = [
        Evidence(f"{route.label}, {part.what}", part.where, part.quote)
        for route in routes
        if route.name in forbidden
        for part in route.evidence[:2]
    ]
    if not forbidden or against:
        kept: bool | None = not against
    else:
        kept = True if any(route.name in _TAUGHT for route in routes) else None
    return Compliance(mode, kept, tuple(dict.fromkeys(against))[:_MOST_EVIDENCE])
