"""Tools: what agents are told of them, and which calls are let through."""

from __future__ import annotations

import inspect
import json

import pytest
from assistant_people import Clock
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from pytest_a2perf.domains.assistant.apps.app import App, tool
from pytest_a2perf.domains.assistant.apps.registry import CLASSES, make_app
from pytest_a2perf.domains.assistant.apps.tools import tools_of
from pytest_a2perf.domains.assistant.errors import ToolError
from pytest_a2perf.domains.assistant.trace.models import App as AppSpec


class Garden(App):
    """An app with one parameter of each kind."""

    @tool("agent", write=True)
    def plant(
        self,
        kind: str,
        count: int,
        depth: float = 1.5,
        water: bool = True,
        beds: list[str] | None = None,
        notes: dict[str, int] | None = None,
        label: str = "",
    ) -> str:
        """Plant something.

        Not in winter.

        Args:
            kind: what to plant,
                in English.
            count: how many (1: one).
            depth: in centimetres.
            water: whether to water it.
            beds: where to plant it.
            notes: of any kind.
            label: what to write on it.

        Returns:
            What has been
            planted.

        Raises:
            ToolError: it is winter.
        """
        return f"{count} {kind}"

    @tool("env")
    def rain(self) -> None:
        """Let it rain."""

    @tool()
    def dig(self) -> None:
        """Dig."""


class Greenhouse(Garden):
    """Another app."""

    @tool("agent")
    def rain(self) -> None:
        """Water from above."""

    @tool("agent", "user")
    def heat(self) -> None:
        """Make it warm."""


def plant():
    return tools_of(Garden("Home", Clock()), "agent")[0]


@pytest.fixture(params=CLASSES)
def tools(request):
    """All tools of one class of apps."""
    spec = AppSpec(name=request.param, class_name=request.param)
    return tools_of(make_app(spec, Clock(), 0, None))


class TestEveryTool:
    def test_says_what_it_does_and_what_it_needs(self, tools):
        for each in tools:
            assert len(each.description) > 3, each.name
            assert each.description.endswith("."), each.name
            for parameter in each.parameters:
                assert len(parameter.description) > 3, (each.name, parameter.name)
                assert parameter.description.endswith("."), (each.name, parameter.name)

    def test_says_what_it_returns(self, tools):
        for each in tools:
            nothing = inspect.signature(each.call).return_annotation == "None"
            assert bool(each.returns) is not nothing, each.name

    def test_has_a_schema_that_fits_its_signature(self, tools):
        for each in tools:
            schema = each.schema()["function"]["parameters"]
            signature = inspect.signature(each.call).parameters

            Draft202012Validator.check_schema(schema)
            assert json.loads(json.dumps(schema)) == schema
            assert list(schema["properties"]) == list(signature), each.name
            assert schema["required"] == [
                name
                for name, parameter in signature.items()
                if parameter.default is parameter.empty
            ], each.name
            for name, part in schema["properties"].items():
                place = (each.name, name)
                assert part["description"], place
                alternatives = part.get("anyOf", [part])
                kinds = [alternative["type"] for alternative in alternatives]
                assert ("null" in kinds) is ("None" in signature[name].annotation), place
                for alternative in alternatives:
                    assert alternative["type"] != "array" or alternative["items"], place
                if "default" in part:
                    Draft202012Validator(part).validate(part["default"])

    def test_has_a_name_that_providers_accept(self, tools):
        for each in tools:
            assert each.name == f"{each.app.name}__{each.function}"
            assert each.name.replace("_", "").isalnum()
            assert len(each.name) <= 64


class TestToolsOf:
    def test_are_those_of_an_audience_in_the_order_of_definition(self):
        app = Greenhouse("Glass", Clock())

        assert [each.function for each in tools_of(app)] == ["plant", "rain", "dig", "heat"]
        assert [each.function for each in tools_of(app, "agent")] == ["plant", "rain", "heat"]
        assert [each.function for each in tools_of(app, "user")] == ["heat"]
        assert tools_of(app, "env") == []
        assert tools_of(app, "agent")[1].description == "Water from above."

    def test_call_their_own_app(self):
        first, second = (tools_of(Garden(name, Clock()))[0] for name in ("A", "B"))

        assert (first.name, second.name) == ("A__plant", "B__plant")
        assert first.call(**first.bind({"kind": "tulips", "count": 3})) == "3 tulips"
        assert first.call.__self__ is first.app is not second.app


