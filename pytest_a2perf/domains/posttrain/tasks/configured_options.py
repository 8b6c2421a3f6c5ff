"""What the tasks with a user's own models and data may be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from pytest_a2perf.domains.posttrain.proxy.options import LlmOptions, UpstreamOptions
from pytest_a2perf.scenarios.models import Strict

__all__ = ["BackendOptions", "ConfiguredOptions", "JudgeOptions", "path_of"]


class BackendOptions(Strict):
    """How a submitted model is made to speak: by a command, or by a server that a command starts.

    In commands ``{artefact}``, ``{seed}`` and, for servers, ``{port}`` are filled in.
    """

    generate: tuple[str, ...] = Field(
        (), description="reads a request a line from stdin, writes a reply a line to stdout"
    )
    serve: tuple[str, ...] = Field(
        (), description="starts a server with OpenAI's interface, in the evaluator's sandbox"
    )
    url: str = Field("http://127.0.0.1:{port}/v1", description="of that server")
    model: str = Field("{artefact}", description="that the server is asked for")
    interface: Literal["chat", "completions"] = "chat"
    system: str = Field("", description="message before each prompt, for chat")
    max_tokens: int = Field(512, ge=1)
    temperature: float = Field(0.0, ge=0)
    at_once: int = Field(16, ge=1, description="requests to the server")
    starting: float = Field(900.0, gt=0, description="seconds until the server must answer")
    timeout: float = Field(3600.0, gt=0, description="seconds for all replies")

    @model_validator(mode="after")
    def _is_one(self) -> Self:
        if bool(self.generate) == bool(self.serve):
            raise ValueError(
                "give either generate or serve; a server that runs already does not serve what is "
                "submitted"
            )
        if "{artefact}" not in " ".join((*self.generate, *self.serve)):
            raise ValueError("the command must name {artefact}, the folder of what is submitted")
        return self


class JudgeOptions(Strict):
    """A language model that judges; it is asked through the proxy, so that its key stays outside.

    ``upstream`` lists the models that may be asked, ``model`` is the one that is.
    """

    upstream: UpstreamOptions
    model: str
    repeats: int = Field(1, ge=1, le=32, description="judgements of an item, in either order")
    at_once: int = Field(8, ge=1, le=64)
    dollars: float | None = Field(None, gt=0, description="of a run's judgements")
    tokens: int | None = Field(None, ge=1, description="of a run's judgements")
    failures: float = Field(0.05, ge=0, le=1, description="share that may fail, and count as lost")

    @model_validator(mode="after")
    def _is_served(self) -> Self:
        if not self.upstream.serves(self.model):
            raise ValueError(f"{self.model!r} is not among upstream.models")
        return self

    def llm(self) -> LlmOptions:
        """Return what the judge's proxy is told."""
        return LlmOptions(
            upstreams=(self.upstream,),
            at_once=self.at_once,
            dollars=self.dollars,
            tokens=self.tokens,
        )


class ConfiguredOptions(Strict):
    """What scenarios may set for any of these tasks. Paths are of the host."""

    base_model: str = Field(description="folder of the base model")
    base_name: str = Field("", description="as agents see it; default: the folder's name")
    train: str | None = Field(None, description="file or folder that agents see")
    hidden: str | None = Field(None, description="test data, which is split")
    public: str | None = Field(None, description="test data of the public split, instead")
    private: str | None = Field(None, description="test data of the private split")
    splits: Literal["disjoint", "upstream"] = Field(
        "disjoint", description="'upstream': both splits are all test data, as published"
    )
    public_share: float = Field(0.3, gt=0, lt=1, description="of test data that is split")
    seed: int = Field(0, ge=0, description="of the split")
    backend: BackendOptions | None = None
    evaluator: tuple[str, ...] = Field((), description="command that evaluates, instead of ours")
    judge: JudgeOptions | None = None
    resources: tuple[str, ...] = Field(
        (), description="files and folders that the evaluator sees at their own paths, read-only"
    )
    gpus: tuple[str, ...] = Field((), description="that evaluations may use")
    devices: tuple[str, ...] = Field((), description="device files for them, e.g. /dev/nvidia0")
    env: dict[str, str] = Field(default_factory=dict, description="of the evaluator")
    network: bool = Field(False, description="whether the evaluator reaches the network")
    wall: float = Field(7200.0, gt=0, description="seconds of an evaluation")
    memory: int | None = Field(None, ge=1, description="bytes of an evaluation")
    processes: int = Field(1024, ge=1, description="of an evaluation, at once")
    largest: int | None = Field(None, ge=1, description="bytes of a submission; default: 1.5 bases")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if (self.public is None) != (self.private is None):
            raise ValueError("public and private go together")
        if self.public is not None and self.hidden is not None:
            raise ValueError("give either hidden, or public and private")
        if self.public is not None and path_of(self.public) == path_of(str(self.private)):
            raise ValueError("public and private are the same: use hidden, and splits = 'upstream'")
        if self.evaluator and self.backend:
            raise ValueError(
                "give either backend, for the evaluator that comes along, or evaluator"
            )
        return self


def path_of(text: str) -> Path:
    """Return a path of the host that a scenario names."""
    return Path(text).expanduser().absolute()
