"""A record of messages, however people write it → the right calls, results and weights; and back."""

from __future__ import annotations

import copy
import json
import random
import time
from collections import Counter

import pytest
from records import SEARCH, SEARCH_SPEC, calls, feedback, record, text, user

from tl.mae import ErrorCategory, call_categories, erroneous_calls
from tl.schema import ASK_TO_USER, BUILT_INS, FINISH, ToolSpec
from tl.trajectory import Message, Note, Trajectory


def named(*names: str) -> dict:
    return {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": "{}"}} for name in names]}


def result(content: str, name: str | None = None) -> dict:
    return {"role": "tool", "content": content} | ({"name": name} if name else {})


PART = {"index": 0, "function": {"name": "", "arguments": '{"q": "a"}'}}  # of a streamed call


def read(*messages: object, **more) -> tuple[Message, ...]:
    return Trajectory.from_openai(record(*messages, **more)).messages


def called(text: str) -> Message:
    return Message("assistant", text, is_call=True)


# ---- OpenAI messages


def test_calls_and_feedback_become_a_flat_list_of_messages():
    given = record(
        {"role": "system", "content": "Be brief."},
        user(),
        calls('{"q": "cats"}'),
        feedback("[]"),
        text("None found. Dogs?"),
        user("Yes."),
        calls('{"q": "dogs"}'),
        feedback("[1]"),
        calls("{}"),
    )
    assert Trajectory.from_openai(given) == Trajectory(
        "r",
        (SEARCH_SPEC, *BUILT_INS),
        (
            Message("system", "Be brief."),
            Message("user", "Find cats."),
            called('search(q="cats")'),
            Message("tool", "[]"),
            Message("assistant", "None found. Dogs?"),
            Message("user", "Yes."),
            called('search(q="dogs")'),
            Message("tool", "[1]"),
            called("search()"),
        ),
    )


def test_text_that_ends_a_conversation_becomes_finish():
    assert read(user(), text('Two "cats".\nBye.'))[-1] == called('finish(answer="Two \\"cats\\".\\nBye.")')


def test_a_conversation_without_an_answer_gets_none_invented():
    assert read(user(), calls('{"q": "x"}'), feedback("1"))[-1] == Message("tool", "1")
    assert read(user(), text("Which?"), user("Cats."))[-1] == Message("user", "Cats.")


def test_text_beside_a_call_is_dropped():
    assert read(user(), calls('{"q": "x"}', content="I will search.")) == read(user(), calls('{"q": "x"}'))


def test_parallel_calls_become_consecutive_pairs_matched_by_id():
    messages = read(
        user(),
        calls('{"q": "a"}', '{"q": "b"}', '{"q": "c"}'),
        feedback("C", "c3"),
        feedback("A", "c1"),
        calls('{"q": "d"}'),
        feedback("D", "c1"),
    )
    assert [message.content for message in messages[1:]] == [
        'search(q="a")',
        "A",
        'search(q="b")',
        'search(q="c")',
        "C",
        'search(q="d")',
        "D",
    ]


def test_calls_that_are_written_as_turns_of_their_own_are_counted():
    three, one = calls('{"q": "a"}', '{"q": "b"}', '{"q": "c"}'), calls('{"q": "d"}')
    trajectory, notes = read_with_notes(record(user(), three, feedback("B", "c2"), user(), one, feedback("D", "c1")))
    assert [message.joined for message in trajectory.messages if message.is_call] == [False, True, True, False]
    assert notes == {Note.PARALLEL: 2}


def test_feedback_without_ids_is_matched_in_order():
    messages = read(user(), calls('{"q": "a"}', '{"q": "b"}'), feedback("A", None), feedback("B", None))
    assert [message.content for message in messages[1:]] == ['search(q="a")', "A", 'search(q="b")', "B"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('{"q": "a", "n": [1, null]}', 'search(q="a", n=[1, null])'),
        (" {\n} ", "search()"),
        ({"q": True}, "search(q=true)"),
        ("{'q': None}", "search(q=null)"),  # Python's literals are read as JSON's
        ("", "search()"),
        ("[1, 2]", "search([1, 2])"),
        ('{q: "a"}', 'search({q: "a"})'),
        ('{"q": "a"', 'search({"q": "a")'),
        ('{"q": NaN}', 'search({"q": NaN})'),
        ('{"q": 1, "q": 2}', 'search({"q": 1, "q": 2})'),
        ("not\njson", "search(not\njson)"),
    ],
)
def test_arguments_that_do_not_parse_stay_as_they_are(arguments, expected):
    assert read(user(), calls(arguments))[-1] == called(expected)


def test_the_built_in_tools_are_appended_where_they_are_missing():
    assert Trajectory.from_openai(record(user(), tools=None)).tools == BUILT_INS
    own = {"name": "finish", "description": "Mine.", "parameters": {}}
    tools = Trajectory.from_openai(record(user(), tools=[own, SEARCH])).tools
    assert tools == (ToolSpec("finish", "Mine.", {}, ()), SEARCH_SPEC, ASK_TO_USER)


def test_the_label_of_the_source_is_not_read():
    assert read(user(), calls("{}"), feedback("1", error=True)) == read(user(), calls("{}"), feedback("1"))


