"""The events of a conversation of OpenHands, one after another."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from pytest_a2perf.domains.serving.trajectories.form import Record
from pytest_a2perf.domains.serving.trajectories.formats.chat import (
    answer,
    assistant,
    call,
    content_of,
    function,
    joined,
    paired,
    reply_of,
    text_of,
)
from pytest_a2perf.domains.serving.trajectories.formats.conversation import Conversation
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["Events"]

# Actions that are no request's, and observations that the model does not see.
_SILENT_ACTIONS = ("change_agent_state", "null", "recall", "condensation_request")
_SILENT_OBSERVATIONS = ("agent_state_changed", "null", "condense")


class Events:
    """Makes a session of events, in order.

    Args:
        name: id of the session.
        source: name of the format.
    """

    def __init__(self, name: str, *, source: str) -> None:
        self._talk = Conversation(name, source=source)
        self._ids: list[set[str]] = []  # of the events that each message of the history comes from
        self._summary: Message | None = None
        self._responses: dict[str, list[Record]] = {}
        self._usage: dict[str, Record] = {}
        self._latency: dict[str, float] = {}

    def read(self, events: list[Record], usage: list[Record]) -> Session | None:
        """Return the session, or None where nothing was replied.

        Args:
            events: of either generation.
            usage: what may hold ``token_usages`` besides the events.

        Raises:
            TrajectoryError: an event is not as it should be.
        """
        responses = defaultdict(list)
        for event in events:
            if "observation" not in event.data and (response := _response_id(event)):
                responses[response].append(event)
        self._responses = dict(responses)
        for record in (*usage, *events):
            self._learn(record)
        for event in events:
            if "kind" in event.data:
                self._kind(event)
            else:
                self._event(event)
        return self._talk.session()

    def _learn(self, record: Record) -> None:
        """Note lengths and durations by response, wherever metrics stand."""
        places = [_part(record, "metrics"), _part(record, "llm_metrics")]
        for holder in ("stats", "value"):  # of a conversation's state, and of a change of it
            services = _part(_part(record, holder), "usage_to_metrics")
            places += [_part(services, name) for name in services.data]
        for metrics in places:
            for usage in metrics.records("token_usages"):
                self._usage[usage.text("response_id", "")] = usage
            for latency in metrics.records("response_latencies"):
                if (seconds := latency.seconds("latency")) is not None:
                    self._latency[latency.text("response_id", "")] = seconds

    def _event(self, event: Record) -> None:
        """Take an event of 0.x."""
        action, observation = event.text("action", ""), event.text("observation", "")
        person = event.text("source", "") == "user"
        arguments = event.record("args")
        if action == "system":
            self._talk.tools = [tool.data for tool in arguments.records("tools")]
            self._hear(event, {"role": "system", "content": arguments.text("content", "")})
        elif action == "message" and person:
            self._hear(event, {"role": "user", "content": _seen(arguments)}, person=True)
        elif action == "condensation":
            self._condense(event, arguments)
        elif action and not person and action not in _SILENT_ACTIONS:
            self._act(event, action, arguments)
        elif observation == "recall":
            if knowledge := _recalled(event.record("extras")):
                self._hear(event, {"role": "user", "content": knowledge})
        elif observation and observation not in _SILENT_OBSERVATIONS:
            self._observe(event)

    def _act(self, event: Record, action: str, arguments: Record) -> None:
        metadata = event.record("tool_call_metadata")
        response = metadata.record("model_response")
        choices = response.records("choices")
        if choices:
            if self._responses.get(_response_id(event), [event])[0] is event:
                self._reply(event, reply_of(choices[0].record("message")), response)
        elif action == "message":
            self._reply(event, assistant(arguments.text("content", "")), response)
        else:  # before there were tool calls
            values = {key: value for key, value in arguments.data.items() if key != "thought"}
            thought = arguments.data.get("thought")
            made = call(_own_call(event.text("id", "")), action, values)
            self._reply(
                event, assistant(thought if isinstance(thought, str) else "", [made]), response
            )

    def _observe(self, event: Record) -> None:
        text = event.text("content", "")
        call_id = event.record("tool_call_metadata").text("tool_call_id", "")
        if not call_id and self._asked(own := _own_call(event.text("cause", ""))):
            call_id = own
        if call_id:
            self._hear(event, answer(call_id, text))
        elif text:
            self._hear(event, {"role": "user", "content": text})

    def _kind(self, event: Record) -> None:
        """Take an event of 1.x."""
        kind = event.text("kind")
        call_id = event.text("tool_call_id", "")
        match kind:
            case "SystemPromptEvent":
                self._talk.tools = [_tool(tool) for tool in event.records("tools")]
                prompts = (event.record("system_prompt"), event.record("dynamic_context"))
                text = joined(prompt.text("text", "") for prompt in prompts)
                self._hear(event, {"role": "system", "content": text})
            case "MessageEvent" if event.text("source", "") == "agent":
                self._reply(event, reply_of(event.record("llm_message")), Record({}, event.where))
            case "MessageEvent":
                message = event.record("llm_message")
                content = content_of(message, "content")
                if isinstance(content, str):
                    content = joined((content, text_of(event, "extended_content")))
                self._hear(
                    event,
                    {"role": message.text("role", "user"), "content": content},
                    person=event.text("source", "") == "user",
                )
            case "ActionEvent":
                events = self._responses.get(_response_id(event), [event])
                if events[0] is event:
                    self._reply(event, _actions(events), Record({}, event.where))
            case "ObservationEvent":
                observation = event.record("observation")
                key = "content" if "content" in observation.data else "output"
                text = joined((text_of(observation, key), text_of(event, "extended_content")))
                self._hear(event, answer(call_id, text))
            case "AgentErrorEvent" if call_id:
                self._hear(event, answer(call_id, event.text("error", "")))
            case "UserRejectObservation":
                reason = event.text("rejection_reason", "User rejected the action")
                self._hear(event, answer(call_id, f"Action rejected: {reason}"))
            case "Condensation":
                self._condense(event, event)

    def _hear(self, event: Record, message: Message, *, person: bool = False) -> None:
        self._ids.append({event.text("id", "")})
        self._talk.hear(message, event.moment("timestamp"), person=person)

    def _reply(self, event: Record, message: Message, response: Record) -> None:
        name = _response_id(event)
        usage = response.record("usage")
        usage = usage if usage.data else self._usage.get(name, usage)
        ended, duration = event.moment("timestamp"), self._latency.get(name)
        self._talk.reply(
            message,
            event,
            began=None if ended is None or duration is None else ended - duration,
            ended=ended,
            prompt_tokens=usage.count("prompt_tokens"),
            output_tokens=usage.count("completion_tokens"),
            duration=duration,
            sent=paired(self._talk.history),
        )
        self._ids.append({item.text("id", "") for item in self._responses.get(name, [event])})
        self._talk.model = self._talk.model or response.text("model", "") or usage.text("model", "")

    def _condense(self, event: Record, arguments: Record) -> None:
        """Take events out of the history, and put the summary where the first of them stood."""
        gone = {str(item) for item in arguments.items("forgotten_event_ids")}
        first = arguments.count("forgotten_events_start_id")
        last = arguments.count("forgotten_events_end_id")
        if first is not None and last is not None:
            gone |= {item for ids in self._ids for item in ids if _within(item, first, last)}
        summary = arguments.text("summary", "")
        lost = [
            bool(ids & gone) or (bool(summary) and message is self._summary)
            for ids, message in zip(self._ids, self._talk.history, strict=True)
        ]
        kept = [
            (ids, message)
            for ids, message, dropped in zip(self._ids, self._talk.history, lost, strict=True)
            if not dropped
        ]
        if summary:
            self._summary = {"role": "user", "content": summary}
            place = lost.index(True) if True in lost else len(kept)
            kept.insert(place, ({event.text("id", "")}, self._summary))
        self._ids = [ids for ids, _ in kept]
        self._talk.history = [message for _, message in kept]

    def _asked(self, call_id: str) -> bool:
        calls = [item for said in self._talk.history for item in said.get("tool_calls") or ()]
        return any(item["id"] == call_id for item in calls)


def _response_id(event: Record) -> str:
    if "kind" in event.data:
        return event.text("llm_response_id", "")
    return event.record("tool_call_metadata").record("model_response").text("id", "") or (
        event.text("id", "") and f"event {event.text('id')}"
    )


def _part(record: Record, key: str) -> Record:
    """Return an object, or an empty one where something else stands."""
    return (
        record.record(key) if isinstance(record.data.get(key), dict) else Record({}, record.where)
    )


def _own_call(event_id: str) -> str:
    return f"call-{event_id}"


def _within(event_id: str, first: int, last: int) -> bool:
    return event_id.isdecimal() and first <= int(event_id) <= last


def _actions(events: list[Record]) -> Message:
    """Return the reply that several actions come from; the first one holds its text."""
    calls = []
    for event in events:
        made = event.record("tool_call")
        name = made.text("name", "") or event.text("tool_name", "")
        call_id = made.text("id", "") or event.text("tool_call_id", "")
        calls.append(call(call_id, name, made.data.get("arguments")))
    reasoning = events[0].text("reasoning_content", "")
    return assistant(text_of(events[0], "thought"), calls, reasoning)


def _tool(tool: Record) -> dict[str, Any]:
    if "function" in tool.data:
        return tool.data
    name = tool.text("name", "") or tool.text("title", "")
    return function(name, tool.text("description", ""), tool.data.get("parameters"))


def _seen(arguments: Record) -> Any:
    text = arguments.text("content", "")
    urls = [url for url in arguments.items("image_urls") if isinstance(url, str)]
    if not urls:
        return text
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"type": "text", "text": text}, *images]


def _recalled(extras: Record) -> str:
    """Return the knowledge that was added; the agent's own words around it are not recorded."""
    keys = ("repo_instructions", "additional_agent_instructions", "conversation_instructions")
    texts = [extras.text(key, "") for key in keys]
    texts += (item.text("content", "") for item in extras.records("microagent_knowledge"))
    return joined(texts)
