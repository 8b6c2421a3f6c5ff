"""One story in the logs of every agent: built here in the schemas that the agents write.

A person asks; the agent lists files (1.5 s), answers; the person asks on after 10 s; the agent
calls two tools at once (2 s), and answers. Lengths and times are the same in each log.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

START = 1_750_000_000.0
MODEL = "acme/coder-1"
SYSTEM = "You fix bugs."
BASH = {
    "type": "function",
    "function": {
        "name": "bash",
        "description": "Runs a command.",
        "parameters": {"type": "object", "properties": {"command": {"type": "string"}}},
    },
}
EDIT = {
    "type": "function",
    "function": {
        "name": "edit",
        "description": "Edits a file.",
        "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
    },
}


def call(call_id: str, name: str, **arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def reply(text: str, *calls: dict[str, Any], reasoning: str = "") -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = list(calls)
    return message


def result(call_id: str, text: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


# What was said, and when (seconds after the start); replies with lengths of input and output.
ASK = {"role": "user", "content": "Fix the bug."}
REPLY_1 = reply("Let me look.", call("call_1", "bash", command="ls"), reasoning="Where is it?")
RESULT_1 = result("call_1", "a.py")
REPLY_2 = reply("It is in a.py.")
ASK_2 = {"role": "user", "content": "Then fix it."}
REPLY_3 = reply("", call("call_2", "bash", command="pytest"), call("call_3", "edit", path="a.py"))
RESULT_2 = result("call_2", "1 failed")
RESULT_3 = result("call_3", "edited")
REPLY_4 = reply("Fixed.")
STORY: list[tuple[dict[str, Any], float, tuple[int, int] | None]] = [
    (ASK, 0.0, None),
    (REPLY_1, 2.0, (100, 20)),
    (RESULT_1, 3.5, None),
    (REPLY_2, 4.5, (130, 8)),
    (ASK_2, 14.5, None),
    (REPLY_3, 16.5, (150, 40)),
    (RESULT_2, 17.0, None),
    (RESULT_3, 18.5, None),
    (REPLY_4, 19.5, (220, 5)),
]
SAID = [message for message, _, _ in STORY]
BEGAN = {2.0: 0.0, 4.5: 3.5, 16.5: 14.5, 19.5: 18.5}  # when the replies' requests were sent


def iso(at: float, *, zone: bool = True) -> str:
    text = datetime.fromtimestamp(START + at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z" if zone else "")


def arguments_of(made: dict[str, Any]) -> dict[str, Any]:
    return json.loads(made["function"]["arguments"])


def lines(*objects: Any) -> str:
    return "".join(f"{json.dumps(item)}\n" for item in objects)


# --- SWE-agent -----------------------------------------------------------------------------


def swe_agent(version: str = "1.1") -> dict[str, Any]:
    """A run with tool calls; of 1.1 and 1.0 with the input of each step, of 0.7 without."""
    made = call("call_1", "bash", command="ls")
    history: list[dict[str, Any]] = [
        {"role": "system", "content": SYSTEM, "agent": "main", "message_type": "system_prompt"},
        {"role": "assistant", "content": "A demonstration.", "agent": "main", "is_demo": True},
        {
            "role": "user",
            "content": [{"type": "text", "text": ASK["content"]}],
            "agent": "main",
            "message_type": "observation",
        },
        {
            "role": "assistant",
            "content": "Let me look.",
            "thought": "Let me look.",
            "action": "ls",
            "agent": "main",
            "tool_calls": [made],
            "message_type": "action",
            "thinking_blocks": [{"type": "thinking", "thinking": "Where is it?"}],
        },
        {
            "role": "tool",
            "content": [{"type": "text", "text": "a.py", "cache_control": {"type": "ephemeral"}}],
            "agent": "main",
            "message_type": "observation",
            "tool_call_ids": ["call_1"],
        },
        {"role": "assistant", "content": "Fixed.", "agent": "main", "message_type": "action"},
    ]
    steps: list[dict[str, Any]] = [
        {
            "action": "ls",
            "observation": "a.py",
            "response": "Let me look.",
            "thought": "Let me look.",
            "execution_time": 1.5,
            "state": {"working_dir": "/"},
        },
        {
            "action": "submit",
            "observation": "",
            "response": "Fixed.",
            "thought": "Fixed.",
            "execution_time": 0.25,
            "state": {},
        },
        {
            "action": "",
            "observation": "",
            "response": "",
            "thought": "Exit due to cost limit",
            "execution_time": 0.0,
            "state": {},
        },
    ]
    key = {"1.1": "query", "1.0": "messages"}.get(version)
    if key:
        elided = history[4] | {"content": "Old environment output: (1 line omitted)"}
        for step, sent in zip(steps, (history[:3], [*history[:4], elided], []), strict=True):
            step[key] = sent
    return {
        "trajectory": steps,
        "history": history,
        "info": {"exit_status": "submitted", "model_stats": {"tokens_sent": 230}},
        "replay_config": json.dumps({"agent": {"model": {"name": MODEL}}}),
        "environment": "swe_main",
    }


# --- mini-swe-agent ------------------------------------------------------------------------


def mini_swe_agent(version: str = "1.1") -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    for message, at, lengths in STORY:
        extra: dict[str, Any] = {"timestamp": START + at}
        if lengths:
            usage = {"prompt_tokens": lengths[0], "completion_tokens": lengths[1]}
            extra |= {"actions": [], "cost": 0.01, "response": {"model": MODEL, "usage": usage}}
        elif message["role"] == "tool":
            extra |= {"returncode": 0, "raw_output": message["content"]}
        else:
            extra |= {"interrupt_type": "UserInterruption"}
        messages.append(dict(message) if version == "1" else message | {"extra": extra})
    messages.append({"role": "exit", "content": "", "extra": {"exit_status": "Submitted"}})
    return {
        "info": {
            "model_stats": {"instance_cost": 0.04, "api_calls": 4},
            "config": {"model": {"model_name": MODEL}, "agent_type": "DefaultAgent"},
            "mini_version": "2.2.8",
            "exit_status": "Submitted",
        },
        "messages": messages,
        "trajectory_format": f"mini-swe-agent-{version}",
    }


def mini_swe_agent_responses() -> dict[str, Any]:
    """The beginning of the story over the responses interface."""
    document = mini_swe_agent()
    document["messages"] = [
        {"role": "system", "content": SYSTEM},
        {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": ASK["content"]}],
        },
        {
            "object": "response",
            "model": MODEL,
            "output": [
                {
                    "type": "reasoning",
                    "summary": [{"type": "summary_text", "text": "Where is it?"}],
                },
                {"type": "message", "content": [{"type": "output_text", "text": "Let me look."}]},
                {
                    "type": "function_call",
                    "call_id": "call_1",
                    "name": "bash",
                    "arguments": '{"command": "ls"}',
                },
            ],
            "usage": {"input_tokens": 100, "output_tokens": 20},
            "extra": {"timestamp": START + 2.0},
        },
        {
            "type": "function_call_output",
            "call_id": "call_1",
            "output": "a.py",
            "extra": {"timestamp": START + 3.5},
        },
        {
            "object": "response",
            "output": [
                {"type": "message", "content": [{"type": "output_text", "text": "It is in a.py."}]}
            ],
            "usage": {"input_tokens": 130, "output_tokens": 8},
            "extra": {"timestamp": START + 4.5},
        },
    ]
    return document


# --- OpenHands -----------------------------------------------------------------------------


def openhands_0() -> list[dict[str, Any]]:
    """Events of 0.x; the third reply stands in two of them."""
    events: list[dict[str, Any]] = [
        {"source": "agent", "action": "system", "args": {"content": SYSTEM, "tools": [BASH, EDIT]}},
    ]
    events[0]["timestamp"] = iso(-1.0, zone=False)
    metadata: dict[str, dict[str, Any]] = {}
    for message, at, lengths in STORY:
        stamp = {"timestamp": iso(at, zone=False)}
        if message["role"] == "user":
            events.append(
                stamp
                | {
                    "source": "user",
                    "action": "message",
                    "args": {"content": message["content"], "image_urls": []},
                }
            )
        elif message["role"] == "tool":
            events.append(
                stamp
                | {
                    "source": "agent",
                    "observation": "run",
                    "content": message["content"],
                    "extras": {"exit_code": 0},
                    "tool_call_metadata": metadata[message["tool_call_id"]],
                }
            )
        elif not message.get("tool_calls"):
            events.append(
                stamp
                | {
                    "source": "agent",
                    "action": "message",
                    "args": {"content": message["content"], "image_urls": None},
                }
            )
        else:
            response = {
                "id": f"chatcmpl-{at}",
                "model": MODEL,
                "choices": [{"message": message, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": lengths[0], "completion_tokens": lengths[1]},
            }
            for made in message["tool_calls"]:
                metadata[made["id"]] = {
                    "function_name": made["function"]["name"],
                    "tool_call_id": made["id"],
                    "model_response": response,
                    "total_calls_in_response": len(message["tool_calls"]),
                }
                events.append(
                    stamp
                    | {
                        "source": "agent",
                        "action": "run",
                        "args": {**arguments_of(made), "thought": message["content"] or ""},
                        "tool_call_metadata": metadata[made["id"]],
                    }
                )
    state = {
        "source": "environment",
        "observation": "agent_state_changed",
        "content": "",
        "extras": {},
    }
    events.insert(2, state | {"timestamp": iso(0.5, zone=False)})
    return [event | {"id": number} for number, event in enumerate(events)]


def openhands_0_old() -> list[dict[str, Any]]:
    """Events from before there were tool calls."""
    return [
        {"id": 0, "timestamp": iso(0.0), "source": "user", "action": "message", "args": {"content": ASK["content"]}},
        {"id": 1, "timestamp": iso(2.0), "source": "agent", "action": "run", "args": {"command": "ls", "thought": "Let me look."}},
        {"id": 2, "timestamp": iso(3.5), "source": "agent", "observation": "run", "cause": 1, "content": "a.py", "extras": {}},
        {"id": 3, "timestamp": iso(4.5), "source": "agent", "action": "message", "args": {"content": "It is in a.py."}},
    ]  # fmt: skip


def openhands_1() -> list[dict[str, Any]]:
    """Events of 1.x, with lengths in a change of the conversation's state."""
    text = lambda value: [{"type": "text", "text": value}] if value else []  # noqa: E731
    events: list[dict[str, Any]] = [
        {
            "kind": "SystemPromptEvent",
            "source": "agent",
            "system_prompt": {"type": "text", "text": SYSTEM},
            "tools": [BASH, EDIT],
            "timestamp": iso(-1.0, zone=False),
        }
    ]
    usages = []
    for message, at, lengths in STORY:
        stamp = {"timestamp": iso(at, zone=False)}
        name = f"resp-{at}"
        if lengths:
            usages.append(
                {
                    "response_id": name,
                    "model": MODEL,
                    "prompt_tokens": lengths[0],
                    "completion_tokens": lengths[1],
                }
            )
        if message["role"] == "tool":
            events.append(
                stamp
                | {
                    "kind": "ObservationEvent",
                    "source": "environment",
                    "tool_name": "terminal",
                    "tool_call_id": message["tool_call_id"],
                    "observation": {
                        "kind": "TerminalObservation",
                        "content": text(message["content"]),
                    },
                }
            )
        elif not message.get("tool_calls"):
            events.append(
                stamp
                | {
                    "kind": "MessageEvent",
                    "source": "agent" if message["role"] == "assistant" else "user",
                    "llm_message": {"role": message["role"], "content": text(message["content"])},
                    "llm_response_id": name if lengths else None,
                }
            )
        else:
            for number, made in enumerate(message["tool_calls"]):
                events.append(
                    stamp
                    | {
                        "kind": "ActionEvent",
                        "source": "agent",
                        "thought": [] if number else text(message["content"]),
                        "reasoning_content": None if number else message.get("reasoning_content"),
                        "action": {"kind": "TerminalAction"},
                        "tool_name": made["function"]["name"],
                        "tool_call_id": made["id"],
                        "tool_call": {"id": made["id"], "origin": "completion", **made["function"]},
                        "llm_response_id": name,
                    }
                )
    events.append(
        {
            "kind": "ConversationStateUpdateEvent",
            "source": "environment",
            "key": "stats",
            "value": {"usage_to_metrics": {"agent": {"token_usages": usages}}},
            "timestamp": iso(20.0, zone=False),
        }
    )
    return [event | {"id": f"{number:08d}-aaaa"} for number, event in enumerate(events)]