def test_calls_come_with_their_feedback():
    trajectory = Trajectory.from_openai(
        record(user(), calls('{"q": "a"}', '{"q": "b"}'), feedback("B", "c2"), user("And?"), text("Done."))
    )
    assert [(message.content, answer) for message, answer in trajectory.calls()] == [
        ('search(q="a")', None),
        ('search(q="b")', "B"),
        ('finish(answer="Done.")', None),
    ]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "at least one message"),
        (3, "a record must be an object"),
        ("x", "a record must be an object"),
        ({"text": "x"}, "no `messages`, but text"),
        (record(), "at least one message"),
        (record() | {"messages": {"role": "user"}}, "the messages must be a list"),
        (record(user(), id=["a"]), "the id must be a string"),
        (record(user(), tools={"a": 1}), "the tools must be a list"),
        (record(user(), tools=[{"name": "f", "parameters": {"properties": {"a": {"type": "x"}}}}]), "unknown type 'x'"),
        (record("hello"), "message 1: must be an object"),
        (record(user(), {"content": "x"}), "message 2: no `role` and `content`, but content"),
        (record(user(), {"role": "critic", "content": "x"}), "message 2: unknown role 'critic'"),
        (record({"role": "user", "content": None}), "message 1: the content must be a string, not None"),
        (
            record({"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}),
            "message 1: contains an image_url",
        ),
        (record({"role": "user", "content": [{"type": "poem"}]}), "message 1: a part .* unknown type 'poem'"),
        (
            record({"role": "user", "content": [{"type": "text", "input_text": "x"}]}),
            "message 1: .* must be a string, not None",
        ),
        (record(user() | {"tool_calls": calls("{}")["tool_calls"]}), "message 1: a call in a message of the user's"),
        (
            record(user(), calls("{}"), feedback("1") | {"function_call": {"name": "f"}}),
            "message 3: a call in .* tool's",
        ),
        (record(user(), images=["a.png"]), "has `images`, which a text model cannot read"),
        (record(user(), calls("{}") | {"loss_scale": 2}), "message 2: `loss_scale` affects training"),
        (record(user(), calls("{}") | {"weight": 0.5}), "message 2: `weight` must be 0 or 1"),
        (record(user(), calls("{}") | {"weight": 0, "loss": True}), "message 2: `weight` and `loss` contradict"),
        (record(user(), text("x"), weight=0), "`weight` is outside the messages"),
        (record(user(), text(3)), "message 2: the content must be a string, not 3"),
        (record(user(), text(None)), "message 2: the content must be a string"),
        (record(user(), text(" \n")), "message 2: an assistant message with neither text nor a call"),
        (record(user(), {"role": "system", "content": "x"}), "only the first message may be a system message"),
        (record(user(), feedback("1")), "message 2: feedback without a call"),
        (record(user(), calls("{}"), user(), feedback("1")), "message 4: feedback without a call"),
        (
            record(user(), calls("{}"), feedback("1", "c9")),
            "message 3: feedback for the call 'c9', which does not exist",
        ),
        (
            record(user(), calls("{}"), feedback("1"), feedback("2")),
            "message 4: feedback for the call 'c1', .* already",
        ),
        (record(user(), calls("{}"), feedback("1"), feedback("2", None)), "message 4: feedback for the call None"),
        (record(user(), calls("{}"), feedback(None)), "message 3, feedback: the content must be a string"),
        (record(user(), calls("{}") | {"tool_calls": "x"}), "message 2: `tool_calls` must be a list"),
        (record(user(), calls("{}") | {"tool_calls": ["x"]}), "message 2: `tool_calls` must be a list of objects"),
        (record(user(), calls("{}") | {"tool_calls": [{"id": "c"}]}), "message 2: a call without the name"),
        (record(user(), named("a"), named("a"), result("1")), "message 4: 2 calls and 1 results, but neither ids"),
        (
            record(user(), {"role": "assistant", "tool_calls": [{"index": 0, "function": {"name": "search"}}, PART]}),
            "message 2: a call without the name of a function",
        ),
        (record(user(), calls("{}"), feedback("", error="busy")), "message 3: an `error` beside the content"),
        (record(user(), calls("{}"), {"role": "tool", "tool_responses": ["x"]}), "message 3: `tool_responses` must be"),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_with_its_place(given, reason):
    with pytest.raises(ValueError, match=reason):
        Trajectory.from_openai(given)


# ---- what is easily misread


def read_with_notes(given: object) -> tuple[Trajectory, dict[Note, int]]:
    notes: Counter[Note] = Counter()
    trajectory = Trajectory.from_openai(given, "", notes)
    return trajectory, {note: count for note, count in notes.items() if count}


BARE = {"name": "search", "description": "Find it.", "parameters": {"q": {"type": "string"}}, "required": ["q"]}
TOLD = f"You have these tools:\n{json.dumps([BARE])}\nUse them."


@pytest.mark.parametrize(
    "given",
    [
        {"functions": [BARE]},
        {"tool_defs": [BARE]},
        {"tools": json.dumps([SEARCH])},
        {"tools": [json.dumps(BARE)]},
        {"tools": repr([BARE])},
    ],
)
def test_tools_are_found_under_any_of_their_names(given):
    trajectory = Trajectory.from_openai({"messages": [user(), calls('{"q": "a"}'), feedback("1")]} | given)
    assert trajectory.tools == (SEARCH_SPEC, *BUILT_INS) and erroneous_calls(trajectory) == [False]


@pytest.mark.parametrize(
    ("system", "rest"),
    [
        (TOLD, "You have these tools:\nUse them."),
        (f"Tools: <tools> {json.dumps(BARE)}\n{json.dumps(BARE | {'name': 'x'})} </tools> Go.", "Tools:\nGo."),
        (f"<tools>\n{[BARE]!r}\n</tools>", ""),
        (f"Functions. Use them if required -\n{json.dumps(BARE, indent=4)}\n\n{json.dumps(BARE)}", None),
        (f"Call one: {[BARE]!r}", "Call one:"),
    ],
)
def test_tools_in_the_system_message_are_read_and_stand_there_no_longer(system, rest):
    given = {"messages": [{"role": "system", "content": system}, user(), calls('{"q": "a"}'), feedback("1")]}
    trajectory, notes = read_with_notes(given)
    assert trajectory.tools[0] == SEARCH_SPEC and erroneous_calls(trajectory) == [False]
    assert notes == {Note.SYSTEM_TOOLS: 1}
    first = trajectory.messages[0]
    assert first == (Message("system", rest) if rest else first) and "parameters" not in first.content


OTHER = {"name": "find", "description": "Find.", "parameters": {"type": "object", "properties": {"n": {}}}}


@pytest.mark.parametrize(
    "system",
    [
        f"Use the function 'search' to 'Find.':\n{json.dumps(BARE)}\n\nUse the function 'find':\n{json.dumps(OTHER)}",
        f"<tools>{json.dumps(BARE)}</tools> And: <tools>{json.dumps(OTHER)}</tools>",
        f"First {json.dumps([BARE])}, then {json.dumps([OTHER])}.",
        f"<tools>{json.dumps(BARE)}</tools> Also {json.dumps([OTHER])}.",
    ],
)
def test_tools_in_several_places_of_the_system_message_are_all_read(system):
    given = {"messages": [{"role": "system", "content": system}, user(), text("Hi.")]}
    trajectory = Trajectory.from_openai(given)
    assert [tool.name for tool in trajectory.tools] == ["search", "find", "ask_to_user", "finish"]
    assert "description" not in trajectory.messages[0].content


@pytest.mark.parametrize(
    "example",
    [
        '{"name": "search", "parameters": {"q": 1}}',
        '{"name": "x", "parameters": {}}',
        '[{"name": "t", "description": ""}]',
    ],
)
def test_what_follows_the_tools_and_declares_no_other_ones_stays_in_the_system_message(example):
    system = f"<tools>{json.dumps(BARE)}</tools>\n{example}"
    trajectory = Trajectory.from_openai({"messages": [{"role": "system", "content": system}, user(), text("Hi.")]})
    assert trajectory.tools == (SEARCH_SPEC, *BUILT_INS) and trajectory.messages[0].content == example
    assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


def test_a_tool_may_be_declared_twice_if_both_are_the_same():
    told = "<tools>{}</tools>\n{}"
    said = [{"role": "system", "content": told.format(*[json.dumps(BARE)] * 2)}, user(), text("Hi.")]
    assert Trajectory.from_openai({"messages": said}).tools == (SEARCH_SPEC, *BUILT_INS)
    said[0]["content"] = told.format(json.dumps(BARE), json.dumps(BARE | {"parameters": {"p": {"type": "string"}}}))
    with pytest.raises(ValueError, match="the message declares 'search' twice, and differently"):
        Trajectory.from_openai({"messages": said})


LLAMA = (
    "Given the following functions, please respond with a JSON for a function call with its proper arguments that best "
    'answers the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of argument '
    f"name and its value}}.Do not use variables.\n\n{json.dumps(SEARCH, indent=4)}\n\n{json.dumps(OTHER, indent=4)}"
    "\n\nFind cats."
)


@pytest.mark.parametrize("system", [[], [{"role": "system", "content": "Be brief."}]])
def test_tools_in_the_first_request_are_read_if_they_stand_there_as_in_llama_3(system):
    said = [*system, user(LLAMA), text('{"name": "search", "parameters": {"q": "a"}}'), feedback("1", None)]
    trajectory, notes = read_with_notes({"messages": said})
    assert trajectory.tools[0] == SEARCH_SPEC and trajectory.tools[1].name == "find"
    assert [m.content for m in trajectory.messages[len(system) :]] == ["Find cats.", 'search(q="a")', "1"]
    assert notes == {Note.SYSTEM_TOOLS: 1, Note.TEXT_CALLS: 1}


def test_tools_in_the_first_request_in_any_other_form_are_refused_if_there_is_no_list_elsewhere():
    asked = user(f"Use these tools: {json.dumps([OTHER])}. Find cats.")
    with pytest.raises(ValueError, match="message 1: a list of tools in a user's message"):
        Trajectory.from_openai({"messages": [asked, text("No.")]})
    assert read(asked, text("No."))[0].content == asked["content"]


def test_lists_of_tools_that_differ_are_refused():
    system = {"role": "system", "content": f"Tools:\n{json.dumps([OTHER])}"}
    with pytest.raises(ValueError, match="`tools` and `functions` list different tools"):
        read(user(), text("Hi."), functions=[OTHER])
    with pytest.raises(ValueError, match="the record and its system message list different tools"):
        read(system, user(), text("Hi."))
    assert read(system, user(), text("Hi."), tools=[OTHER], functions=json.dumps([OTHER]))[0].content == "Tools:"


def test_a_list_that_declares_no_tools_stays_in_the_system_message():
    system = 'Answer like this: [{"name": "Ann", "age": 3}]'
    trajectory, notes = read_with_notes({"messages": [{"role": "system", "content": system}, user(), text("Hi.")]})
    assert trajectory.messages[0].content == system and trajectory.tools == BUILT_INS and not notes


def test_without_any_list_the_tools_are_the_names_that_are_called():
    given = [user(), calls('{"q": "a"}'), feedback("1"), calls('{"q": "b", "n": 2, "x": null}'), text("Done.")]
    trajectory, notes = read_with_notes({"messages": given})
    assert trajectory.tools == (ToolSpec("search", "", {"q": {}, "n": {}}, ()), *BUILT_INS)
    assert trajectory.messages[3] == called('search(q="b", n=2)')
    assert erroneous_calls(trajectory) == [False] * 3
    assert notes == {Note.IMPLIED_TOOLS: 1, Note.PADDING: 1}


def test_where_a_list_lacks_the_name_the_call_is_a_hallucination():
    other = {"name": "find", "parameters": {}}
    trajectory = Trajectory.from_openai(record(user(), calls("{}"), tools=[other]))
    assert call_categories(trajectory) == [ErrorCategory.TOOL_HALLUCINATION]


CALL = '{"name": "search", "arguments": {"q": "a"}}'


@pytest.mark.parametrize(
    "content",
    [
        f"<tool_call>\n{CALL}\n</tool_call>",
        f"<think>Look first.</think>\n<tool_call>{CALL}</tool_call>",
        "<tool_call>{'arguments': {'q': 'a'}, 'name': 'search'}</tool_call>",
        '<functioncall> {"name": "search", "arguments": \'{"q": "a"}\'} <|endoftext|>',
        'Thought: look\nAction: search\nAction Input: {"q": "a"}',
        'Action: search\nAction Input: {"q": "a"}\nObservation: 12 imagined cats',
        CALL,
        f"```json\n{CALL}\n```",
        '[{"name": "search", "parameters": {"q": "a"}}]',
        '[TOOL_CALLS] [{"name": "search", "arguments": {"q": "a"}}]',
        'search(q="a")',
        "[search(q='a')]",
    ],
)
def test_a_call_that_is_written_in_the_text_is_a_call(content):
    trajectory, notes = read_with_notes(record(user(), text(content), user("Observation: [1]"), text("One.")))
    assert [message.content for message in trajectory.messages[1:]] == ['search(q="a")', "[1]", 'finish(answer="One.")']
    assert trajectory.messages[2].role == "tool" and notes[Note.TEXT_CALLS] == 1


def test_several_calls_in_a_text_get_their_results_in_tags():
    both = f"<tool_call>{CALL}</tool_call>\n<tool_call>" + CALL.replace('"a"', '"b"') + "</tool_call>"
    results = "<tool_response>A</tool_response>\n<tool_response>B</tool_response>"
    for role in ("tool", "user"):
        messages = read(user(), text(both), {"role": role, "content": results})
        assert [m.content for m in messages[1:]] == ['search(q="a")', "A", 'search(q="b")', "B"]


REACT = """Thought: look
Action: search
Action Input: {"q": "a"}
Observation: Error: busy
Thought: again
Action: search
Action Input: {"q": "b"}
Observation: [1]
Thought: known
Final Answer: One."""
HERMES = f"""<tool_call>{CALL}</tool_call>
<tool_response>
Error: busy
</tool_response>
<tool_call>{CALL.replace('"a"', '"b"')}</tool_call><tool_response>[1]</tool_response>
One."""


@pytest.mark.parametrize("trace", [REACT, HERMES, REACT.replace("\nThought: again", "")])
def test_a_trace_in_one_message_is_its_calls_results_and_answer(trace):
    trajectory = Trajectory.from_openai(record(user(), text(trace)))
    assert [(m.role, m.content) for m in trajectory.messages[1:]] == [
        ("assistant", 'search(q="a")'),
        ("tool", "Error: busy"),
        ("assistant", 'search(q="b")'),
        ("tool", "[1]"),
        ("assistant", 'finish(answer="One.")'),
    ]
    assert erroneous_calls(trajectory) == [True, False, False]
    masked = Trajectory.from_openai(record(user(), text(trace) | {"weight": 0}))
    assert erroneous_calls(masked) == [True] * 3


def test_the_results_of_parallel_calls_in_a_trace_are_matched_in_order():
    both = f"<tool_call>{CALL}</tool_call><tool_call>{CALL.replace('search', 'find')}</tool_call>"
    results = '<tool_response>1</tool_response><tool_response>{"name": "find", "content": 2}</tool_response>Both.'
    assert [m.content for m in read(user(), text(both + results))[1:]] == [
        'search(q="a")',
        "1",
        'find(q="a")',
        "2",
        'finish(answer="Both.")',
    ]


def test_an_empty_observation_is_a_result_within_a_trace_and_a_stop_word_at_its_end():
    empty = REACT.replace(" Error: busy", "")
    assert [m.content for m in read(user(), text(empty))[1:3]] == ['search(q="a")', ""]
    assert len(read(user(), text('Action: search\nAction Input: {"q": "a"}\nObservation:'))) == 2


def test_a_message_may_begin_with_the_result_of_the_call_in_the_message_before():
    for mark in ("Observation: Error", "Observation: [1]"):
        at = REACT.index(mark)
        assert read(user(), text(REACT[:at]), text(REACT[at:])) == read(user(), text(REACT))
    prose = "Observation: The sky is blue."
    assert read(user(), text(prose))[1].call.arguments == {"answer": prose}


def test_an_observation_is_made_up_where_the_next_message_brings_the_result():
    imagined = REACT[: REACT.index("\nThought: again")] + "\nThought: known\nFinal Answer: None."
    messages = read(user(), text(imagined), user("Observation: [1]"), text("One."))
    assert [m.content for m in messages[1:]] == ['search(q="a")', "[1]", 'finish(answer="One.")']


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([text(REACT), user("Observation: [2]")], "several calls with results in one message, and another result"),
        ([text(HERMES), result("[2]")], "several calls with results in one message, and another result"),
        ([text(REACT.replace("Observation: [1]\n", ""))], "an Action with another one or a Final Answer"),
        ([text(REACT.replace("Observation: Error: busy\n", ""))], "an Action with another one or a Final Answer"),
    ],
)
def test_a_trace_whose_results_are_unclear_is_refused(messages, reason):
    with pytest.raises(ValueError, match=f"message 2: {reason}"):
        read(user(), *messages)


