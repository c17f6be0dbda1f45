"""Output forms of other models: what each looks like, and that nothing in them is more than data."""

import json

import pytest

from tl.calls import Call, CallSyntaxError
from tl.forms import detect, read_calls, read_prediction
from tl.schema import ToolSpec

SEARCH = Call("search", {"query": "cats", "limit": 3})
TOOLS = (ToolSpec("search", "", {"query": {"type": "string"}, "limit": {"type": "integer"}}, ("query",)),)
ARGUMENTS = '{"query": "cats", "limit": 3}'
OBJECT = f'{{"name": "search", "arguments": {ARGUMENTS}}}'
OPENAI = {"role": "assistant", "tool_calls": [{"id": "c1", "function": {"name": "search", "arguments": ARGUMENTS}}]}


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("python", 'search(query="cats", limit=3)'),  # Table 13
        ("python", "Call: search(query='cats', limit=3)<bot_end>\nThought: cats are wanted"),  # NexusRaven-2
        ("python", "Initial Answer: search(query='cats', limit=3)\nReflection: good"),
        ("python", "[search(query='cats', limit=3)]"),
        ("python", "```python\nsearch(query='cats', limit=3)\n```"),
        ("action", f"Thought: look\nAction: search\nAction Input: {ARGUMENTS}"),  # ToolLLaMA-2
        ("action", f"Action:search\nAction Input:{ARGUMENTS}\nObservation: 12 cats\nThought: fine"),  # Qwen-2
        ("action", "Action: search\nAction Input: {'query': 'cats', 'limit': 3}"),
        ("json", OBJECT.replace("arguments", "parameters")),  # Llama-3.1
        ("json", f"<|python_tag|>{OBJECT}<|eom_id|>"),
        ("json", f"```json\n{OBJECT}\n```"),
        ("json", f"[{OBJECT}]"),
        ("tool_call", f"Let me see.\n<tool_call>\n{OBJECT}\n</tool_call><|im_end|>"),  # Qwen-2.5
        ("tool_call", f"<tool_call>{OBJECT}"),
        ("openai", json.dumps(OPENAI)),  # GPT
        ("openai", json.dumps(OPENAI["tool_calls"])),
        ("openai", json.dumps({"content": None, "function_call": {"name": "search", "arguments": ARGUMENTS}})),
        (
            "openai",
            json.dumps({"function": {"name": "search", "arguments": json.loads(ARGUMENTS)}}),
        ),
        ("name_json", f"search\n{ARGUMENTS}"),  # ChatGLM-4
        ("name_json", f"search {ARGUMENTS}"),
    ],
)
def test_each_form_is_detected_and_read(form, text):
    assert detect(text) == form
    assert read_calls(text, form) == read_calls(text) == [SEARCH]


def test_our_own_form_by_name_is_one_literal_call_and_nothing_else():
    assert read_calls('search(query="cats", limit=3)', "call") == [SEARCH]
    for text in (OBJECT, "search('cats')", "[search(query='cats')]", "search(query='a')\nsearch(query='b')"):
        with pytest.raises(CallSyntaxError):
            read_calls(text, "call")


@pytest.mark.parametrize(
    "text",
    [
        "search(query='a')\nfetch(id=1)",
        "search(query='a'); fetch(id=1)",
        "[search(query='a'), fetch(id=1)]",
        '[{"name": "search", "arguments": {"query": "a"}}, {"name": "fetch", "parameters": {"id": 1}}]',
        '{"name": "search", "arguments": {"query": "a"}}; {"name": "fetch", "arguments": {"id": 1}}',
        '<|python_tag|>{"type": "function", "name": "search", "parameters": {"query": "a"}}; '
        '{"type": "function", "name": "fetch", "parameters": {"id": 1}}',
        '<|python_tag|>{"tool_calls": [{"function": {"name": "search", "arguments": "{\\"query\\": \\"a\\"}"}}, '
        '{"function": {"name": "fetch", "arguments": {"id": 1}}}]}',
        '<tool_call>{"name": "search", "arguments": {"query": "a"}}</tool_call>\n'
        '<tool_call>{"name": "fetch", "arguments": {"id": 1}}</tool_call>',
    ],
)
def test_several_calls_keep_their_order(text):
    assert read_calls(text) == [Call("search", {"query": "a"}), Call("fetch", {"id": 1})]


def test_a_final_answer_is_a_call_of_finish():
    assert read_calls("Thought: I know.\nFinal Answer: 12 cats") == [Call("finish", {"answer": "12 cats"})]