# --- Claude Code ---------------------------------------------------------------------------


class ClaudeCode:
    """Lines of a session log, each hung on the one before unless said otherwise."""

    def __init__(self, session_id: str = "5e55", **always: Any) -> None:
        self.lines: list[dict[str, Any]] = []
        self.always = {"sessionId": session_id, "isSidechain": False, "version": "2.1.0"} | always

    def line(self, kind: str, at: float, **members: Any) -> str:
        uuid = members.pop("uuid", f"{self.always.get('agentId', '')}u{len(self.lines)}")
        parent = self.lines[-1]["uuid"] if self.lines else None
        base = {"type": kind, "uuid": uuid, "parentUuid": parent, "timestamp": iso(at)}
        self.lines.append(self.always | base | members)
        return uuid

    def user(self, content: Any, at: float, **members: Any) -> str:
        return self.line("user", at, message={"role": "user", "content": content}, **members)

    def result(self, call_id: str, text: Any, at: float, **members: Any) -> str:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": text}
        return self.user([block], at, **members)

    def assistant(
        self, block: dict[str, Any], at: float, name: str, lengths: tuple[int, int], **members: Any
    ) -> str:
        usage = {
            "input_tokens": 2,
            "cache_read_input_tokens": lengths[0] - 5,
            "cache_creation_input_tokens": 3,
            "output_tokens": lengths[1],
        }
        message = {
            "id": name,
            "type": "message",
            "role": "assistant",
            "model": MODEL,
            "content": [block],
            "usage": usage,
        }
        return self.line("assistant", at, message=message, **members)