def test_a_broken_call_in_a_text_stays_in_the_context_and_is_not_trained():
    trajectory, notes = read_with_notes(record(user(), text('<tool_call>{"name": "search", "argu</tool_call>')))
    assert trajectory.messages[1] == called('{"name": "search", "argu') and erroneous_calls(trajectory) == [True]
    assert notes[Note.BROKEN_CALLS] == 1


def test_prose_about_calls_is_prose():
    for content in (
        "Use `<tool_call>` tags.",
        "Run this:\n```bash\nls\n```",
        f"{CALL} is it.",
        '{"name": "search"}',
        "f(q=1)",
    ):
        assert read(user(), text(content))[-1].content.startswith("finish(answer=")


@pytest.mark.parametrize(
    "call",
    [
        '<|python_tag|>{"name": "nothing"}',
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.search:0",
        "<|channel|>commentary to=functions.search <|message|>{}",
        "<|action_start|><|plugin|>{}<|action_end|>",
        "<｜tool▁calls▁begin｜>",
        '<minimax:tool_call>\n<invoke name="search">',
        '<function_calls>\n<invoke name="search">\n<parameter name="q">a</parameter></invoke></function_calls>',
        "<tool_call>search\n<arg_key>q</arg_key>\n<arg_value>a</arg_value></tool_call>",
        "✿FUNCTION✿: search\n✿ARGS✿: {}",
        'functools[{"name": "search"}]',
    ],
)
@pytest.mark.parametrize("before", ["", "Let me look.\n"])
def test_calls_in_the_forms_of_other_models_are_refused_wherever_they_begin(call, before):
    with pytest.raises(ValueError, match="message 2: a call in a form that cannot be read: put it"):
        read(user(), text(before + call), user("Thanks."), text("Bye."))


