"""Which of an agent's scripts were run, as far as processes, shell scripts and output tell."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_a2perf.domains.posttrain.report.data import Evidence
from pytest_a2perf.domains.posttrain.report.modules import Module, by_name
from pytest_a2perf.domains.posttrain.report.shell import Started, shell_lines, started
from pytest_a2perf.domains.posttrain.report.signs import Sign

__all__ = ["Scripts", "find_scripts"]

_COPY = r"\bcp\s+(-\w+\s+){0,8}"
_SWIFT = r"\bswift(\s+|/cli/)rlhf\b"
_VERL = r"\bverl\.trainer\.main_ppo\b"
_OPENRLHF = r"\bopenrlhf\.cli\.train_ppo(_ray)?\b"
_ADVANTAGE = r"\badvantage_estimator[=\s]+[\"']?"
# A command is of the first kind of reinforcement learning of which it has all words.
_TRAINERS: tuple[tuple[str, tuple[re.Pattern[str], ...]], ...] = tuple(
    (kind, tuple(map(re.compile, patterns)))
    for kind, *patterns in (
        ("GRPO", r"\b(trl(\s+|/scripts/)grpo|verl\.trainer\.main_grpo|stage:\s*grpo)\b"),
        ("GRPO", _VERL, r"\badv_estimator=[\"']?grpo"),
        ("GRPO", _OPENRLHF, _ADVANTAGE + r"(group_norm|dr_grpo)\b"),
        ("GRPO", _SWIFT, r"--rlhf_type[=\s]+grpo\b"),
        ("REINFORCE", r"\btrl(\s+|/scripts/)rloo\b"),
        ("REINFORCE", _VERL, r"\badv_estimator=[\"']?(reinforce|rloo|remax|opo|gpg)"),
        ("REINFORCE", _OPENRLHF, _ADVANTAGE + r"(reinforce|rloo)"),
        ("PPO", r"\b(trl(\s+|/scripts/)ppo|stage:\s*ppo)\b"),
        ("PPO", _VERL),
        ("PPO", _OPENRLHF),
        ("PPO", _SWIFT, r"--rlhf_type[=\s]+ppo\b"),
        ("DPO", r"\b(trl(\s+|/scripts/)(dpo|kto|orpo)|stage:\s*(dpo|kto))\b"),
        ("DPO", r"\bopenrlhf\.cli\.train_(dpo|kto)\b"),
        ("DPO", _SWIFT, r"--rlhf_type[=\s]+(dpo|kto|orpo|cpo|simpo)\b"),
        ("SFT", r"\b(trl(\s+|/scripts/)sft|stage:\s*(sft|pt))\b"),
        ("SFT", r"\bllamafactory-cli\s+train\b", r"\bsft"),
        ("SFT", r"\b(verl\.trainer\.(fsdp_)?sft_trainer|openrlhf\.cli\.train_sft)\b"),
        ("SFT", r"\bswift(\s+|/cli/)(sft|pt)\b"),
        ("copy", _COPY + r"[\"']?\$\{?(MODEL_PATH|BASE_MODEL)"),
        ("copy", _COPY + r"\S*models/"),
    )
)
_RL = ("GRPO", "PPO", "DPO", "REINFORCE")
_MOST_LOG_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Scripts:
    """What is run.

    Attributes:
        paths: Python files that are taken to be run.
        evidence: where that is seen, and where commands that train are.
        told: whether nothing but the agent's own output shows it.
        signs: of command lines that train or copy.
    """

    paths: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    told: bool
    signs: tuple[Sign, ...]


def find_scripts(
    modules: Mapping[str, Module],
    shells: Mapping[str, str],
    log: Sequence[str],
    commands: Sequence[str] = (),
) -> Scripts:
    """Find out which Python files are run.

    Those that were seen as processes, that a shell script runs by name, or that stand inside of
    one; if there are none, nor commands that train, those that the agent's output names; if there
    are none either, each that no other file imports.

    Args:
        modules: by path.
        shells: shell scripts and configurations of trainers, by path.
        log: lines of the agent's output.
        commands: command lines of processes.
    """
    names = _Names(modules)
    seen: dict[str, Evidence] = {}
    training: list[Evidence] = []
    signs: list[Sign] = []
    for where, line in (*(("process", line) for line in commands), *shell_lines(shells)):
        names.look(seen, where, line)
        kinds = list(_kinds(line))
        quote = line.strip()[:160]
        signs += [Sign(kind, Evidence(f"a command for {kind}", where, quote)) for kind in kinds]
        runs = not where.partition(":")[0].endswith((".yaml", ".yml"))  # those are settings only
        if runs and set(kinds) - {"copy"}:
            training.append(Evidence("trains", where, quote))
    inside = [path for path in modules if "!" in path]
    for path in inside:
        where = "process" if path.startswith("process!") else path.replace("!", ":").rstrip("c")
        seen.setdefault(path, Evidence("is part of it", where))
    # `python -c` often only looks something up: alone it does not say which files are run.
    if training or any(not path.endswith("c") or names.imported_by(modules[path]) for path in seen):
        return Scripts(tuple(seen), (*seen.values(), *training), told=False, signs=tuple(signs))
    for number, line in enumerate(log[:_MOST_LOG_LINES], 1):
        if ".py" in line or "-m" in line:
            names.look(seen, f"agent.log:{number}", line)
    told = len(seen) > len(inside)
    paths = seen if told else (*inside, *_not_imported(modules))
    return Scripts(tuple(paths), tuple(seen.values()) if told else (), told, tuple(signs))


def _kinds(line: str) -> Iterator[str]:
    """Yield what a command does, of methods of reinforcement learning the first one only."""
    methods = 0
    for kind, patterns in _TRAINERS:
        if all(pattern.search(line) for pattern in patterns):
            methods += kind in _RL
            if kind not in _RL or methods == 1:
                yield kind


class _Names:
    """Files by the names under which commands and imports know them."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self._dotted = by_name(modules)
        self._files: dict[str, list[str]] = {}
        self._known: dict[Started, Sequence[str]] = {}
        for path in modules:
            self._files.setdefault(PurePosixPath(path).name, []).append(path)

    def look(self, seen: dict[str, Evidence], where: str, line: str) -> None:
        """Add the files that a command line starts."""
        for one in started(line):
            if one not in self._known:
                self._known[one] = self._matching(one)
            for path in self._known[one]:
                seen.setdefault(path, Evidence("runs it", where, line.strip()[:160]))

    def imported_by(self, module: Module) -> bool:
        """Return whether a file imports another one of these."""
        return any(
            name in self._dotted
            for origin in module.aliases.values()
            for name in (origin, origin.rpartition(".")[0])
        )

    def _matching(self, one: Started) -> Sequence[str]:
        """Return the paths that a command may mean: those that agree in most of their folders."""
        if one.module:
            main = self._dotted.get(f"{one.module}.__main__", [])
            return [*main, *self._dotted.get(one.module, [])]
        wanted = PurePosixPath(one.script)
        paths = self._files.get(wanted.name, ())
        return [path for path in paths if str(wanted).endswith(path)] or paths


def _not_imported(modules: Mapping[str, Module]) -> Iterator[str]:
    imported = {
        part
        for module in modules.values()
        for origin in module.aliases.values()
        for part in (origin, origin.rpartition(".")[0])
    }
    for path in modules:
        name = ".".join(PurePosixPath(path).with_suffix("").parts)
        stem = PurePosixPath(path).stem
        if "!" not in path and stem not in imported and name not in imported:
            yield path
