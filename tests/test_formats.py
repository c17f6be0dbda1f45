"""Output forms of other models: what each looks like, and that nothing in them is more than data."""

import json

import pytest
from growth import seconds

from tl.calls import Call, CallSyntaxError
from tl.forms import detect, read_calls, read_prediction
from tl.schema import ToolSpec
from tl.trajectory import Trajectory

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
        ("json", f"{OBJECT}<end_of_turn>\n"),
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


CODER = """<tool_call>
<function=search>
<parameter=query>
12
cats
</parameter>
<parameter=limit>
3
</parameter>
</function>
</tool_call>"""


def test_arguments_in_tags_of_their_own_are_strings_unless_the_schema_says_otherwise():
    assert read_calls(CODER, tools=TOOLS) == [Call("search", {"query": "12\ncats", "limit": 3})]
    assert read_calls(f"I look.\n{CODER}\n{CODER}") == [Call("search", {"query": "12\ncats", "limit": "3"})] * 2
    assert read_calls(CODER.replace("3", "many"), tools=TOOLS)[0].arguments["limit"] == "many"
    assert read_calls("<tool_call>\n<function=search>\n</function>\n</tool_call>") == [Call("search", {})]
    for broken in (CODER.replace("limit", "query"), CODER.replace("</parameter>\n<p", "<p")):
        with pytest.raises(CallSyntaxError):
            read_calls(broken, "tool_call")


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
        "Final Answer: half of a character, \ud83d",
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