def test_arguments_in_tags_of_their_own_have_the_types_that_the_tool_declares():
    said = "I look.\n<tool_call>\n<function=find>\n<parameter=n>\n5\n</parameter>\n</function>\n</tool_call>"
    for kind, expected in (("integer", "find(n=5)"), ("string", 'find(n="5")')):
        tool = {"name": "find", "parameters": {"type": "object", "properties": {"n": {"type": kind}}}}
        trajectory, notes = read_with_notes(record(user(), text(said), feedback("1", None), tools=[tool]))
        assert trajectory.messages[1] == called(expected)
        assert notes == {Note.TEXT_CALLS: 1, Note.TEXT_BESIDE_CALL: 1}


@pytest.mark.parametrize(
    "trace",
    [
        "Thought 1: look\nAction 1: Search[cats]",
        'thought: look\naction: search\naction input: {"q": "a"}',
        'Action：search\nAction Input：{"q": "a"}',
        '**Action:** search\n**Action Input:** {"q": "a"}',
        'Action:\n```json\n{"action": "search", "action_input": {"q": "a"}}\n```',
        'Thought: look\naction_input: {"q": "a"}\nFinal Answer: One.',
    ],
)
def test_actions_in_other_spellings_are_refused(trace):
    with pytest.raises(ValueError, match="message 2: an action that cannot be read"):
        read(user(), text(trace))