def claude_code() -> ClaudeCode:
    """The story; the results of the third reply hang on the lines that made the calls."""
    log = ClaudeCode()
    log.lines.append(
        {"type": "file-history-snapshot", "messageId": "m0", "snapshot": {}, "uuid": "snap"}
    )
    log.user(ASK["content"], 0.0, parentUuid=None)
    log.assistant(
        {"type": "thinking", "thinking": "Where is it?", "signature": "x"}, 1.0, "msg_1", (100, 1)
    )
    log.assistant({"type": "text", "text": "Let me look."}, 1.5, "msg_1", (100, 1))
    log.assistant(
        {"type": "tool_use", "id": "call_1", "name": "bash", "input": {"command": "ls"}},
        2.0,
        "msg_1",
        (100, 20),
    )
    log.result("call_1", [{"type": "text", "text": "a.py"}], 3.5)
    log.assistant({"type": "text", "text": "It is in a.py."}, 4.5, "msg_2", (130, 8))
    log.line("system", 4.6, subtype="turn_duration", content="")
    log.user([{"type": "text", "text": ASK_2["content"]}], 14.5)
    one = log.assistant(
        {"type": "tool_use", "id": "call_2", "name": "bash", "input": {"command": "pytest"}},
        16.0,
        "msg_3",
        (150, 2),
    )
    log.assistant(
        {"type": "tool_use", "id": "call_3", "name": "edit", "input": {"path": "a.py"}},
        16.5,
        "msg_3",
        (150, 40),
    )
    two = log.lines[-1]["uuid"]
    log.result("call_2", "1 failed", 17.0, parentUuid=one)
    log.result("call_3", "edited", 18.5, parentUuid=two)
    log.assistant({"type": "text", "text": "Fixed."}, 19.5, "msg_4", (220, 5))
    return log


