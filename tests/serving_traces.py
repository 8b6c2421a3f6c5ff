"""Small files of recorded sessions, built in Python, for tests of the domain ``serving``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_a2perf.domains.serving.trajectories.models import Session, Turn
from pytest_a2perf.domains.serving.trajectories.store import data_of

READ_FILE = {
    "type": "function",
    "function": {"name": "read_file", "parameters": {"type": "object", "properties": {}}},
}


def system(text="be brief"):
    return {"role": "system", "content": text}


def user(text="fix it"):
    return {"role": "user", "content": text}


def says(text="done"):
    return {"role": "assistant", "content": text}


def calls(name="read_file", call_id="c1", arguments="{}"):
    call = {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def result(text="x = 1", call_id="c1"):
    return {"role": "tool", "tool_call_id": call_id, "content": text}


CONVERSATION = [system(), user(), calls(), result(), says(), user("thanks"), says("welcome")]
"""Three turns: of 2, 4 and 6 messages."""


def jsonl(*rows: Any) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def document(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def session(**changes: Any) -> Session:
    """Return a session of two turns, of which the second replaces its last message."""
    fields: dict[str, Any] = {
        "id": "one",
        "messages": (user(), calls(), result(), user("turn 1 of 2"), user("turn 2 of 2")),
        "turns": (
            Turn((0, 3), 12, tool_delay=1.5, calls=("read_file",)),
            Turn((0, 1, 2, 4), 30, think_time=4.0, prompt_tokens=99, duration=0.5),
        ),
        "tools": (READ_FILE,),
        "model": "m",
        "source": "own",
    }
    return Session(**fields | changes)


def agentperf_row(number: int, messages: list[Any], **more: Any) -> dict[str, Any]:
    return {
        "version": 1,
        "turn_id": f"task:{number:04d}",
        "task_id": "task",
        "conversation_id": "task",
        "conversation_idx": number,
        "messages": messages,
        "simulated_tool_delay_ms_after": 0.0,
        **more,
    }


def agentperf_rows() -> list[dict[str, Any]]:
    return [
        agentperf_row(
            0,
            [system(), user(), user("turn 1 of 2")],
            tools=[READ_FILE],
            target_output_tokens=24,
            recorded_prompt_tokens=1458,
            recorded_completion_tokens=25,
            recorded_model_duration_ms=1250.0,
            simulated_tool_delay_ms_after=116.5,
            recorded_tool_calls_after=[{"tool_name": "read_file", "tool_call_id": "c1"}],
        ),
        agentperf_row(
            1,
            [system(), user(), calls(), result(), user("turn 2 of 2")],
            recorded_completion_tokens=73,
        ),
    ]


def agentperf_manifest(trace: str = "traces/task.jsonl") -> dict[str, Any]:
    task = {"task_id": "task", "trace": trace, "model_calls": 2, "tool_calls": 1}
    return {"version": 1, "mode": "replay", "name": "mini", "source": "x", "tasks": [task]}


def mlperf_rows(name: str = "c1") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {"role": "user", "content": "fix it", "system": "be brief", "tools": [READ_FILE]},
        {"role": "assistant", "tool_calls": calls()["tool_calls"]},
        {"role": "tool", "tool_results": [{"tool_call_id": "c1", "content": "x = 1"}]},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": "thanks"},
    ]
    for number, delay in ((0, 0.4), (2, 1.2), (4, 7.5)):
        rows[number]["delay_seconds"] = delay
    return [{"conversation_id": name, "turn": n, **row} for n, row in enumerate(rows, 1)]


def sharegpt_row(**more: Any) -> dict[str, Any]:
    entries = [
        ("human", "list the files"),
        ("function_call", '{"name": "ls", "arguments": {"path": "."}}'),
        ("observation", "a.py"),
        ("gpt", "a.py"),
        ("human", "thanks"),
        ("gpt", "welcome"),
    ]
    said = [{"from": role, "value": text} for role, text in entries]
    return {"id": "s1", "conversations": said, "system": "be brief", **more}


def mooncake_rows() -> list[dict[str, Any]]:
    """Return a session of three requests, two that only share its system prompt, and a lone one."""
    rows = [
        (0, 1100, 52, [0, 1, 2]),
        (500, 700, 7, [0, 9]),
        (2000, 1700, 26, [0, 1, 5, 6]),
        (2500, 2048, 1, [40, 41, 42, 43]),
        (9000, 2100, 30, [0, 1, 5, 7, 8]),
        (9500, 1500, 8, [0, 11, 12]),
    ]
    keys = ("timestamp", "input_length", "output_length", "hash_ids")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def weka_request(t: float, tokens: int, out: int, ids: list[int], **more: Any) -> dict[str, Any]:
    return {
        "t": t,
        "type": "s",
        "model": "big",
        "in": tokens,
        "out": out,
        "hash_ids": ids,
        "input_types": ["text"],
        **more,
    }


def weka_trace(**more: Any) -> dict[str, Any]:
    helper = {
        "t": 6.0,
        "type": "subagent",
        "agent_id": "helper",
        "requests": [weka_request(0.0, 128, 9, [70, 71], type="n", model="small")],
    }
    return {
        "id": "w1",
        "models": ["big", "small"],
        "block_size": 64,
        "hash_id_scope": "local",
        "requests": [
            weka_request(0.0, 256, 15, [1, 2, 3, 4], api_time=1.5, think_time=0.0),
            weka_request(
                4.0, 400, 20, [1, 2, 3, 4, 5, 6, 7], api_time=2.0, think_time=2.5,
                input_types=["tool_result"],
            ),
            helper,
            weka_request(16.0, 300, 5, [1, 2, 3, 8, 9], api_time=1.0),
        ],
        **more,
    }  # fmt: skip


def openai_requests() -> list[dict[str, Any]]:
    """Return a session of two requests with a counter that is replaced, and one of another."""
    reply = {
        "choices": [{"message": calls()}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 12},
    }
    limit = {"model": "m", "max_tokens": 100}
    return [
        {"messages": [system(), user(), user("1 of 2")], "response": reply, **limit},
        {"messages": [system(), user(), calls(), result(), user("2 of 2")], **limit},
        {"messages": [system(), user("something else")], "tools": [READ_FILE], **limit},
    ]


@dataclass(frozen=True)
class Sample:
    """A file of a format."""

    name: str
    content: bytes
    sessions: int


SAMPLES: dict[str, list[Sample]] = {
    "own": [Sample("own.jsonl", jsonl(data_of(session()), data_of(session(id="two"))), 2)],
    "agentperf_local": [Sample("task.jsonl", jsonl(*agentperf_rows()), 1)],
    "mlperf": [Sample("flat.jsonl", jsonl(*mlperf_rows(), *mlperf_rows("c2")), 2)],
    "weka": [
        Sample("trace.json", document(weka_trace()), 2),
        Sample("traces.jsonl", jsonl(weka_trace(), weka_trace(id="w2")), 4),
    ],
    "mooncake": [Sample("mooncake.jsonl", jsonl(*mooncake_rows()), 4)],
    "sharegpt": [
        Sample("sharegpt.json", document([sharegpt_row(), sharegpt_row(id="s2")]), 2),
        Sample("sharegpt.jsonl", jsonl(sharegpt_row()), 1),
    ],
    "openai": [
        Sample("chat.jsonl", jsonl({"messages": CONVERSATION, "tools": [READ_FILE]}), 1),
        Sample("requests.jsonl", jsonl(*openai_requests()), 2),
        Sample("batch.jsonl", jsonl({"custom_id": "b1", "body": {"messages": [user()]}}), 1),
        Sample(
            "inputs.json",
            document({"data": [{"session_id": "s", "payloads": [{"messages": [user()]}]}]}),
            1,
        ),
    ],
}  # fmt: skip
