"""Command-line coding agents: how they are started without anybody at the keyboard.

The arguments are those of the agents' own documentation (headless, print or exec mode, events as
JSON lines); they change, so a scenario may give a ``command`` of its own. These agents run in the
box like any other, so their own sandboxes and questions are switched off where they can be.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pytest_a2perf.domains.posttrain.agents.agent import Agent, AgentOptions, Surroundings
from pytest_a2perf.domains.posttrain.sandbox.system import SYSTEM, python_folders
from pytest_a2perf.domains.posttrain.workspace.instructions import PROMPT, guide
from pytest_a2perf.domains.posttrain.workspace.names import LLM_PORT, WORKSPACE
from pytest_a2perf.errors import AgentError
from pytest_a2perf.suggest import did_you_mean

__all__ = ["ADAPTERS", "Adapter", "cli_agent"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """How a coding agent is started.

    Attributes:
        command: argument list with placeholders, see `AgentOptions.command`; ``{options}`` is where
            the two that follow belong.
        model: arguments, if a model is given.
        proxied: arguments, if language models are reached through the proxy.
        keys: variables with keys, of which one must be passed on where there is no proxy.
        env: always set, unless empty.
        proxied_env: set with a proxy, which holds the real key.
    """

    command: tuple[str, ...] = ()
    model: tuple[str, ...] = ("--model", "{model}")
    proxied: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    proxied_env: Mapping[str, str] = field(default_factory=dict)


_CODEX_PROVIDER = '{name="a2perf", base_url="{llm}/v1", env_key="OPENAI_API_KEY"}'
_OPENCODE_CONFIG = (
    '{"provider": {"openai": {"options": {"baseURL": "{llm}/v1"}}, '
    '"anthropic": {"options": {"baseURL": "{llm}/v1"}}}}'
)

ADAPTERS: Mapping[str, Adapter] = {
    "claude": Adapter(
        command=(
            *("claude", "{options}", "--print", "--verbose", "--output-format", "stream-json"),
            *("--dangerously-skip-permissions", "{prompt}"),
        ),
        keys=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"),
        env={"DISABLE_AUTOUPDATER": "1", "BASH_MAX_TIMEOUT_MS": "36000000"},
        proxied_env={"ANTHROPIC_BASE_URL": "{llm}", "ANTHROPIC_API_KEY": "proxied"},
    ),
    "codex": Adapter(
        command=(
            *("codex", "exec", "{options}", "--json", "--skip-git-repo-check"),
            *("--dangerously-bypass-approvals-and-sandbox", "-C", "{workspace}", "{prompt}"),
        ),
        proxied=(
            *("-c", 'model_provider="a2perf"'),
            *("-c", f"model_providers.a2perf={_CODEX_PROVIDER}"),
        ),
        keys=("CODEX_API_KEY", "OPENAI_API_KEY"),
        proxied_env={"OPENAI_API_KEY": "proxied"},
    ),
    "gemini": Adapter(
        command=(
            *("gemini", "{options}", "--approval-mode", "yolo", "--output-format", "stream-json"),
            *("--prompt", "{prompt}"),
        ),
        keys=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        env={"GEMINI_SANDBOX": "false"},
        proxied_env={"GOOGLE_GEMINI_BASE_URL": "{llm}", "GEMINI_API_KEY": "proxied"},
    ),
    "opencode": Adapter(
        command=("opencode", "run", "{options}", "--format", "json", "{prompt}"),
        keys=("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"),
        env={"OPENCODE_DISABLE_AUTOUPDATE": "true"},
        proxied_env={
            "OPENAI_API_KEY": "proxied",
            "ANTHROPIC_API_KEY": "proxied",
            "OPENCODE_CONFIG_CONTENT": _OPENCODE_CONFIG,
        },
    ),
    "openhands": Adapter(
        command=("openhands", "--headless", "--json", "--override-with-envs", "-t", "{prompt}"),
        keys=("LLM_API_KEY",),
        env={"LLM_MODEL": "{model}"},
        proxied_env={"LLM_BASE_URL": "{llm}", "LLM_API_KEY": "proxied"},
    ),
}
"""By name: a scenario's agent is ``cli:NAME``."""

_PLACEHOLDER = re.compile(r"\{(prompt|workspace|model|llm)\}")


def cli_agent(spec: str, options: AgentOptions, around: Surroundings) -> Agent:
    """Return the coding agent ``cli:NAME``.

    Args:
        spec: as the scenario has it; with a ``command`` of its own, NAME may be any.
        options: of the scenario.
        around: see `Surroundings`.

    Raises:
        AgentError: it is not known, not installed, not visible inside, or cannot reach a model.
    """
    name = spec.partition(":")[2]
    if name not in ADAPTERS and not options.command:
        raise AgentError(
            f"agent {spec!r}: there is no adapter {name!r}{did_you_mean(name, ADAPTERS)}; "
            "or give agent_options.command"
        )
    adapter = ADAPTERS.get(name, Adapter())
    _check_reach(spec, adapter, around)
    words = {
        "prompt": options.prompt or PROMPT.replace("{workspace}", WORKSPACE),
        "workspace": WORKSPACE,
        "model": options.model,
        "llm": f"http://127.0.0.1:{LLM_PORT}",
    }

    def filled(text: str) -> str:
        return _PLACEHOLDER.sub(lambda found: words[found[1]], text)

    env = {**adapter.env, **(adapter.proxied_env if around.proxied else {})}
    settings = (
        *(adapter.proxied if around.proxied else ()),
        *(adapter.model if options.model else ()),
    )
    command: list[str] = []
    for part in options.command or adapter.command:
        command += settings if part == "{options}" else [part]
    agent = Agent(
        name=spec,
        command=tuple(map(filled, command)),
        env={key: text for key, value in env.items() if (text := filled(value))},
        driver=options.driver or options.model,
        description=f"coding agent {name}",
        documents={"AGENTS.md": guide(), "CLAUDE.md": guide()},
    )
    return _with_program(agent.with_paths(options.paths, around.root))


def _check_reach(spec: str, adapter: Adapter, around: Surroundings) -> None:
    if around.proxied:
        return
    if not around.network:
        raise AgentError(
            f"agent {spec!r} needs its language model: set options.llm (a proxy of the harness, "
            "which keeps the key and counts tokens), or allow options.network"
        )
    if adapter.keys and not set(adapter.keys) & set(around.pass_env):
        raise AgentError(
            f"agent {spec!r} needs a key: list {' or '.join(adapter.keys)} in pass_env"
        )


def _with_program(agent: Agent) -> Agent:
    """Check that the program is there, and seen inside.

    Raises:
        AgentError: it is not.
    """
    program = agent.command[0]
    listed = [mount.source for mount in agent.mounts]
    search = [str(path if path.is_dir() else path.parent) for path in listed]
    found = shutil.which(program, path=":".join(search)) if search else None
    extra = (str(Path(found).parent),) if found else ()
    found = found or shutil.which(program)
    if found is None:
        raise AgentError(
            f"agent {agent.name!r}: there is no program {program!r} on the PATH: install it, or "
            "name its folder in agent_options.paths"
        )
    seen = [*map(Path, SYSTEM), *python_folders(), *listed]
    for path in (Path(found), Path(found).resolve()):
        if not any(path.is_relative_to(folder) for folder in seen):
            raise AgentError(
                f"agent {agent.name!r}: {path} is not seen inside the sandbox: name its folder in "
                "agent_options.paths"
            )
    return replace(agent, path=(*agent.path, *extra))