def test_a_final_answer_needs_no_thought():
    assert read(user(), text("Final Answer: One."))[1] == called('finish(answer="One.")')


@pytest.mark.parametrize(
    "said",
    [
        "I use search(q) here.",
        'See {"name": "search"}!',
        "Action: search",
        "Tool: search\nInput: cats",
        '{"tool_name": "search", "q": "a"}',
        '{"search": {"q": "a"}}',
        'search\n{"q": "a"}',
        'search: {"q": "a"}',
        '<tool_call name="search">{"q": "a"}</tool_call>',
        "<search>\n<q>a</q>\n</search>",
        'print(default_api.search(q="a"))',
        '{"name": "look_up", "arguments": {"q": "a"}}',
        '```\nlook_up(q="a")\n```',
    ],
)
def test_answers_that_name_a_tool_as_calls_do_are_counted(said):
    trajectory, notes = read_with_notes(record(user(), text(said)))
    assert trajectory.messages[1].call.name == "finish" and notes == {Note.CALL_LIKE_TEXT: 1}


@pytest.mark.parametrize("said", ["Action: research (new)", "research(q)", "My name: Searcher", "Use `<|tool_call|>`."])
def test_answers_that_only_sound_like_calls_are_answers(said):
    assert not read_with_notes(record(user(), text(said)))[1]


def test_fenced_commands_are_calls_where_the_user_brings_their_output():
    fence = "See.\n```mswea_bash_command\nls -l\n```"
    given = [user(), text(fence), user("<returncode>0</returncode>\n<output>\nx\n</output>"), text(fence), user("")]
    trajectory, notes = read_with_notes({"messages": given})
    assert [m.content for m, _ in trajectory.calls()] == ['bash(command="ls -l")'] * 2
    assert trajectory.messages[2] == Message("tool", given[2]["content"])
    assert notes[Note.TEXT_CALLS] == notes[Note.TEXT_BESIDE_CALL] == 2


@pytest.mark.parametrize("key", ["weight", "loss", "train", "trainable", "loss_mask"])
@pytest.mark.parametrize("zero", [0, False])
def test_a_turn_of_weight_0_stays_in_the_context_and_is_not_trained(key, zero):
    mark = {key: zero}
    given = record(user(), calls('{"q": "a"}') | mark, feedback("1"), text("No.") | mark, user("Then?"), text("Yes."))
    trajectory, notes = read_with_notes(given)
    assert [m.trained for m in trajectory.messages if m.role == "assistant"] == [False, False, True]
    assert erroneous_calls(trajectory) == [True, False] and notes == {Note.WEIGHT_0: 2}
    assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


def test_a_mark_of_1_or_on_another_role_changes_nothing():
    plain = read(user(), calls("{}"), feedback("1"))
    assert read(user() | {"loss": None}, calls("{}") | {"weight": 1}, feedback("1") | {"train": False}) == plain
    assert read_with_notes(record(user() | {"train": True}, text("Hi.")))[1] == {Note.WEIGHT_ELSEWHERE: 1}


def test_results_without_ids_go_by_a_name_that_is_unique():
    messages = read(user(), named("a", "b"), result("Error: of b", "b"), result("of a", "a"))
    assert [m.content for m in messages[1:]] == ["a()", "of a", "b()", "Error: of b"]


def test_results_of_one_name_go_by_order_and_a_foreign_name_is_refused():
    messages = read(user(), named("a", "a", "b"), result("1", "a"), result("B", "b"), result("2", "a"))
    assert [m.content for m in messages[1:]] == ["a()", "1", "a()", "2", "b()", "B"]
    with pytest.raises(ValueError, match="message 3: feedback for the call 'c', which does not exist"):
        read(user(), named("a"), result("1", "c"))


def test_a_result_with_the_id_of_one_call_and_the_name_of_another_is_refused():
    two = {"role": "assistant", "tool_calls": [{"id": n, "name": n * 2, "arguments": {}} for n in "ab"]}
    assert [m.content for m in read(user(), two, feedback("B", "b", name="bb"), feedback("A", "a"))[1::2]] == [
        "aa()",
        "bb()",
    ]
    with pytest.raises(ValueError, match="message 3: feedback for the call 'b'"):
        read(user(), two, feedback("B", "b", name="aa"))


def test_calls_in_messages_of_their_own_are_answered_by_the_results_after_them():
    messages = read(user(), named("a"), named("b"), result("1"), result("2"))
    assert [m.content for m in messages[1:]] == ["a()", "1", "b()", "2"]


def test_the_same_id_twice_is_answered_in_order():
    twice = {"role": "assistant", "tool_calls": calls("{}")["tool_calls"] * 2}
    assert [m.content for m in read(user(), twice, feedback("1"), feedback("2"))[2::2]] == ["1", "2"]


@pytest.mark.parametrize(
    "results",
    [
        '["A", {"b": 1}]',
        '[{"name": "a", "content": "A"}, {"name": "b", "content": {"b": 1}}]',
        str([{"tool_call_id": "x", "name": "b", "content": '{"b": 1}'}, {"name": "a", "results": "A"}]),
    ],
)
def test_several_results_in_one_message_are_split_over_the_calls(results):
    trajectory, notes = read_with_notes({"messages": [user(), named("a", "b"), result(results)]})
    assert [m.content for m in trajectory.messages[1:]] == ["a()", "A", "b()", '{"b": 1}']
    assert notes[Note.SPLIT_RESULTS] == 1


def legacy(name: str = "search", arguments: object = '{"q": "a"}', content: object = None) -> dict:
    return {"role": "assistant", "content": content, "function_call": {"name": name, "arguments": arguments}}


def test_a_legacy_function_call_is_a_call_with_or_without_a_text():
    for content in (None, "", "I will search."):
        messages = read(user(), legacy(content=content), {"role": "function", "name": "search", "content": "1"})
        assert messages[1:] == (called('search(q="a")'), Message("tool", "1"))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("null", "search()"),
        ("[]", "search()"),
        ("", "search()"),
        (None, "search()"),
        ([], "search()"),
        ('"{\\"q\\": \\"a\\"}"', 'search(q="a")'),
        ('{"q": "two\nlines"}', 'search(q="two\\nlines")'),
    ],
)
def test_arguments_are_read_however_they_are_encoded(arguments, expected):
    for given in (calls(arguments), legacy(arguments=arguments), {"role": "tool_call", "content": ""}):
        if given["role"] == "tool_call":
            given["content"] = json.dumps({"name": "search", "arguments": arguments})
        assert read(user(), given)[-1] == called(expected)
    without = calls("{}")
    del without["tool_calls"][0]["function"]["arguments"]
    assert read(user(), without)[-1] == called("search()")