def test_positional_arguments_get_their_names_from_the_tools():
    assert read_calls("search('cats', limit=3)", "python", TOOLS) == [SEARCH]
    for text in ("search('cats', 3, 4)", "search('cats', query='dogs')", "other('cats')"):
        with pytest.raises(CallSyntaxError):
            read_calls(text, "python", TOOLS)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1/4", 0.25),
        ("500*500", 250000),
        ("-(2+3)", -5),
        ("(1, 2.0)", [1, 2.0]),
        ("{'a': [None, true]}", {"a": [None, True]}),
    ],
)
def test_constants_of_python_calls(text, value):
    assert read_calls(f"f(x={text})") == [Call("f", {"x": value})]


@pytest.mark.parametrize(
    "text",
    [
        "f(x=g(y=1))",
        "f(x=__import__('os').system('true'))",
        "f(x=a)",
        "f(x=1/0)",
        "f(x=2**9999999)",
        "f(x='a'*9)",
        "f(x=b'a')",
        "f(x=1j)",
        "f(**{'x': 1})",
        "f(x=1, x=2)",
        "(lambda: 1)(x=1)",
        "f",
        "import os",
        "f(x=1) or g(x=2)",
        "[]",
        "",
        "I would search for cats.",
        '{"name": "f", "arguments": [1]}',
        '{"name": 3, "arguments": {}}',
        '{"arguments": {}}',
        '{"name": "f", "arguments": {"x": NaN}}',
        '{"name": "f", "arguments": {',
        '{"tool_calls": 3}',
        '{"tool_calls": []}',
        "<tool_call>nothing</tool_call>",
        "Action: f\nAction Input: nothing",
        "Action: \nAction Input: {}",
        "f(x=" + "-" * 600 + "1)",
        "f(x=" + "1+" * 900 + "1)",
        "f" + "()" * 400,
        "a." * 900 + "f(1)",
        "[" * 100_000,
        "f(x=" + "(" * 5_000,
        '{"a":' * 50_000,
        "x" * 2_000_000,
    ],
)
def test_what_is_no_call_is_a_syntax_error(text):
    with pytest.raises(CallSyntaxError):
        read_calls(text)


def test_arguments_may_be_left_out():
    assert read_calls('{"name": "now"}') == [Call("now", {})]
    assert read_calls('<tool_call>{"name": "now", "arguments": ""}</tool_call>') == [Call("now", {})]
    assert read_calls("Action: now\nAction Input: {}") == [Call("now", {})]


def test_a_prediction_keeps_its_texts_and_says_why_they_cannot_be_read():
    good = read_prediction(["f(x=1)", "g()"], "call")
    assert good.calls == (Call("f", {"x": 1}), Call("g", {})) and not good.problem
    bad = read_prediction(["f(x=1)", "hello"], "call")
    assert bad.texts == ("f(x=1)", "hello") and bad.calls == () and "format error" in bad.problem


@pytest.mark.parametrize("key", ["params", "args", "input", "parameters", "arguments"])
def test_arguments_are_found_under_their_other_names(key):
    assert read_calls(json.dumps({"name": "calc", key: {"x": 1}})) == [Call("calc", {"x": 1})]
    assert read_calls(f"<tool_call>{json.dumps([{'name': 'calc', key: {'x': 1}}])}</tool_call>") == [
        Call("calc", {"x": 1})
    ]


def test_what_may_be_arguments_under_an_unknown_name_is_a_format_error():
    for text in ('{"name": "calc", "values": {"x": 1}}', '{"name": "calc", "args": {"x": 1}, "params": {"x": 2}}'):
        with pytest.raises(CallSyntaxError, match="expected under `arguments`, not"):
            read_calls(text)


@pytest.mark.parametrize("arguments", [None, "null", "[]", [], "", "{}"])
def test_no_arguments_in_any_spelling(arguments):
    assert read_calls(json.dumps({"name": "now", "arguments": arguments})) == [Call("now", {})]


def test_arguments_encoded_twice_or_with_raw_line_breaks():
    twice = json.dumps({"name": "f", "arguments": json.dumps(json.dumps({"x": 1}))})
    assert read_calls(twice) == [Call("f", {"x": 1})]
    assert read_calls(json.dumps({"name": "f", "arguments": '{"x": "a\nb"}'})) == [Call("f", {"x": "a\nb"})]


def test_glaives_function_calls():
    assert read_calls("""Sure. <functioncall> {"name": "f", "arguments": '{"x": "it's"}'} <|endoftext|>""") == [
        Call("f", {"x": "it's"})
    ]
