"""Noise: tools that fail, tools by other names, and news that have nothing to do with the task."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_a2perf.domains.assistant.apps.app import App
from pytest_a2perf.domains.assistant.apps.state import at
from pytest_a2perf.domains.assistant.apps.tools import Tool
from pytest_a2perf.domains.assistant.errors import ToolError, TraceError
from pytest_a2perf.domains.assistant.trace.models import Augmentation
from pytest_a2perf.domains.assistant.world.queue import Planned

__all__ = ["Failures", "Noise"]

_SPARED = ("AgentUserInterface", "SystemApp")
_TAG = "env_expansion"
"""In the ids of noise; ARE's judge knows it by that."""
_HORIZON = 360.0
"""Seconds over which events are spread where a world has no end."""
_MESSAGES_PER_CONVERSATION = 4
_ITEMS_PER_PRODUCT = 2
_OF_APARTMENTS = {
    "bedrooms": "number_of_bedrooms", "bathrooms": "number_of_bathrooms",
    "apartment_id": None, "saved": None,
}  # fmt: skip
"""What the state of an apartment calls otherwise than the function that adds one, or not at all."""


@dataclass(frozen=True)
class Noise:
    """What disturbs agents. ARE's benchmark takes the defaults.

    Unlike in ARE, calls to `AgentUserInterface` and `SystemApp` never fail, as an agent that cannot
    answer can do nothing about it, and the same seeds give the same noise in every process.

    Attributes:
        failures: probability that a call of the agent's fails.
        renames: whether tools get the names and descriptions that the scenario has for that.
        events_per_minute: how many events the world adds, as far as the scenario has data for them.
        seed: of all that is drawn.
    """

    failures: float = 0.1
    renames: bool = True
    events_per_minute: float = 10.0
    seed: int = 0

    def renamed(self, tools: Iterable[Tool], augmentation: Augmentation | None) -> Iterator[Tool]:
        """Yield the tools as agents see them.

        Raises:
            TraceError: two of them would have the same name.
        """
        names = (augmentation and augmentation.tool_names_mapping) or {}
        words = (augmentation and augmentation.tool_descriptions_mapping) or {}
        seen: dict[str, str] = {}
        for tool in tools:
            given = tool
            if self.renames and tool.app.app_class not in _SPARED:
                given = dataclasses.replace(
                    tool,
                    name=names.get(tool.name, tool.name),
                    description=words.get(tool.name, tool.description),
                )
            if given.name in seen:
                raise TraceError(
                    f"augmentation.tool_names_mapping: {tool.name!r} and {seen[given.name]!r} would"
                    f" both be {given.name!r}"
                )
            seen[given.name] = tool.name
            yield given

    def events(
        self,
        augmentation: Augmentation | None,
        apps: Mapping[str, App],
        *,
        after: str | None,
        duration: float | None,
    ) -> Iterator[Planned]:
        """Yield what happens besides the scenario: a Poisson process for each app with data.

        Args:
            augmentation: the data.
            apps: of the world, by name; data for others is left alone.
            after: id of the event with which it starts; None: with the world.
            duration: of the world, in seconds; None: without end.

        Raises:
            TraceError: the data cannot be used; names app and key.
        """
        sources = [
            (app.name, _SOURCES[app.class_name or app.name], app.app_state or {})
            for app in (augmentation and augmentation.apps) or []
            if (app.class_name or app.name) in _SOURCES and app.name in apps
        ]
        horizon = _HORIZON if duration is None else duration
        if not sources or horizon <= 0 or self.events_per_minute <= 0:
            return
        count = int(int(self.events_per_minute * horizon / 60) / len(sources))
        for name, source, state in sources:
            draw = _Draw(name, random.Random(f"{self.seed}_{name}"), after, horizon)
            with at(f"augmentation.apps.{name}"):
                yield from source(draw, state, count)


class Failures:
    """Lets calls fail, each tool with a random sequence of its own.

    Args:
        noise: how often, and a seed.
        seed: of the world; the other half of the seed.
    """

    def __init__(self, noise: Noise, seed: int) -> None:
        self._probability = noise.failures
        self._seed = f"{noise.seed}_{seed}"
        self._sequences: dict[tuple[str, str], random.Random] = {}

    def strike(self, tool: Tool) -> None:
        """Let a call of a tool fail, or not.

        Raises:
            ToolError: it fails.
        """
        if tool.app.app_class in _SPARED:
            return
        key = tool.app.name, tool.function
        if key not in self._sequences:
            self._sequences[key] = random.Random(f"{self._seed}_{'__'.join(key)}")
        if self._sequences[key].random() < self._probability:
            raise ToolError(f"{tool.name} failed with an internal error; try again later")