# --- OpenCode ------------------------------------------------------------------------------


def opencode() -> dict[str, Any]:
    """What ``opencode export`` writes."""

    def ms(at: float) -> int:
        return int((START + at) * 1000)

    messages: list[dict[str, Any]] = []
    for message, at, lengths in STORY:
        number = len(messages) + 1
        ids = {"sessionID": "ses_1", "messageID": f"msg_{number}"}
        if message["role"] == "user":
            info = {"role": "user", "time": {"created": ms(at)}, "agent": "build"}
            parts = [{"type": "text", "text": message["content"]}]
        elif message["role"] == "assistant":
            tokens = {
                "input": 10,
                "output": lengths[1] - 3,
                "reasoning": 3,
                "cache": {"read": lengths[0] - 15, "write": 5},
            }
            info = {
                "role": "assistant",
                "modelID": MODEL,
                "providerID": "acme",
                "time": {"created": ms(BEGAN[at]), "completed": ms(at)},
                "tokens": tokens,
            }
            parts = [{"type": "step-start"}]
            time = {"start": ms(at) - 1000, "end": ms(at)}
            if "reasoning_content" in message:
                parts.append(
                    {"type": "reasoning", "text": message["reasoning_content"], "time": time}
                )
            if message["content"]:
                parts.append({"type": "text", "text": message["content"], "time": time})
            for made in message.get("tool_calls", ()):
                output, end = next(
                    (text, then)
                    for text, then, _ in STORY
                    if text.get("tool_call_id") == made["id"]
                )
                parts.append(
                    {
                        "type": "tool",
                        "callID": made["id"],
                        "tool": made["function"]["name"],
                        "state": {
                            "status": "completed",
                            "input": arguments_of(made),
                            "output": output["content"],
                            "title": "",
                            "metadata": {},
                            "time": {"start": ms(at), "end": ms(end)},
                        },
                    }
                )
            parts.append({"type": "step-finish", "reason": "stop", "cost": 0, "tokens": tokens})
        else:
            continue
        info |= {"id": f"msg_{number}", "sessionID": "ses_1"}
        parts = [part | ids | {"id": f"prt_{number}_{place}"} for place, part in enumerate(parts)]
        messages.append({"info": info, "parts": parts})
    info = {
        "id": "ses_1",
        "projectID": "p1",
        "title": "Bug",
        "parentID": "ses_0",
        "time": {"created": ms(0.0)},
    }
    return {"info": info, "messages": messages}