FORECAST = Call("get_forecast", {"city": "Oslo", "days": 2})
CLOCK = Call("get_time", {"zone": "CET"})
GIVEN = '{"city": "Oslo", "days": 2}'
AS_JSON = f'{{"name": "get_forecast", "arguments": {GIVEN}}}'
AS_JSON_2 = '{"name": "get_time", "arguments": {"zone": "CET"}}'
AS_PYTHON = 'get_forecast(city="Oslo", days=2)'
AS_PYTHON_2 = "get_time(zone='CET')"
NOTE = Call("note", {"text": "ends in </tool_call>"})
NOW = Call("now", {})


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        # Markdown's backslashes in names
        (AS_PYTHON.replace("_", r"\_"), [FORECAST]),
        (AS_JSON.replace("_", r"\_"), [FORECAST]),
        (f"Thought: rain?\nAction: get\\_forecast\nAction Input: {GIVEN}", [FORECAST]),
        # lists of texts
        (f"['{AS_PYTHON}']", [FORECAST]),
        (f"""['{AS_PYTHON}', "{AS_PYTHON_2}"]""", [FORECAST, CLOCK]),
        (r"""["get_time(zone=\"CET\")"]""", [CLOCK]),
        # words and code blocks
        (f"Sure, I will ask for two days.\n\n```python\n{AS_PYTHON}\n```\nThat is all.", [FORECAST]),
        (f"Both are needed:\n1. {AS_PYTHON}\n2. `{AS_PYTHON_2}`", [FORECAST, CLOCK]),
        (f"First\n```\n{AS_PYTHON}\n```\nthen\n```json\n[{AS_JSON_2}]\n```", [FORECAST, CLOCK]),
        (f"I use the tool for this: {AS_PYTHON}", [FORECAST]),
        ("Like so.\nget_forecast(\n    city='Oslo',\n    days=2,\n)\nDone.", [FORECAST]),
        # <function_call>
        (f"<function_call>{AS_JSON}</function_call>", [FORECAST]),
        (f"Okay.\n<function_call>\n{AS_JSON}\n</function_call>\n<function_call> {AS_JSON_2}", [FORECAST, CLOCK]),
        (f"<function_calls>[{AS_JSON}, {AS_JSON_2}]</function_calls>", [FORECAST, CLOCK]),
        # [TOOL_CALLS]
        (f"[TOOL_CALLS] [{AS_JSON}]</s>", [FORECAST]),
        (f"I look it up. [TOOL_CALLS]get_forecast{GIVEN}", [FORECAST]),
        (f'[TOOL_CALLS]get_forecast[ARGS]{GIVEN}[TOOL_CALLS]get_time[ARGS]{{"zone": "CET"}}', [FORECAST, CLOCK]),
        # <function=name>
        (f"<function=get_forecast>{GIVEN}</function>", [FORECAST]),
        (f"Let me see. <function=get_forecast>\n{GIVEN}\n</function><|eom_id|>", [FORECAST]),
        (f"<function=get_forecast>{GIVEN}</function><function=get_time>{{'zone': 'CET'}}", [FORECAST, CLOCK]),
        # several of ChatGLM-4's
        (f'get_forecast\n{GIVEN}\nget_time\n{{"zone": "CET"}}', [FORECAST, CLOCK]),
        (f'get_forecast\n{GIVEN}<|assistant|>get_time\n{{"zone": "CET"}}', [FORECAST, CLOCK]),
        (f"get_forecast\n{GIVEN}\n\nget_time {{'zone': 'CET'}}<|observation|>", [FORECAST, CLOCK]),
        (f"<|assistant|>get_forecast\n{GIVEN}", [FORECAST]),
        (f"I look it up.<|assistant|>get_forecast\n{GIVEN}<|observation|>\nrain", [FORECAST]),
        (f"<|assistant|>get_forecast\n{GIVEN}\n<|assistant|>get_time\n{{'zone': 'CET'}}", [FORECAST, CLOCK]),
        # what was thought before
        (f"<think>\nOslo, so f(x=1)?\n</think>\n\n{AS_PYTHON}", [FORECAST]),
        (f"<think></think>{AS_JSON}", [FORECAST]),
        (f"<think>A <tool_call>.</think><tool_call>{AS_JSON}</tool_call>", [FORECAST]),
        # a closing tag in a string
        ('<tool_call>{"name": "note", "arguments": {"text": "ends in </tool_call>"}}</tool_call>', [NOTE]),
        ("<tool_call>{'name': 'note', 'arguments': {'text': 'ends in </tool_call>'}}", [NOTE]),
        (
            '<tool_call>{"name": "note", "arguments": {"text": "ends in </tool_call>"}}</tool_call>'
            f"\n<tool_call>{AS_JSON}</tool_call>",
            [NOTE, FORECAST],
        ),
        # no input
        ("Thought: late?\nAction: now\nAction Input:", [NOW]),
        ("Action: now\nAction Input: \nObservation: 12:00", [NOW]),
        ("Action: now\nAction Input:\n\nThought: I wait.", [NOW]),
        # single quotes before an observation
        ("Action: get_time\nAction Input: {'zone': 'CET'}\nObservation: 12:00", [CLOCK]),
        ("Thought: x\nAction: get_time\nAction Input: {'zone': \"CET\"}\n\nObservation: {'at': 12}", [CLOCK]),
        ("Action: get_time\nAction Input:\n{'zone': 'CET'}\nObservation", [CLOCK]),
        # an object with a sentence before or after it
        (f"I will look this up. {AS_JSON}", [FORECAST]),
        (f"{AS_JSON}\nThis asks for two days.", [FORECAST]),
        (f"Answer:\n[{AS_JSON}, {AS_JSON_2}] are the calls.", [FORECAST, CLOCK]),
        (f"Sure: {AS_JSON}", [FORECAST]),
    ],
)
def test_forms_that_real_models_write(text, calls):
    assert read_calls(text) == calls


@pytest.mark.parametrize(
    "text",
    [
        "It is fine in Oslo; use now() to get the time.",
        "Use get_time(zone='CET') for that, or ask somebody.",
        "The result is {'degrees': 3, 'city': 'Oslo'} [1].",
        'Here it is: {"name": "Oslo", "people": 700000}',
        '{"answer": 42}',
    ],
)
def test_an_answer_that_mentions_calls_or_objects_is_no_call(text):
    with pytest.raises(CallSyntaxError):
        read_calls(text)


