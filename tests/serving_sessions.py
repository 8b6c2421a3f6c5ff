"""Sessions for tests: valid ones of many shapes, and one that can be read at a glance."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder
from pytest_a2perf.domains.serving.trajectories.models import Session

TOOL = {"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}
TEXTS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), max_codepoint=0x2FFF), min_size=1, max_size=40
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-999, 999) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)


def call(key: str, arguments: Any = None, name: str = "bash") -> dict[str, Any]:
    text = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    return {"id": key, "type": "function", "function": {"name": name, "arguments": text}}


def small_session(name: str = "one") -> Session:
    """Three turns; the second reply calls two tools, and each turn ends with a counter."""
    builder = SessionBuilder(name, source="test", tools=[TOOL])
    history: list[dict[str, Any]] = [
        {"role": "system", "content": "You are an agent."},
        {"role": "user", "content": "Repair it."},
    ]
    for number, keys in enumerate((["a"], ["b", "c"], []), 1):
        counter = {"role": "user", "content": f"[turn {number}]"}
        builder.turn(
            [*history, counter],
            output_tokens=10 * number,
            tool_delay=0.5 * len(keys),
            calls=("bash",) * len(keys),
        )
        history.append(
            {"role": "assistant", "content": "", "tool_calls": [call(key) for key in keys]}
        )
        history += [{"role": "tool", "tool_call_id": key, "content": "done"} for key in keys]
    return builder.session()


@st.composite
def sessions(draw: st.DrawFn, texts: st.SearchStrategy[str] = TEXTS) -> Session:
    """Sessions that endpoints take, some with histories that are cut or end with a counter."""
    builder = SessionBuilder(draw(TEXTS), source="test", tools=draw(st.sampled_from([[], [TOOL]])))
    history: list[dict[str, Any]] = []
    if draw(st.booleans()):
        history.append({"role": "system", "content": draw(texts)})
    history.append({"role": "user", "content": draw(texts)})
    opening = len(history)
    for number in range(draw(st.integers(1, 5))):
        if len(history) > opening and draw(st.integers(0, 4)) == 0:
            del history[opening:]  # the agent starts again with an empty history
        counter = [{"role": "user", "content": f"[{number}]"}] if draw(st.booleans()) else []
        builder.turn(
            [*history, *counter],
            output_tokens=draw(st.none() | st.integers(0, 500)),
            tool_delay=draw(st.floats(0, 9)),
            think_time=draw(st.floats(0, 9)),
        )
        keys = [f"call_{number}_{index}" for index in range(draw(st.integers(0, 2)))]
        reply: dict[str, Any] = {"role": "assistant", "content": draw(texts)}
        if draw(st.booleans()):
            reply["reasoning_content"] = draw(texts)
        if keys:
            reply["tool_calls"] = [
                call(key, {"text": draw(texts), "more": draw(JSON)}) for key in keys
            ]
        results = [{"role": "tool", "tool_call_id": key, "content": draw(texts)} for key in keys]
        history += [reply, *(results or [{"role": "user", "content": draw(texts)}])]
    return builder.session()