def test_reasoning_is_dropped_and_counted():
    thoughts = "<think>So</think>\nOne.", "[THINK]So[/THINK]One."
    for more, said in zip(({"reasoning_content": "Hm."}, {"thinking": "Hm."}), thoughts, strict=True):
        trajectory, notes = read_with_notes(record(user(), calls('{"q": "a"}') | more, text(said)))
        assert [m.content for m in trajectory.messages[1:]] == ['search(q="a")', 'finish(answer="One.")']
        assert notes == {Note.REASONING: 2}


@pytest.mark.parametrize("said", ["It is 3. <think>So</think> Bye.", "It is 3. [THINK]So[/THINK] Bye."])
def test_words_before_a_thought_are_no_thought(said):
    assert read(user(), text(said))[-1] == called(f'finish(answer="{said}")')


def test_nulls_for_parameters_that_a_tool_does_not_have_are_dropped():
    trajectory, notes = read_with_notes(record(user(), calls({"q": None, "day": None, "n": 1})))
    assert trajectory.messages[1] == called("search(q=null, n=1)") and notes == {Note.PADDING: 1}


def test_nulls_that_a_model_made_up_are_read_back_as_they_were():
    said = (Message("user", "Hi."), called("search(q=null, day=null)"))
    made = Trajectory("a", (SEARCH_SPEC, *BUILT_INS), said)
    assert Trajectory.from_openai(made.to_openai()) == made


def test_a_tool_named_finish_with_other_parameters_leaves_the_last_text_a_text():
    own = {"name": "finish", "parameters": {"properties": {"code": {"type": "integer"}}, "required": ["code"]}}
    trajectory = Trajectory.from_openai(record(user(), text("Done."), tools=[own]))
    assert trajectory.messages[-1] == Message("assistant", "Done.")
    assert Trajectory.from_openai(trajectory.to_openai()) == trajectory
    mine = FINISH.to_openai()["function"] | {"description": "Mine."}
    assert read(user(), text("Done."), tools=[mine])[-1] == called('finish(answer="Done.")')


def test_texts_that_an_assistants_turn_follows_are_thoughts():
    trajectory, notes = read_with_notes(record(user(), text("Let me see."), calls("{}"), feedback("1"), text("One.")))
    assert trajectory.messages == read(user(), calls("{}"), feedback("1"), text("One."))
    assert notes == {Note.TEXT_BESIDE_CALL: 1}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"role": "developer", "content": "Be brief."}, Message("system", "Be brief.")),
        ({"role": "user", "content": [{"type": "text", "text": t} for t in "ab"]}, Message("user", "a\nb")),
        ({"role": "human", "content": "Hi."}, Message("user", "Hi.")),
    ],
)
def test_ordinary_variants_of_a_message(given, expected):
    assert read(given)[0] == expected


def test_ordinary_variants_of_calls_and_results():
    flat = {"role": "assistant", "tool_calls": [{"name": "search", "arguments": {"q": "a"}}], "function_call": None}
    parts = {"role": "tool", "content": [{"type": "text", "text": "1"}]}
    expected = (called('search(q="a")'), Message("tool", "1"))
    assert read(user(), flat, parts)[1:] == expected
    assert read(user(), flat | {"tool_calls": json.dumps(flat["tool_calls"])}, parts)[1:] == expected
    assert read(user(), flat, {"role": "observation", "content": {"n": 1}})[-1] == Message("tool", '{"n": 1}')
    listed = [user(), flat, parts]
    assert Trajectory.from_openai(listed).messages[1:] == expected
    assert Trajectory.from_openai({"messages": json.dumps(listed)}).messages[1:] == expected


def test_a_sources_own_verdict_comes_before_the_words_of_the_feedback():
    def categories(*verdicts: bool | None) -> list[ErrorCategory]:
        told = [[calls("{}"), feedback("Error: no", failed=verdict)] for verdict in verdicts]
        return call_categories(Trajectory.from_openai(record(user(), *[m for pair in told for m in pair])))

    assert categories(True, None, False) == [ErrorCategory.TOOL_CALL_FAILURE] * 2 + [ErrorCategory.ALL_RIGHT]
    silent = record(user(), calls("{}"), feedback("", failed=True))
    trajectory = Trajectory.from_openai(silent)
    assert call_categories(trajectory) == [ErrorCategory.TOOL_CALL_FAILURE]
    assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


@pytest.mark.parametrize(
    "content",
    ["[{" * 99_999, "<tools>" * 50_000, "{'name': 'a'}\n" * 20_000, "<tool_call>" * 50_000, "Thought: a\n" * 50_000],
)
def test_hostile_texts_take_no_time(content):
    start = time.monotonic()
    for role in ("system", "assistant", "tool"):
        given = [{"role": "system", "content": content}] if role == "system" else []
        given += [user(), text(content) if role == "assistant" else calls("{}", "{}")]
        given += [{"role": "tool", "content": content}] if role == "tool" else []
        Trajectory.from_openai(record(*given, tools=None))
    assert time.monotonic() - start < 20


# ---- writing


def test_a_trajectory_written_as_a_record_reads_back_equal():
    spec = ToolSpec.from_openai(SEARCH)
    contents = [
        "search()",
        'search(q="é\\n")',
        "search(q='not canonical')",
        'search( q="not canonical" )',
        'search({q: "raw"})',
        'search(q="no end"',
        'search(q="x")) ',
        "I would search.",
        '"odd name"(q=1)',
        "(",
        "",
    ]
    messages = [Message("system", "Be brief."), Message("user", "Go.")]
    for content in contents:
        messages += [called(content), Message("tool", f"feedback of {content}"), called(content)]
    messages += [Message("assistant", "More?"), Message("user", "No.")]
    trajectory = Trajectory("id", (spec, *BUILT_INS), tuple(messages))
    written = json.loads(json.dumps(trajectory.to_openai()))
    assert Trajectory.from_openai(written) == trajectory


