"""What the proxy of language models may be told."""

from __future__ import annotations

import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pytest_a2perf.errors import InfraError
from pytest_a2perf.scenarios.models import Strict

__all__ = ["LlmOptions", "PriceOptions", "UpstreamOptions", "keys_of"]


class PriceOptions(Strict):
    """Dollars for a million tokens."""

    input: float = Field(ge=0)
    output: float = Field(ge=0)
    cached: float | None = Field(None, ge=0, description="read from a cache; default: as input")
    written: float | None = Field(None, ge=0, description="written to a cache; default: as input")


class UpstreamOptions(Strict):
    """A server of language models, and what of it may be used."""

    url: str = Field(description="what stands for /v1, e.g. https://api.openai.com/v1")
    models: tuple[str, ...] = Field(
        min_length=1, description="names that may be asked for; * stands for anything"
    )
    key_env: str = Field("", description="variable of the host that holds the key; '': no key")
    auth: Literal["auto", "bearer", "x-api-key"] = Field(
        "auto", description="header of the key; auto: x-api-key for Anthropic's interface"
    )
    prices: PriceOptions | None = Field(None, description="default: litellm's, if it knows any")

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"expected a URL such as https://host/v1: {url!r}")
        if parts.query or parts.fragment or parts.username or parts.password:
            raise ValueError("a URL here has neither query nor user: name the key by key_env")
        return url.rstrip("/")

    def serves(self, model: str) -> bool:
        """Return whether a model may be asked for here."""
        return any(fnmatchcase(model, pattern) for pattern in self.models)


class LlmOptions(Strict):
    """Which language models an agent may ask, and how much."""

    upstreams: tuple[UpstreamOptions, ...] = Field(min_length=1)
    tokens: int | None = Field(None, ge=1, description="of all calls, in and out")
    dollars: float | None = Field(None, gt=0, description="of all calls")
    at_once: int = Field(4, ge=1, le=64, description="calls; others wait")
    stall: float = Field(600.0, gt=0, description="seconds of silence after which a call fails")
    longest: float = Field(3600.0, gt=0, description="seconds of a call")
    server_tools: bool = Field(
        False,
        description="whether models may use tools of their provider, such as its web search: with"
        " them the agent has a network after all",
    )

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        names = [name for upstream in self.upstreams for name in upstream.models]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{', '.join(twice)}: listed for more than one upstream")
        return self

    def upstream_of(self, model: str) -> UpstreamOptions | None:
        """Return the first upstream that serves a model."""
        return next((one for one in self.upstreams if one.serves(model)), None)

    def names(self) -> list[str]:
        """Return the models that may be asked for, as they are listed."""
        return [name for upstream in self.upstreams for name in upstream.models]


def keys_of(options: LlmOptions, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the keys by the names of their variables.

    Raises:
        InfraError: one is not set.
    """
    names = {one.key_env for one in options.upstreams if one.key_env}
    if missing := sorted(name for name in names if not environ.get(name, "").strip()):
        raise InfraError(
            f"llm.upstreams: key_env names {', '.join(missing)}, which the environment lacks"
        )
    return {name: environ[name].strip() for name in names}