class _Draw:
    """Draws events for one app."""

    def __init__(self, app: str, rng: random.Random, after: str | None, horizon: float) -> None:
        self.app = app
        self.rng = rng
        self.horizon = horizon
        self._first = () if after is None else (after,)
        self._made = 0

    def event(
        self,
        function: str,
        arguments: dict[str, Any],
        delay: float,
        previous: Planned | None = None,
    ) -> Planned:
        """Return an event some seconds after the start, or after a previous one."""
        self._made += 1
        after = (previous.id,) if previous else self._first
        return Planned(
            id=f"{_TAG}_{self.app}_{self._made}", kind="ENV", app=self.app, function=function,
            arguments=arguments, after=after, delay=delay, noise=True,
        )  # fmt: skip

    def shuffled(self, items: Iterable[Any]) -> list[Any]:
        """Return them in another order."""
        items = list(items)
        self.rng.shuffle(items)
        return items

    def waits(self, number: int, seconds: float) -> Iterator[float]:
        """Yield the times between arrivals, of which a number is expected in so many seconds."""
        for _ in range(number):
            yield self.rng.expovariate(number / seconds)

    def arrivals(self, items: list[Any], seconds: float) -> Iterator[tuple[float, Any]]:
        """Yield items with their times of arrival, as far as these are within the horizon."""
        time = 0.0
        for item, wait in zip(items, self.waits(len(items), seconds), strict=True):
            time += wait
            if time >= self.horizon:
                return
            yield time, item


_Source = Callable[[_Draw, dict[str, Any], int], Iterator[Planned]]


def _emails(draw: _Draw, state: dict[str, Any], count: int) -> Iterator[Planned]:
    emails = draw.shuffled(state["folders"]["INBOX"]["emails"])[:count]
    for time, email in draw.arrivals(emails, draw.horizon):
        parts = {key: email[key] for key in ("sender", "recipients", "subject", "content")}
        yield draw.event("create_and_add_email", {**parts, "folder_name": "INBOX"}, time)


def _messages(draw: _Draw, state: dict[str, Any], _count: int) -> Iterator[Planned]:
    """Let all conversations go on, as ARE does, whatever the number of events."""
    conversations = draw.shuffled(state["conversations"].values())
    for time, conversation in draw.arrivals(conversations, draw.horizon):
        messages = conversation["messages"][:_MESSAGES_PER_CONVERSATION]
        waits = [time, *draw.waits(len(messages), draw.horizon - time)]
        previous = None
        for message, wait in zip(messages, waits, strict=False):
            arguments = {
                "conversation_id": conversation["conversation_id"],
                "sender_id": message["sender_id"],
                "content": message["content"],
            }
            previous = draw.event("create_and_add_message", arguments, wait, previous)
            yield previous


def _products(draw: _Draw, state: dict[str, Any], count: int) -> Iterator[Planned]:
    discounts = state.get("discount_codes") or {}
    products = draw.shuffled(state["products"].values())[: count // _ITEMS_PER_PRODUCT]
    for time, product in draw.arrivals(products, draw.horizon):
        added = draw.event("add_product", {"name": product["name"]}, time)
        yield added
        variants = list(product["variants"].values())[:_ITEMS_PER_PRODUCT]
        waits = draw.waits(len(variants), draw.horizon - time)
        later = 0.0
        for variant, wait in zip(variants, waits, strict=True):
            later += wait
            arguments = {key: variant[key] for key in ("price", "available", "options")}
            arguments["product_id"] = f"{{{{{added.id}}}}}"
            item = draw.event("add_item_to_product", arguments, later, added)
            yield item
            codes = discounts.get(variant["item_id"], {})
            discounted = draw.rng.expovariate(2 / draw.horizon) if codes else 0.0
            for code, value in codes.items():
                arguments = {"item_id": f"{{{{{item.id}}}}}", "discount_code": {code: float(value)}}
                yield draw.event("add_discount_code", arguments, discounted, item)


def _apartments(draw: _Draw, state: dict[str, Any], count: int) -> Iterator[Planned]:
    apartments = draw.shuffled(state["apartments"].values())[:count]
    for time, apartment in draw.arrivals(apartments, draw.horizon):
        named = {_OF_APARTMENTS.get(key, key): value for key, value in apartment.items()}
        arguments = {key: value for key, value in named.items() if key}
        arguments["price"] = float(arguments["price"])
        yield draw.event("add_new_apartment", arguments, time)


_SOURCES: dict[str, _Source] = {
    **dict.fromkeys(("EmailClientApp", "EmailClientV2", "Mail", "Emails"), _emails),
    **dict.fromkeys(("MessagingAppV2", "Messages", "Chats"), _messages),
    **dict.fromkeys(("ShoppingApp", "Shopping"), _products),
    **dict.fromkeys(("ApartmentListingApp", "RentAFlat"), _apartments),
}