def test_a_canonical_call_is_written_as_plain_openai():
    trajectory = Trajectory("id", BUILT_INS, (called('search(q="a", n=1)'), Message("tool", "1")))
    call, answer = trajectory.to_openai()["messages"]
    assert call["tool_calls"][0].keys() == {"id", "type", "function"}
    assert call["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"q": "a", "n": 1}'}
    assert answer == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "1"}


def test_damaged_records_are_read_or_refused_and_nothing_else():
    rng = random.Random(0)
    junk = [None, 0, 1.5, True, "", "x", [], {}, [1], {"a": 1}, "assistant", "\n", [[]], {"type": {}}]
    whole = copy.deepcopy(
        record(user(), calls('{"q": "a"}', "{bad"), feedback("1"), feedback("2", "c2"), text("Hm?"), user("Yes."))
    )
    properties = whole["tools"][0]["function"]["parameters"]["properties"]
    properties["n"] = {"anyOf": [{"type": "int"}], "items": {"enum": [1]}}
    refused = 0
    for _ in range(5_000):
        damaged = copy.deepcopy(whole)
        for _ in range(rng.randrange(1, 3)):
            node, depth = damaged, rng.randrange(9)
            while depth and isinstance(node, dict | list) and node:
                parent, key = node, rng.choice([*node] if isinstance(node, dict) else range(len(node)))
                node, depth = node[key], depth - 1
            if node is not damaged:
                parent[key] = copy.deepcopy(rng.choice(junk))
        try:
            trajectory = Trajectory.from_openai(damaged)
        except ValueError:
            refused += 1
            continue
        for spec in trajectory.tools:
            spec.to_prompt()
        assert Trajectory.from_openai(trajectory.to_openai()) == trajectory
    assert 1_000 < refused < 4_500


# ---- what people have beside the usual

WEATHER = {"name": "weather", "description": "", "parameters": {"type": "object", "properties": {"city": {}}}}


@pytest.mark.parametrize(
    "call",
    [
        {"tool_calls": [{"name": "search", "q": "cats"}]},
        {"tool_calls": [{"function": {"name": "search", "argument": '{"q": "cats"}'}}]},
        {"content": '<tool_call>{"name": "search", "q": "cats"}</tool_call>'},
    ],
)
def test_arguments_under_an_unknown_key_make_a_broken_call(call):
    notes = Counter()
    trajectory = Trajectory.from_openai(record(user(), {"role": "assistant", **call}, feedback("[]")), notes=notes)
    assert notes[Note.BROKEN_CALLS] == 1 and erroneous_calls(trajectory) == [True]


TWICE = '{"q": "cats", "q": "owls"}'


def test_a_key_twice_is_not_the_last_one():
    call = {"role": "tool_call", "content": f'{{"name": "search", "arguments": {TWICE}}}'}
    for given in (call, calls(TWICE)):
        assert erroneous_calls(Trajectory.from_openai(record(user(), given))) == [True]
    with pytest.raises(ValueError, match="`tools`: neither JSON nor a literal: the same key twice"):
        read(user(), tools=f"[{TWICE}]")
    with pytest.raises(ValueError, match="the messages are a string, but not JSON: the key 'q' twice"):
        Trajectory.from_openai({"messages": f"[{TWICE}]"})


def test_arguments_that_are_a_call_s_text_are_read_and_not_counted_as_broken():
    notes = Counter()
    given = record(user(), calls('q="cats"'), feedback("[]"))
    assert Trajectory.from_openai(given, notes=notes).messages[1] == called('search(q="cats")')
    assert not notes[Note.BROKEN_CALLS]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ('{"name": "search", "parameters": {"q": "a"}}; {"name": "search", "parameters": {"q": "b"}}', ["a", "b"]),
        ('{"name": "search", "args": {"q": "a"}}<|eom_id|>', ["a"]),
    ],
)
def test_calls_of_llama_3_in_a_text(said, wanted):
    assert [message.content for message in read(user(), text(said))[1:]] == [f'search(q="{q}")' for q in wanted]


@pytest.mark.parametrize(
    ("messages", "more", "reason"),
    [
        ([user(), text("<TOOLCALL>[search]</TOOLCALL>")], {}, "message 2: a call in a form that cannot be read"),
        ([user(), text("<think>Let me")], {}, "message 2: reasoning that does not end"),
        ([user(), text("Yes.")], {"label": False}, "`label` is False: the record is an example of what to avoid"),
        ([user(), text("Yes.")], {"label": 0}, "`label` is 0"),
        ([user(), text("Yes.")], {"kto_tag": "false"}, "`kto_tag` is 'false'"),
        *(
            ([user(), text("I look.") | {key: [{"name": "search"}]}], {}, f"message 2: `{key}` is not read: put calls")
            for key in ("tool_call", "toolCalls", "toolInvocations", "calls", "invalid_tool_calls", "tool_use")
        ),
        ([user(), calls("{}", content=f"<tool_call>{CALL}</tool_call>")], {}, "message 2: the text has other calls"),
        (
            [user(), {"role": "assistant", "tool_calls": [{"name": "search", "arguments": {}, "result": "[]"}]}],
            {},
            "message 2: a call with its `result`",
        ),
        ([user() | {"images": ["a.png"]}, text("Yes.")], {}, "message 1: has `images`"),
        ([user(), calls("{}"), feedback("[]") | {"is_error": "true"}], {}, "`is_error` must be true or false"),
        ([user() | {"tools": [WEATHER]}, text("Yes.")], {}, "message 1: only the record"),
    ],
)
def test_what_cannot_be_meant_to_be_trained_on_is_refused(messages, more, reason):
    with pytest.raises(ValueError, match=reason):
        read(*messages, **more)


def test_calls_that_the_text_repeats_are_read_once_and_keys_about_calls_may_be_there():
    said = calls('{"q": "a"}', content=f"<tool_call>{CALL}</tool_call>") | {"tool_call": None, "tool_use": True}
    assert read(user(), said, feedback("1")) == read(user(), calls('{"q": "a"}'), feedback("1"))


def test_langchains_status_is_a_verdict_if_it_is_error():
    for status, failed in (("error", True), ("success", None)):
        assert read(user(), calls("{}"), feedback("1", status=status))[-1] == Message("tool", "1", failed=failed)


def test_one_result_for_several_calls_of_a_message_goes_to_the_first_and_is_counted():
    trajectory, notes = read_with_notes({"messages": [user(), named("a", "b"), result("done")]})
    assert [m.content for m in trajectory.messages[1:]] == ["a()", "done", "b()"]
    assert notes[Note.FEWER_RESULTS] == 1