def test_calls_among_words_are_those_of_known_tools():
    text = f"```python\nprint(x=1)\nsearch(query='cats', limit=3)\n```\n{AS_JSON}"
    assert read_calls(text, tools=TOOLS) == [SEARCH]
    assert read_calls(text) == [Call("print", {"x": 1}), SEARCH]


def test_a_form_by_name_takes_no_words_around():
    for form, text in (("json", f"Sure. {AS_JSON}"), ("python", f"Sure.\n{AS_PYTHON}"), ("json", r'{"name": "a\_b"}')):
        with pytest.raises(CallSyntaxError):
            read_calls(text, form)


def repeated(unit: str, before: str = "", after: str = ""):
    return lambda n: before + unit * (n // len(unit)) + after


LONG = {
    "fence": [
        repeated("\n", "```json\n", "x"),
        repeated(" ", "```", "x"),
        repeated("```\n"),
        repeated("```!", "", "\n"),
    ],
    "action": [
        repeated("Action:"),
        repeated(" ", "Action: f", "\ny"),
        repeated("Action: f\n"),
        repeated("Action: {\n"),
    ],
    "input": [
        repeated("Action Input", "Action:"),
        repeated("Action: f\nAction Input: {\n"),
        repeated("\n", "Action: f"),
    ],
    "tool_call": [
        repeated("<tool_call>"),
        repeated('<tool_call>{"a":"'),
        repeated("<tool_call>[','", "<tool_call>['"),
        repeated('<tool_call>{"name":"f"}'),
        repeated(" ", "<tool_call>", "x"),
    ],
    "functioncall": [
        repeated("<functioncall>"),
        repeated("' ", """<functioncall>{"name": "f", "arguments": '"""),
        repeated("'} ", """<functioncall>{"name": "f", "arguments": '"""),
    ],
    "marks": [
        repeated("[TOOL_CALLS]a"),
        repeated(" ", "[TOOL_CALLS]a"),
        repeated("\n", "<|assistant|>f"),
        repeated("<function=f>"),
        repeated("<function=f{"),
    ],
    "json": [
        repeated('{"name":"f"}'),
        repeated('{"name":"f","arguments":{"a":"\n"}}'),
        repeated("{"),
        repeated('{"a":[1,1,1,1,1,1,1,1,', "x "),
        repeated("{\"a\":\"{'b':'", "x "),
    ],
    "name_json": [repeated("f\n{}\n"), repeated("a"), repeated("\n", "f")],
    "python": [
        repeated("f(x=1)\n", "", "x y"),
        repeated("9" * 900 + "*", "f(x=", "1)"),
        repeated("'f(x=1)',", "[", "]"),
    ],
    "words": [repeated("a: f("), repeated("a: f(x\n"), repeated("- * "), repeated("\\"), repeated("\\_")],
    "ends": [
        repeated("<|im_end|> ", "", "x"),
        repeated("<think></think>"),
        repeated("<think>"),
        repeated(" ", "", "x"),
    ],
}


@pytest.mark.parametrize(
    "of_length", [pytest.param(f, id=f"{k} {i}") for k, of in LONG.items() for i, f in enumerate(of)]
)
def test_time_is_linear_in_the_length_of_an_output(of_length):
    """The answer of a model, and the same text in a record of a data set."""

    def of_record(text: str) -> None:
        messages = [{"role": role, "content": text} for role in ("user", "assistant", "user")]
        Trajectory.from_openai({"tools": [{"name": "f", "parameters": {}}], "messages": messages})

    for read in (read_calls, of_record):
        long, short = (seconds(read, of_length(n), ValueError) for n in (12_000, 1_500))
        assert long < 24 * short + 0.01  # of eight times the length; quadratic: 64
