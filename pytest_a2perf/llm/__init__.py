"""Language models: asked through litellm, counted, and recorded on cassettes."""

from pytest_a2perf.llm.answer import Answer, ToolCall, Totals
from pytest_a2perf.llm.cassette import Cassette, open_cassette
from pytest_a2perf.llm.chat import ChatModel
from pytest_a2perf.llm.errors import CassetteError, ConversationError

__all__ = [
    "Answer",
    "Cassette",
    "CassetteError",
    "ChatModel",
    "ConversationError",
    "ToolCall",
    "Totals",
    "open_cassette",
]
