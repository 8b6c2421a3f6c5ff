"""What the reference server does, as options of its command line."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Self

from pytest_a2perf.errors import A2PerfError

__all__ = ["IGNORE_EOS", "ServerOptions"]

IGNORE_EOS = ("honoured", "unheeded", "refused")
"""What becomes of ``ignore_eos`` and ``min_tokens``: done; passed over; answered by 400."""


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


def _share(text: str) -> Any:
    return field(default=0.0, metadata={"help": f"share of requests (0 to 1) {text}"})


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """All that can be chosen; the help of the command line says what each means.

    The time between chunks is ``itl + itl_per_stream * n``, times ``n / capacity`` where that is
    above 1, with n the requests in service (queued ones are not). The first token comes ``ttft``
    after a request is admitted, and ``prompt tokens that are not cached / prefill_rate`` later.

    Raises:
        A2PerfError: a value makes no sense.
    """

    host: str = _option("127.0.0.1", "address to bind to")
    port: int = _option(0, "0: any free one")
    model: str = _option("reference", "name that /v1/models gives; requests may carry any")
    max_model_len: int = _option(131_072, "tokens of prompt and reply; longer prompts get a 400")
    key_env: str = _option("", "environment variable with the key that requests must carry")
    log: str = _option("", "file of one JSON line a request: what truly happened")
    seed: int = _option(0, "decides jitter and which requests go wrong")

    ttft: float = _option(0.2, "seconds from admission to the first token")
    itl: float = _option(0.01, "seconds between chunks")
    tokens: int = _option(100, "length of replies that nobody limits")
    jitter: float = _option(0.0, "every wait varies evenly by this share, up and down")
    prefill_rate: float = _option(0.0, "uncached prompt tokens a second; 0: at once")
    itl_per_stream: float = _option(0.0, "seconds that each request in service adds")
    capacity: float = _option(0.0, "requests in service above which chunks slow down; 0: none")
    slots: int = _option(0, "requests in service at once, others queue; 0: any number")

    cache: int = _option(0, "tokens that the prefix cache holds; 0: there is none")
    cache_block: int = _option(64, "tokens of a block of the prefix cache")

    tokens_per_chunk: int = _option(1, "of every chunk but the first, as speculation makes them")
    reasoning: float = _option(0.0, "share of each reply that is reasoning")
    tool_calls: float = _share("whose reply is a call of the first tool that they declare")
    early_role: bool = _option(False, "send headers and a chunk without text upon admission")
    ignore_eos: str = _option("honoured", f"what becomes of ignore_eos: {', '.join(IGNORE_EOS)}")

    fail_rate: float = _share("that are answered by --status")
    status: int = _option(500, "of those that fail")
    hang: float = _share("that fall silent after --fault-after tokens")
    cut: float = _share("whose connection is closed after --fault-after tokens")
    malformed: float = _share("with an event that is no JSON after --fault-after tokens")
    error_in_stream: float = _share("with an error event after --fault-after tokens")
    fault_after: int = _option(5, "tokens (or all there are) that come before a reply goes wrong")
    no_usage: float = _share("whose reply does not tell its usage")
    refuse_streaming: float = _share("for a stream that are answered by 400")

    until_stdin_closes: bool = _option(False, "end when standard input does")

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for name in ("ttft", "itl", "prefill_rate", "itl_per_stream", "capacity", "slots", "cache"):
            if not 0 <= getattr(self, name) < math.inf:
                raise A2PerfError(f"reference server: {name} must be a number, 0 or more")
        for name in ("tokens", "cache_block", "tokens_per_chunk", "max_model_len", "fault_after"):
            if not getattr(self, name) >= 1:
                raise A2PerfError(f"reference server: {name} must be 1 or more")
        shares = [one.name for one in fields(self) if "share of" in one.metadata["help"]]
        for name in [*shares, "jitter"]:
            if not 0 <= getattr(self, name) <= 1:
                raise A2PerfError(f"reference server: {name} must lie between 0 and 1")
        if self.fail_rate + self.hang + self.cut + self.malformed + self.error_in_stream > 1:
            raise A2PerfError("reference server: the shares that go wrong exceed 1 together")
        if not 400 <= self.status <= 599:
            raise A2PerfError("reference server: status must be an HTTP error, 400 to 599")
        if self.ignore_eos not in IGNORE_EOS:
            raise A2PerfError(f"reference server: ignore_eos is one of {', '.join(IGNORE_EOS)}")

    @classmethod
    def from_command_line(cls, arguments: Sequence[str] | None = None) -> Self:
        """Read options like ``--itl 0.02``.

        Raises:
            SystemExit: they cannot be read.
        """
        parser = argparse.ArgumentParser(
            prog="python -m pytest_a2perf.domains.serving.server",
            description="An inference server without a model, whose times are exactly known.",
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )
        for one in fields(cls):
            assert one.default is not MISSING
            flag = "--" + one.name.replace("_", "-")
            text = one.metadata["help"]
            if isinstance(one.default, bool):
                parser.add_argument(flag, action="store_true", help=text)
            else:
                kind = type(one.default)
                parser.add_argument(flag, type=kind, default=one.default, help=text)
        chosen = vars(parser.parse_args(arguments))
        try:
            return cls(**chosen)
        except A2PerfError as error:
            parser.error(str(error))

    def to_command_line(self) -> list[str]:
        """Return the flags that differ from the defaults."""
        flags = []
        for one in fields(self):
            value = getattr(self, one.name)
            if value != one.default:
                flags.append("--" + one.name.replace("_", "-"))
                flags += [] if isinstance(value, bool) else [str(value)]
        return flags