def write_opencode_storage(folder: Path) -> Path:
    """The same session as OpenCode keeps it."""
    export = opencode()

    def write(path: Path, value: Any) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value))

    write(folder / "session" / "p1" / "ses_1.json", export["info"])
    for message in export["messages"]:
        info = message["info"]
        write(folder / "message" / "ses_1" / f"{info['id']}.json", info)
        for part in message["parts"]:
            write(folder / "part" / info["id"] / f"{part['id']}.json", part)
    (folder / "part").mkdir(exist_ok=True)
    return folder


# --- ATIF ----------------------------------------------------------------------------------


def atif(version: str = "1.7") -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"source": "system", "message": SYSTEM}]
    for message, at, lengths in STORY:
        if message["role"] == "tool":
            observation = steps[-1].setdefault("observation", {"results": []})
            observation["results"].append(
                {"source_call_id": message["tool_call_id"], "content": message["content"]}
            )
            continue
        step: dict[str, Any] = {
            "source": "agent" if lengths else "user",
            "timestamp": iso(at),
            "message": message["content"] or "",
        }
        if lengths:
            step["metrics"] = {
                "prompt_tokens": lengths[0],
                "completion_tokens": lengths[1],
                "cached_tokens": 50,
            }
        if "reasoning_content" in message:
            step["reasoning_content"] = message["reasoning_content"]
        if "tool_calls" in message:
            step["tool_calls"] = [
                {
                    "tool_call_id": made["id"],
                    "function_name": made["function"]["name"],
                    "arguments": arguments_of(made),
                }
                for made in message["tool_calls"]
            ]
        steps.append(step)
    return {
        "schema_version": f"ATIF-v{version}",
        "session_id": "run-1",
        "agent": {
            "name": "acme",
            "version": "1",
            "model_name": MODEL,
            "tool_definitions": [BASH, EDIT],
        },
        "steps": [step | {"step_id": number} for number, step in enumerate(steps, 1)],
    }


