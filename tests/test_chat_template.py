"""The chat template that goes with a saved model renders its prompt format, so other programs ask as we train."""

import copy
import gzip
import itertools
import json

import pytest
from forms import FORMS, make_form

from tl.schema import ASK_TO_USER
from tl.templates import Template
from tl.trajectory import Trajectory

sandbox = pytest.importorskip("jinja2.sandbox", reason="renders the template with jinja2")


@pytest.fixture(scope="module", params=FORMS)
def form(request, small_tokenizer, tmp_path_factory) -> Template:
    return make_form(request.param, small_tokenizer, tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture(scope="module")
def template(form):
    """The template in an environment like the one transformers makes."""
    environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value, **settings: json.dumps(value, ensure_ascii=False, **settings)
    environment.globals["raise_exception"] = refuse
    return environment.from_string(form.chat_template())


def refuse(message: str) -> None:
    raise ValueError(message)


def rendered(template, record: dict) -> str:
    """What a chat function makes of a record; it asks for a next turn unless the assistant has the last word."""
    asks = record["messages"][-1]["role"] != "assistant"
    return template.render(
        messages=record["messages"], tools=record.get("tools"), bos_token="<s>", add_generation_prompt=asks
    )


def prompt(form: Template, record: dict) -> str:
    """What the form makes of it, with the first token and with the end of a last turn."""
    trajectory = Trajectory.from_openai(record)
    space = " " * form.tokenizer.vocabulary.adds_space
    segments = form.segments(trajectory.tools, trajectory.messages)
    end = form.after if segments[-1].turn else ()
    return "".join(["" if form.name == "chatml" else "<s>", *(space * bool(s.turn) + s.text for s in segments), *end])


def tool(name: str, properties: dict | None = None, required: tuple = (), description: str | None = "Does it.") -> dict:
    parameters = {"type": "object", "properties": properties or {}, "required": list(required)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


def call(name: str, arguments: dict, id: str | None = None) -> dict:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


USER = {"role": "user", "content": "Find <s>cats</s>\nand dogs."}
TOOLS = {
    "no tools": [],
    "no parameters": [tool("now")],
    "no description": [tool("now", description=None)],
    "a bare function": [tool("now")["function"]],
    "no schema at all": [{"type": "function", "function": {"name": "now", "description": "x", "parameters": None}}],
    "optional before required": [
        tool("search", {"limit": {"type": "integer"}, "query": {"type": "string", "description": "what"}}, ("query",))
    ],
    "line breaks and spaces": [
        tool("f", {"a": {"type": "string", "description": " one\n  two "}}, description=" x\n\n  y\tz ")
    ],
    "names that need quotes": [tool("page size", {"limit=10": {"type": "string"}, "ünïcode": {"type": "string"}})],
    "names of signs": [tool("api/v2.search-all:x", {"$from": {"type": "string"}, "@class": {"type": "string"}})],
    "more than a type": [
        tool(
            "f",
            {
                "unit": {"type": "string", "enum": ["°C", "°F"], "description": "Unit."},
                "items": {"type": "array", "items": {"type": "object", "properties": {"items": {"type": "null"}}}},
                "either": {"type": ["null", "integer"], "default": 3},
                "nothing": {"type": ["null"]},
                "any": {},
                "union": {"anyOf": [{"type": "null"}, {"oneOf": [{"type": "null"}, {"type": "number"}]}]},
                "open": {"anyOf": [{}, {"type": "number"}]},
            },
        )
    ],
    "two of one name": [tool("f"), tool("f", description="Another.")],
    "a built-in of one's own": [tool("finish", {"text": {"type": "string"}}, ("text",)), tool("now")],
    "the built-in given": [ASK_TO_USER.to_openai()],
}
CONVERSATIONS = {
    "a question": [USER],
    "a system message": [{"role": "system", "content": "Be kind.\n"}, USER],
    "an empty system message": [{"role": "system", "content": ""}, USER],
    "a call and its feedback": [
        USER,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("search", {"query": "a", "limit": 3})]},
        {"role": "tool", "content": '{"error": null}\n'},
    ],
    "values of every kind": [
        USER,
        {
            "role": "assistant",
            "tool_calls": [
                call(
                    "f",
                    {"s": 'é"\\\n\x85\u2028\u2029<&>', "n": -1.5e30, "t": True, "o": None, "l": [{"k": []}], "a b": {}},
                )
            ],
        },
    ],
    "no arguments": [USER, {"role": "assistant", "tool_calls": [call("page size", {})]}],
    "parallel calls": [
        USER,
        {"role": "assistant", "tool_calls": [call("f", {"x": 1}, "1"), call("f", {"x": 2}, "2")]},
        {"role": "tool", "tool_call_id": "1", "content": "one"},
        {"role": "tool", "tool_call_id": "2", "content": "two"},
        {"role": "user", "content": "More"},
    ],
    "parallel calls, one answered": [
        USER,
        {"role": "assistant", "tool_calls": [call("f", {"x": 1}), call("f", {"x": 2})]},
        {"role": "tool", "content": "one"},
        {"role": "assistant", "tool_calls": [call("f", {"x": 3})]},
    ],
    "text in mid-conversation": [USER, {"role": "assistant", "content": "Which? "}, USER],
    "text at the end": [USER, {"role": "assistant", "content": 'Two "cats".\n'}],
}


