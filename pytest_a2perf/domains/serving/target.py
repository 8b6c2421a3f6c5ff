"""From the agent that a scenario names to an endpoint that answers."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from pytest_a2perf.domains.serving.client.endpoint import Api, Endpoint
from pytest_a2perf.domains.serving.shipped import REFERENCE
from pytest_a2perf.domains.serving.system.options import SystemOptions
from pytest_a2perf.errors import A2PerfError, InfraError
from pytest_a2perf.llm.secrets import is_secret, shown_url
from pytest_a2perf.scenarios.models import Strict
from pytest_a2perf.suggest import did_you_mean

if TYPE_CHECKING:
    from pytest_a2perf.scenarios.models import Scenario
    from pytest_a2perf.trials.trial import Trial

__all__ = [
    "LITELLM",
    "EndpointOptions",
    "described",
    "open_endpoint",
    "system_of",
    "wrong_with_agent",
]

LITELLM = "litellm:"
_OURS = ("host", "port", "log", "until_stdin_closes")  # options of the server that trials set


class EndpointOptions(Strict):
    """What ``agent_options`` may say of an endpoint."""

    model: str = Field("", description="name that requests carry; default: the one it serves")
    api: Api = Field("chat", description="interface of OpenAI's that it speaks")
    key_env: str = Field("", description="environment variable that holds the key")
    headers: dict[str, str] = Field(
        default_factory=dict, description="further headers, without secrets"
    )
    sampling: dict[str, Any] = Field(
        default_factory=dict, description="further members of each request, e.g. temperature"
    )
    api_base: str = Field("", description="for 'litellm:': base URL, if not the provider's")


def wrong_with_agent(scenario: Scenario) -> list[tuple[str, str]]:
    """Return ``(key, message)`` for whatever is wrong with the agent and its options."""
    from pydantic import ValidationError

    from pytest_a2perf.scenarios.load import describe_errors

    agent = scenario.agent
    if agent == REFERENCE:
        return _wrong_with_server(scenario.agent_options)
    parts = urlsplit(agent)
    if not agent.startswith(LITELLM) and not (parts.scheme in ("http", "https") and parts.netloc):
        expected = (
            f"'http://localhost:8000/v1', 'litellm:MODEL', or {REFERENCE!r}, which comes along"
        )
        return [("agent", f"expected an endpoint: {expected}; got {agent!r}")]
    try:
        options = EndpointOptions.model_validate(scenario.agent_options)
    except ValidationError as error:
        found = describe_errors(error, EndpointOptions, scenario.agent_options)
        return [(".".join(("agent_options", *map(str, path))), text) for path, text in found]
    problems = []
    if parts.username or parts.password or parts.query:
        problems.append(("agent", "a URL with a key in it; name its variable in key_env instead"))
    problems += [
        (f"agent_options.headers.{name}", "carries a key; use key_env, which is not recorded")
        for name in options.headers
        if is_secret(name) or name.lower() in ("authorization", "cookie")
    ]
    if agent.startswith(LITELLM) and options.model:
        problems.append(("agent_options.model", "stands in the agent already"))
    if not agent.startswith(LITELLM) and (options.api == "litellm" or options.api_base):
        problems.append(("agent_options", "needs agent = 'litellm:MODEL'"))
    return problems


def _wrong_with_server(options: Mapping[str, Any]) -> list[tuple[str, str]]:
    from dataclasses import fields

    from pytest_a2perf.domains.serving.server.options import ServerOptions

    names = [one.name for one in fields(ServerOptions) if one.name not in _OURS]
    if unknown := [name for name in options if name not in names]:
        return [
            (f"agent_options.{name}", f"unknown option {name!r}{did_you_mean(name, names)}")
            for name in unknown
        ]
    try:
        ServerOptions(**options)
    except (A2PerfError, TypeError) as error:
        return [("agent_options", str(error))]
    return []


def open_endpoint(trial: Trial, stack: contextlib.ExitStack) -> Endpoint:
    """Return the endpoint of a trial, started if it is the one that comes along.

    Raises:
        InfraError: it cannot be started, or its key is missing.
    """
    scenario = trial.scenario
    if scenario.agent == REFERENCE:
        from pytest_a2perf.domains.serving.server.launch import reference_server

        options = {"seed": trial.seed, **scenario.agent_options}
        server = stack.enter_context(
            reference_server(log=str(trial.folder / "server.jsonl"), **options)
        )
        return Endpoint(server.url, "reference")
    given = EndpointOptions.model_validate(scenario.agent_options)
    if given.key_env and not os.environ.get(given.key_env):
        raise InfraError(f"the endpoint's key is missing: set the variable {given.key_env}")
    url, model, api = scenario.agent, given.model, given.api
    if url.startswith(LITELLM):
        url, model, api = given.api_base, url.removeprefix(LITELLM), "litellm"
    return Endpoint(url, model, api, given.key_env, given.headers, given.sampling)


def described(endpoint: Endpoint) -> dict[str, Any]:
    """Return what a record says of an endpoint: no keys, and no values of headers."""
    return {
        "url": shown_url(endpoint.url),
        "model": endpoint.model,
        "api": endpoint.api,
        "headers": sorted(endpoint.headers),
        "sampling": endpoint.sampling,
        "ignore_eos": endpoint.ignore_eos,
    }


def system_of(scenario: Scenario) -> SystemOptions | None:
    """Return what is said of the system behind the endpoint, if anything is."""
    return SystemOptions.model_validate(scenario.system) if scenario.system else None