# --- OpenTelemetry -------------------------------------------------------------------------


def otel_message(message: dict[str, Any]) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if message["role"] == "tool":
        parts.append(
            {
                "type": "tool_call_response",
                "id": message["tool_call_id"],
                "response": message["content"],
            }
        )
    else:
        if "reasoning_content" in message:
            parts.append({"type": "reasoning", "content": message["reasoning_content"]})
        if message["content"]:
            parts.append({"type": "text", "content": message["content"]})
        parts += [
            {
                "type": "tool_call",
                "id": made["id"],
                "name": made["function"]["name"],
                "arguments": arguments_of(made),
            }
            for made in message.get("tool_calls", ())
        ]
    return {"role": message["role"], "parts": parts}


def otel_spans() -> list[dict[str, Any]]:
    """Spans as plain objects, with content; tools have spans of their own."""
    spans: list[dict[str, Any]] = []
    said: list[dict[str, Any]] = []

    def add(name: str, began: float, ended: float, **attributes: Any) -> None:
        spans.append(
            {
                "name": name,
                "trace_id": "ab" * 16,
                "span_id": f"{len(spans) + 1:016x}",
                "parent_span_id": "f" * 16,
                "start_time_unix_nano": int((START + began) * 1_000_000) * 1000,
                "end_time_unix_nano": int((START + ended) * 1_000_000) * 1000,
                "attributes": {key.replace("__", "."): value for key, value in attributes.items()},
            }
        )

    add("invoke_agent coder", 0.0, 20.0, gen_ai__operation__name="invoke_agent")
    spans[0] |= {"span_id": "f" * 16, "parent_span_id": None}
    for message, at, lengths in STORY:
        if lengths:
            add(
                f"chat {MODEL}",
                BEGAN[at],
                at,
                gen_ai__operation__name="chat",
                gen_ai__request__model=MODEL,
                gen_ai__conversation__id="talk-1",
                gen_ai__usage__input_tokens=lengths[0],
                gen_ai__usage__output_tokens=lengths[1],
                gen_ai__system_instructions=[{"type": "text", "content": SYSTEM}],
                gen_ai__tool__definitions=[
                    {"type": "function", **BASH["function"]},
                    {"type": "function", **EDIT["function"]},
                ],
                gen_ai__input__messages=[otel_message(item) for item in said],
                gen_ai__output__messages=[otel_message(message) | {"finish_reason": "stop"}],
            )
        elif message["role"] == "tool":
            before = max(then for _, then, counts in STORY if counts and then < at)
            add(
                "execute_tool",
                before,
                at,
                gen_ai__operation__name="execute_tool",
                gen_ai__tool__call__id=message["tool_call_id"],
                gen_ai__conversation__id="talk-1",
            )
        said.append(message)
    return spans


def otlp_value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case list():
            return {"arrayValue": {"values": [otlp_value(item) for item in value]}}
        case dict():
            return {"kvlistValue": {"values": otlp_attributes(value)}}
    raise AssertionError(value)


def otlp_attributes(values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": otlp_value(value)} for key, value in values.items()]


def otlp(spans: list[dict[str, Any]], *, text: bool) -> dict[str, Any]:
    """Spans as the file exporter of the collector writes them; structures as JSON, or as such."""

    def told(value: Any) -> Any:
        return json.dumps(value) if text and isinstance(value, list) else value

    converted = [
        {
            "name": span["name"],
            "traceId": span["trace_id"],
            "spanId": span["span_id"],
            "parentSpanId": span["parent_span_id"] or "",
            "kind": 3,
            "startTimeUnixNano": str(span["start_time_unix_nano"]),
            "endTimeUnixNano": str(span["end_time_unix_nano"]),
            "attributes": otlp_attributes(
                {key: told(value) for key, value in span["attributes"].items()}
            ),
        }
        for span in spans
    ]
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": []},
                "scopeSpans": [{"scope": {"name": "acme"}, "spans": converted}],
            }
        ]
    }