def test_results_of_autogen_stand_in_one_message_with_their_ids():
    inner = [feedback("B", "c2"), feedback("A", "c1")]
    messages = read(
        user(), calls('{"q": "a"}', '{"q": "b"}'), {"role": "tool", "content": "BA", "tool_responses": inner}
    )
    assert [m.content for m in messages[1:]] == ['search(q="a")', "A", 'search(q="b")', "B"]


@pytest.mark.parametrize(
    "said",
    [
        "Hello.<|im_end|>\n<|im_start|>user\nMore.<|im_end|>\n<|im_start|>assistant\nBye.",
        "<|start_header_id|>assistant<|end_header_id|>\n\nHello.",
        "<start_of_turn>model\nHello.",
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hello.",
        "<|begin_of_thought|>Hm.<|end_of_thought|>Hello.",
        "[INST] Hi. [/INST] Hello.",
    ],
)
@pytest.mark.parametrize("speaker", ["user", "assistant"])
def test_a_prompt_of_several_turns_in_one_message_is_refused(speaker, said):
    with pytest.raises(ValueError, match="message 1: the text has .* write each turn as a message of its own"):
        read({"role": speaker, "content": said}, user(), text("Bye."))


def test_talk_about_tokens_of_a_prompt_format_is_talk():
    for said in ("`<|im_start|>user` begins a turn.", "<|im_start|> is a token.", "[INST] is a mark."):
        assert read(user(said), text(said))[0] == Message("user", said)


@pytest.mark.parametrize("turn", ["Thought: so\nAction: Search[cats]", "<execute_bash>ls</execute_bash>"])
@pytest.mark.parametrize("came", ["Observation: [1]", "<tool_response>[1]</tool_response>"])
def test_what_a_result_follows_was_meant_as_a_call_and_is_not_trained(turn, came):
    trajectory, notes = read_with_notes(record(user(), text(turn), user(came), text("One.")))
    assert trajectory.messages[1:3] == (called(turn), Message("tool", "[1]"))
    assert erroneous_calls(trajectory) == [True, False] and notes == {Note.BROKEN_CALLS: 1}


@pytest.mark.parametrize(
    "end",
    [
        *("<|im_end|>", "</s>", "<|eot_id|>\n", " <|endoftext|>", "\n<|im_end|>\n<|endoftext|>", "<end_of_turn>\n"),
        *("<|end|>", "<|end_of_text|>", "<eos>", "<｜end▁of▁sentence｜>"),
    ],
)
def test_tokens_of_a_prompt_format_at_the_end_of_an_answer_are_dropped_and_counted(end):
    trajectory, notes = read_with_notes(record(user(), text(f"One.{end}")))
    assert trajectory.messages[1] == called('finish(answer="One.")') and notes == {Note.END_TOKENS: 1}


@pytest.mark.parametrize("said", ["It is <s>two</s>", "One. \n", "`<|im_end|>` ends a turn."])
def test_an_end_that_is_no_such_token_stays(said):
    trajectory, notes = read_with_notes(record(user(), text(said)))
    assert trajectory.messages[1].call.arguments == {"answer": said} and not notes


SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


@pytest.mark.parametrize(
    ("tool", "key"),
    [
        *(
            ({"name": "f", key: SCHEMA}, key)
            for key in ("args", "params", "arguments", "schema", "args_schema", "inputs", "required_parameters")
        ),
        ({"name": "f", "parameters": {"anyOf": [SCHEMA]}}, "anyOf"),
    ],
)
def test_parameters_in_unknown_places_are_refused(tool, key):
    with pytest.raises(ValueError, match=f"tool f: its parameters stand under `{key}`, which is not read"):
        read(user(), text("Yes."), tools=[tool])


def test_bedrocks_schema_is_read():
    tool = {"toolSpec": {"name": "search", "description": "Find it.", "inputSchema": {"json": SCHEMA}}}
    assert Trajectory.from_openai(record(user(), text("Yes."), tools=[tool])).tools[0] == SEARCH_SPEC


def test_text_after_a_call_is_counted_too():
    notes = Counter()
    said = text('<tool_call>{"name": "search", "arguments": {"q": "a"}}</tool_call>\nI am searching.')
    assert Trajectory.from_openai(record(user(), said, feedback("[]")), notes=notes).messages[1].is_call
    assert notes[Note.TEXT_BESIDE_CALL] == 1


def test_reasoning_may_lack_its_opening_tag_and_stand_before_a_call():
    assert read(user(), text("Let me see.\n</think>\n\nYes."))[1] == called('finish(answer="Yes.")')
    thought = {"role": "function_call", "content": '<think>So.</think>\n{"name": "search", "arguments": {"q": "a"}}'}
    assert read(user(), thought, feedback("[]"))[1] == called('search(q="a")')
    assert read(user(), text("Yes.\n</think>"))[1] == called('finish(answer="Yes.\\n</think>")')  # nothing else is said


def test_a_system_message_may_hold_the_tools_or_come_in_parts():
    given = {"messages": [{"role": "system", "content": "Brief.", "tools": [WEATHER]}, user(), text("Yes.")]}
    assert Trajectory.from_openai(given).tools[0].name == "weather"
    given = {"messages": [user(), text("Yes.")], "system": [{"type": "text", "text": "Answer in French."}]}
    assert Trajectory.from_openai(given).messages[0] == Message("system", "Answer in French.")


def test_a_list_of_tools_that_breaks_off_is_refused_and_an_example_of_a_call_is_no_list():
    first, broken = json.dumps(WEATHER), '{"name": "b", "description": "an "inch""}'
    for told in (f"<tools>\n{first}\n{broken}\n</tools>", f"{first}\n{broken}"):
        with pytest.raises(ValueError, match="goes on with what is no tool"):
            Trajectory.from_openai({"messages": [{"role": "system", "content": told}, user(), text("Yes.")]})
    example = 'Answer like [{"name": "func_name", "arguments": {}}].'
    assert read({"role": "system", "content": example}, user(), text("Yes."))[0].content == example


def test_what_a_user_says_after_results_is_said_by_the_user():
    called_in_text = text('<tool_call>{"name": "search", "arguments": {"q": "a"}}</tool_call>')
    said = read(user(), called_in_text, user("<tool_response>1</tool_response>\nIn French."), text("Oui."))
    assert [(m.role, m.content) for m in said[2:4]] == [("tool", "1"), ("user", "In French.")]