class TestSchema:
    def test_is_a_function_in_the_format_of_openai(self):
        assert plant().schema() == {
            "type": "function",
            "function": {
                "name": "Home__plant",
                "description": "Plant something. Not in winter.",
                "parameters": {
                    "type": "object",
                    "properties": {
                        "kind": {"type": "string", "description": "what to plant, in English."},
                        "count": {"type": "integer", "description": "how many (1: one)."},
                        "depth": {
                            "type": "number",
                            "description": "in centimetres.",
                            "default": 1.5,
                        },
                        "water": {
                            "type": "boolean",
                            "description": "whether to water it.",
                            "default": True,
                        },
                        "beds": {
                            "anyOf": [
                                {"type": "array", "items": {"type": "string"}},
                                {"type": "null"},
                            ],
                            "description": "where to plant it.",
                        },
                        "notes": {
                            "anyOf": [
                                {"type": "object", "additionalProperties": {"type": "integer"}},
                                {"type": "null"},
                            ],
                            "description": "of any kind.",
                        },
                        "label": {
                            "type": "string",
                            "description": "what to write on it.",
                            "default": "",
                        },
                    },
                    "required": ["kind", "count"],
                    "additionalProperties": False,
                },
            },
        }
        assert plant().returns == "What has been planted."

    def test_without_parameters_has_none(self):
        rain = tools_of(Garden("Home", Clock()), "env")[0]

        assert rain.schema()["function"]["parameters"] == {
            "type": "object",
            "properties": {},
            "required": [],
            "additionalProperties": False,
        }


class TestBind:
    def test_fills_in_what_is_not_given(self):
        assert plant().bind({"count": 2, "kind": "tulips"}) == {
            "kind": "tulips",
            "count": 2,
            "depth": 1.5,
            "water": True,
            "beds": None,
            "notes": None,
            "label": "",
        }

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"kind": "a"}, "Home__plant: missing argument 'count'"),
            ({"kind": "a", "count": 1, "coutn": 1}, "no argument 'coutn'; did you mean 'count'"),
            ({"kind": "a", "count": "1"}, "'count' should be a valid integer, got '1'"),
            ({"kind": "a", "count": True}, "'count' should be a valid integer, got True"),
            ({"kind": "a", "count": 1.5}, "'count' should be a valid integer, got 1.5"),
            ({"kind": None, "count": 1}, "'kind' should be a valid string, got None"),
            ({"kind": "a", "count": 1, "label": None}, "'label' should be a valid string"),
            ({"kind": "a", "count": 1, "beds": "north"}, "'beds' should be a valid list"),
            ({"kind": "a", "count": 1, "beds": ["north", 2]}, "'beds' should be a valid string"),
            ({"kind": "a", "count": 1, "notes": {"x": "y"}}, "'notes' should be a valid integer"),
        ],
    )
    def test_says_what_is_wrong(self, arguments, message):
        with pytest.raises(ToolError, match=message):
            plant().bind(arguments)

    def test_takes_whole_numbers_for_any(self):
        assert plant().bind({"kind": "a", "count": 1, "depth": 2})["depth"] == 2

    VALUES = st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False).filter(lambda x: x % 1)
        | st.text(),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
        max_leaves=4,
    )

    @given(
        st.dictionaries(
            st.sampled_from(["kind", "count", "depth", "water", "beds", "notes", "label", "x"]),
            VALUES,
        )
    )
    def test_lets_through_what_the_schema_allows(self, arguments):
        each = plant()
        validator = Draft202012Validator(each.schema()["function"]["parameters"])

        try:
            bound = each.bind(arguments)
        except ToolError:
            assert not validator.is_valid(arguments)
        else:
            assert validator.is_valid(arguments)
            assert bound == {**bound, **arguments}
