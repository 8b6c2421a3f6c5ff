"""Which recorded requests are of one session, and how long the agent paused between them.

A request goes on from another where its input repeats that one's, then has its reply. Agents whose
inputs begin alike stay apart by their replies and by time: one that waits for a reply asks
nothing else. Where requests name their session, that is looked at first.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_a2perf.domains.serving.recorder.journal import Entry
from pytest_a2perf.domains.serving.trajectories.build import SessionBuilder, calls_of, common
from pytest_a2perf.domains.serving.trajectories.models import Message, Session

__all__ = ["SOURCE", "sessions_of"]

SOURCE = "recorded"
_OPENING = ("system", "developer")


def sessions_of(entries: Iterable[Entry], name: str) -> list[Session]:
    """Return the sessions that recorded requests make.

    Requests that failed are left out: agents repeat them.

    Args:
        entries: requests in any order.
        name: begins the ids of sessions that do not name themselves.
    """
    threads = _Threads()
    replied: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda entry: entry.begun):
        if entry.failure:
            continue
        before = replied.get(entry.call.follows)
        if before is not None:
            entry.call.messages = _whole(before, entry.call.messages)
        threads.add(entry, before)
        if entry.reply.id:
            replied[entry.reply.id] = entry
    return _named(threads.all, name)


@dataclass(slots=True)
class _Thread:
    """Requests of one agent."""

    entries: list[Entry] = field(default_factory=list)

    @property
    def last(self) -> Entry:
        return self.entries[-1]

    def session(self, name: str, parent: str) -> Session:
        builder = SessionBuilder(
            name,
            source=SOURCE,
            model=next((entry.call.model for entry in self.entries if entry.call.model), ""),
            # Agents load tools on the way; a session declares the same ones throughout.
            tools=max((entry.call.tools for entry in self.entries), key=len),
            parent=parent,
        )
        before: Entry | None = None
        for entry in self.entries:
            if before is not None:
                _, after = _since_reply(entry.call.messages)
                person = all(message["role"] != "tool" for message in after)
                builder.pause(max(0.0, entry.begun - before.ended), person=person)
            builder.turn(
                entry.call.messages,
                output_tokens=entry.reply.output_tokens,
                prompt_tokens=entry.reply.prompt_tokens,
                duration=max(0.0, entry.ended - entry.begun),
                calls=calls_of(entry.reply.message),
            )
            before = entry
        return builder.session()


class _Threads:
    """All threads, and which of them wait for a request that has a certain reply in it."""

    def __init__(self) -> None:
        self.all: list[_Thread] = []
        self._waiting: dict[Hashable, list[_Thread]] = defaultdict(list)

    def add(self, entry: Entry, before: Entry | None) -> None:
        """Add a request to the thread that it continues, or to a new one.

        Args:
            entry: the request.
            before: the one that it names itself.
        """
        found = self._continued(entry, before)
        if found is None:
            found = _Thread()
            self.all.append(found)
        else:
            self._waiting[_told(found.last.reply.message)].remove(found)
        found.entries.append(entry)
        self._waiting[_told(entry.reply.message)].append(found)

    def _continued(self, entry: Entry, before: Entry | None) -> _Thread | None:
        if before is not None:
            return next((thread for thread in self.all if thread.last is before), None)
        told = _told(_since_reply(entry.call.messages)[0])
        # Few wait for this very reply, so that most requests find their thread at once.
        for threads in (self._waiting.get(told, []) if told is not None else [], self.all):
            answered = threads is not self.all
            ranked = [(_rank(thread.last, entry, answered), thread) for thread in threads]
            found = [(rank, thread) for rank, thread in ranked if rank is not None]
            if found:
                return max(found, key=lambda pair: pair[0])[1]
        return None


def _rank(last: Entry, entry: Entry, answered: bool) -> tuple[int, float] | None:
    """Return how well a request continues another one, or None where it does not."""
    old, new = last.call, entry.call
    # The next request may be on its way before we have seen the end of the reply.
    free = answered or last.ended <= entry.begun
    if not free or (old.key, old.interface) != (new.key, new.interface):
        return None
    shared = common(old.messages, new.messages)
    if answered:
        continues = shared > 0 or new.kind == "header"
    elif new.kind == "header":
        continues = True
    else:
        # The last message may be one that is replaced each turn.
        least = max(_opening(old.messages), len(old.messages) - 1)
        continues = shared >= least and len(new.messages) > len(old.messages)
    return (shared, -last.ended) if continues else None


def _told(reply: Message) -> Hashable:
    """Return what tells a reply from others, or None where there is nothing."""
    ids = tuple(str(call.get("id")) for call in reply.get("tool_calls") or ())
    return ids or _text(reply) or None


def _since_reply(messages: Sequence[Message]) -> tuple[Message, Sequence[Message]]:
    """Return the last reply in an input, which may be empty, and what comes after it."""
    for number in range(len(messages) - 1, -1, -1):
        if messages[number]["role"] == "assistant":
            return messages[number], messages[number + 1 :]
    return {}, messages


def _opening(messages: Sequence[Message]) -> int:
    """Return how many messages there are up to the first that is the session's own."""
    return next(
        (number for number, item in enumerate(messages, 1) if item["role"] not in _OPENING),
        len(messages),
    )


def _whole(before: Entry, new: list[Message]) -> list[Message]:
    """Return the whole input of a request that names the response that it goes on from."""
    history = [*before.call.messages, *filter(None, [before.reply.message])]
    if new and new[0]["role"] in _OPENING:
        # Instructions hold for one request only.
        history = [item for item in history if item["role"] not in _OPENING]
        return [new[0], *history, *new[1:]]
    return history + new


def _named(threads: Sequence[_Thread], name: str) -> list[Session]:
    first: dict[Any, str] = {}
    sessions = []
    for number, thread in enumerate(threads, 1):
        call = thread.entries[0].call
        own = call.key if call.kind == "header" else f"{name}-{number:04d}"
        parent = first.get(call.key, "") if call.kind in {"header", "session"} else ""
        first.setdefault(call.key, own)
        sessions.append(thread.session(f"{own}-{number:04d}" if own == parent else own, parent))
    return sessions


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text") or "" for part in content)
    return (content or "").strip()