@pytest.mark.parametrize("name", TOOLS)
def test_tools_are_rendered_as_in_the_prompt(form, template, name):
    record = {"tools": TOOLS[name], "messages": [USER]}
    assert rendered(template, record) == prompt(form, record)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations_are_rendered_as_in_the_prompt(form, template, name):
    record = {"tools": [tool("search")], "messages": CONVERSATIONS[name]}
    assert rendered(template, record) == prompt(form, record)


@pytest.mark.parametrize("form", ["table13"], indirect=True)
def test_the_history_holds_no_end_token(template):
    messages = CONVERSATIONS["a call and its feedback"]
    text = rendered(template, {"messages": [{"role": "user", "content": "Hi"}, *messages[1:]]})
    assert text.startswith("<s>System: Function:\ndef ask_to_user(") and text.endswith("\nAssistant:")
    assert "</s>" not in text


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([USER, {"role": "tool", "content": "x"}], "feedback without a call"),
        (
            [USER, {"role": "assistant", "tool_calls": [call("f", {})]}, *[{"role": "tool", "content": "x"}] * 2],
            "feedback without a call",
        ),
        ([USER, {"role": "system", "content": "x"}], "a system message can only be the first"),
        ([USER, {"role": "assistant", "tool_calls": [call("f", '{"x": 1}')]}], "arguments of a call must be an object"),
        (
            [
                USER,
                {"role": "assistant", "tool_calls": [call("f", {"x": 1}, "1"), call("f", {"x": 2}, "2")]},
                {"role": "tool", "tool_call_id": "2", "content": "two"},
            ],
            "feedback must follow its calls in their order",
        ),
    ],
)
def test_what_cannot_be_rendered_as_in_the_prompt_is_refused(template, messages, message):
    with pytest.raises(ValueError, match=message):
        rendered(template, {"messages": messages})


def test_real_records_are_rendered_as_in_the_prompt(form, template, shared):
    with gzip.open(shared / "data" / "trajectories" / "openai_messages.jsonl.gz", "rt", encoding="utf-8") as file:
        records = [json.loads(line) for line in itertools.islice(file, 0, None, 25)]
    compared = 0
    for record in records:
        parsed = with_parsed_arguments(record)
        if parsed is not None:
            assert rendered(template, parsed) == prompt(form, record), record["id"]
            compared += 1
    assert compared > 120


def with_parsed_arguments(record: dict) -> dict | None:
    """The record with objects for arguments, as chat functions want them; None if some are not JSON objects."""
    record = copy.deepcopy(record)
    for message in record["messages"]:
        for entry in message.get("tool_calls") or []:
            try:
                entry["function"]["arguments"] = json.loads(entry["function"]["arguments"])
            except ValueError:
                return None
            if not isinstance(entry["function"]["arguments"], dict):
                return None
    return record
