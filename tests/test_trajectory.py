"""Dataset files: what becomes of every kind of record, and how bad ones are reported."""

from __future__ import annotations

import codecs
import copy
import gzip
import json
import random

import pytest

from tl.schema import ASK_TO_USER, BUILT_INS, ToolSpec
from tl.trajectory import DataError, Message, Trajectory, read_trajectories

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Find it.",
        "parameters": {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]},
    },
}
SEARCH_SPEC = ToolSpec("search", "Find it.", {"q": {"type": "string"}}, ("q",))


def user(text: str = "Find cats.") -> dict:
    return {"role": "user", "content": text}


def text(content: object) -> dict:
    return {"role": "assistant", "content": content}


def calls(*arguments: object, content: str | None = None, first: int = 1) -> dict:
    """An assistant message that calls `search` once for each of the arguments, under the ids c1, c2, …"""
    entries = [
        {"id": f"c{i}", "type": "function", "function": {"name": "search", "arguments": argument}}
        for i, argument in enumerate(arguments, first)
    ]
    return {"role": "assistant", "content": content, "tool_calls": entries}


def feedback(content: object, call_id: str | None = "c1", **more) -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content} | more


def record(*messages: object, **more) -> dict:
    return {"id": "r", "tools": [SEARCH], "messages": list(messages)} | more


def read(*messages: object, **more) -> tuple[Message, ...]:
    return Trajectory.from_openai(record(*messages, **more)).messages


def called(text: str) -> Message:
    return Message("assistant", text, is_call=True)


@pytest.fixture
def write(tmp_path):
    """Write a data file: records as lines (or bytes as they are), compressed where the name ends in .gz."""

    def write(content: list | bytes, name: str = "data.jsonl"):
        data = content if isinstance(content, bytes) else b"".join(json.dumps(r).encode() + b"\n" for r in content)
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


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
        ([], "a record must be an object"),
        ("x", "a record must be an object"),
        ({"text": "x"}, "no `messages`, but text"),
        (record(), "at least one message"),
        (record() | {"messages": {"role": "user"}}, "the messages must be a list"),
        (record(user(), id=["a"]), "the id must be a string"),
        (record(user(), tools={"a": 1}), "the tools must be a list"),
        (record(user(), tools=[{"name": "f", "parameters": {"properties": {"a": {"type": "x"}}}}]), "unknown type 'x'"),
        (record("hello"), "message 1: must be an object"),
        (record(user(), {"content": "x"}), "message 2: no `role` and `content`, but content"),
        (record(user(), {"role": "function", "content": "x"}), "message 2: unknown role 'function'"),
        (record({"role": "user", "content": None}), "message 1: the content must be a string, not None"),
        (
            record({"role": "user", "content": [{"type": "text", "text": "x"}]}),
            "message 1: the content must be a string",
        ),
        (record(user(), text(3)), "message 2: the content must be a string, not 3"),
        (record(user(), text(None)), "message 2: the content must be a string"),
        (record(user(), text(" \n")), "message 2: an assistant message with neither text nor a call"),
        (record(user(), {"role": "system", "content": "x"}), "message 2: a system message can only be the first"),
        (record(user(), feedback("1")), "message 2: feedback without a call"),
        (record(user(), calls("{}"), user(), feedback("1")), "message 4: feedback without a call"),
        (record(user(), calls("{}"), feedback("1", "c9")), "message 2: feedback for the call 'c9', which is not there"),
        (
            record(user(), calls("{}"), feedback("1"), feedback("2")),
            "message 2: feedback for the call 'c1', .* already",
        ),
        (record(user(), calls("{}"), feedback("1"), feedback("2", None)), "message 2: feedback for the call None"),
        (record(user(), calls("{}"), feedback(None)), "message 2, feedback: the content must be a string"),
        (record(user(), calls("{}") | {"tool_calls": "x"}), "message 2: `tool_calls` must be a list"),
        (record(user(), calls("{}") | {"tool_calls": ["x"]}), "message 2: `tool_calls` must be a list of objects"),
        (record(user(), calls("{}") | {"tool_calls": [{"id": "c"}]}), "message 2: a call without the name"),
        (record(user(), calls(None)), "message 2: the arguments of a call must be a JSON string, not None"),
        (
            record(user(), {"role": "assistant", "tool_calls": calls("{}")["tool_calls"] * 2}),
            "message 2: two calls with",
        ),
    ],
)
def test_a_record_that_cannot_be_used_is_refused_with_its_place(given, reason):
    with pytest.raises(ValueError, match=reason):
        Trajectory.from_openai(given)


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


# ---- the released conversations


def conversations(*turns: tuple[str, str], tools: str | None = None, **more) -> dict:
    system = [("system", json.dumps([SEARCH]) if tools is None else tools)]
    return {"id": "r", "conversations": [{"role": r, "content": c} for r, c in [*system, *turns]]} | more


def test_released_conversations_read_as_the_same_trajectory(write):
    given = conversations(
        ("user", "Find cats."),
        ("assistant", 'search\n{"q": "cats"}'),
        ("function", "[]"),
        ("assistant", 'google\n{\n  "q": 1}'),
        ("function", "name google is not defined"),
        ("assistant", "search\n{broken"),
        ("function", "Error"),
        ("assistant", "finish"),
        ("user", "Go on."),
        ("assistant", "Which cats?\n{all}"),
        ("user", "All."),
        ("assistant", 'ask_to_user\n{"question": "All?"}'),
        ("user", "Yes."),
        ("assistant", 'finish\n{"answer": "Done."}'),
    )
    (trajectory,), report = read_trajectories(write(json.dumps([given]).encode(), "data.json"))
    assert (trajectory.id, trajectory.tools) == ("r", (SEARCH_SPEC, *BUILT_INS))
    assert trajectory.messages == (
        Message("user", "Find cats."),
        called('search(q="cats")'),
        Message("tool", "[]"),
        called("google(q=1)"),
        Message("tool", "name google is not defined"),
        called("search({broken)"),
        Message("tool", "Error"),
        called("finish()"),
        Message("user", "Go on."),
        Message("assistant", "Which cats?\n{all}"),
        Message("user", "All."),
        called('ask_to_user(question="All?")'),
        Message("user", "Yes."),
        called('finish(answer="Done.")'),
    )
    assert (report.read, report.bad, report.dropped_thoughts) == (1, [], 0)


def test_plain_text_that_ends_a_released_conversation_becomes_finish(write):
    path = write([conversations(("user", "Hi."), ("assistant", "Hello."))])
    assert read_trajectories(path)[0][0].messages[-1] == called('finish(answer="Hello.")')


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"conversations": None}, "`conversations` must be a list"),
        ({"conversations": []}, "at least one message"),
        ({"conversations": ["x"]}, "`conversations` must be a list of objects"),
        (conversations(("user", "x"), tools="You are kind."), "the system message is not JSON"),
        (conversations(("user", "x"), tools='{"a": 1}'), "the tools must be a list"),
        (conversations(("user", "x"), tools="[1]"), "a tool must be an object"),
        (conversations(("user", "x"), ("function", "1")), "message 3: feedback without a call"),
        (conversations(("human", "x")), "message 2: unknown role 'human'"),
        ({"conversations": [{"from": "user", "value": "x"}]}, "message 1: no `role` and `content`, but from, value"),
    ],
)
def test_a_released_conversation_that_cannot_be_used_is_refused(write, given, reason):
    with pytest.raises(DataError, match=reason):
        read_trajectories(write([given]))


# ---- files


def test_the_layout_of_a_file_is_told_from_its_content(write):
    records = [record(user(), text("Hi.")), conversations(("user", "Find cats."), ("assistant", "Hi."))]
    lines = b"\n".join(json.dumps(r).encode() for r in records)
    listed = json.dumps(records, indent=2).encode()
    contents = [lines, b"\n \n" + lines + b"\r\n\n", listed, b" \n" + listed, codecs.BOM_UTF8 + lines]
    contents += [codecs.BOM_UTF8 + listed, gzip.compress(lines), gzip.compress(listed)]
    expected = Trajectory.from_openai(records[0])
    for content in contents:
        for name in ("data.jsonl", "data.json", "data"):
            assert read_trajectories(write(content, name))[0] == [expected, expected]
    assert read_trajectories(write(lines, "misnamed.gz"))[0] == [expected, expected]


def test_several_files_are_read_in_order(write):
    paths = [write([record(user(), id=i)], f"{i}.jsonl") for i in "ba"]
    trajectories, report = read_trajectories([paths[0], str(paths[1])])
    assert [trajectory.id for trajectory in trajectories] == ["b", "a"]
    assert report.read == 2


def test_a_record_without_an_id_is_named_after_its_place_and_a_number_is_an_id(write):
    path = write([{"messages": [user()]}, record(user(), id=None), record(user(), id=7), record(user(), id=7)])
    assert [t.id for t in read_trajectories(path)[0]] == [f"{path}, line 1", f"{path}, line 2", "7", "7"]


def test_dropped_thoughts_are_counted(write):
    thinking = calls("{}", content="Let me see.")
    path = write([record(user(), thinking, feedback("1"), thinking), record(user(), calls("{}"), feedback("1"))])
    assert read_trajectories(path)[1].dropped_thoughts == 2


BAD_LINES = {
    b'{"messages": [}': "line 2: the line is not JSON",
    b"3": "line 2: a record must be an object",
    b'"\xff"': "line 2: the line is not UTF-8: byte 0xff at 1",
    b'{"messages": NaN}': "line 2: NaN is not JSON",
    b'{"messages": [{"role": "user", "content": "\\ud83d"}]}': "line 2: the line holds a lone surrogate",
    b'{"a":' + b"[" * 100_000: "line 2: ",
    b'{"messages": []}': "line 2: the messages must be a list",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=BAD_LINES.values())
def test_a_bad_record_is_reported_with_file_place_and_reason(write, line):
    good = json.dumps(record(user("😀"))).encode()
    path = write(b"\n".join([good, line, good]))
    with pytest.raises(DataError) as caught:
        read_trajectories(path)
    assert f"bad records:\n  {path}, {BAD_LINES[line]}" in str(caught.value)
    assert str(caught.value).endswith("\n1 of 3 records are bad")
    assert len(caught.value.bad) == 1
    trajectories, report = read_trajectories(path, on_bad="skip")
    assert [len(trajectories), report.read] == [2, 2]
    assert report.bad == caught.value.bad
    assert (report.bad[0].path, report.bad[0].place) == (str(path), "line 2")


def test_an_escaped_surrogate_pair_is_a_character(write):
    path = write(b'{"messages": [{"role": "user", "content": "\\ud83d\\ude00"}]}')
    assert read_trajectories(path)[0][0].messages[0].content == "😀"


def test_all_bad_records_are_listed_and_counted(write):
    first, second = write([3] * 30 + [record(user())], "a.jsonl"), write(b"[1, 2]", "b.json")
    with pytest.raises(DataError) as caught:
        read_trajectories([first, second])
    lines = str(caught.value).splitlines()
    assert lines[0] == "bad records:"
    assert [line.split(":")[0].strip() for line in lines[1:-1]] == [
        *(f"{first}, line {number}" for number in range(1, 31)),
        *(f"{second}, record {number}" for number in (1, 2)),
    ]
    assert lines[-1] == "32 of 33 records are bad"
    assert [bad.place for bad in caught.value.bad[-2:]] == ["record 1", "record 2"]


def test_a_file_that_cannot_be_read_is_an_error_whatever_is_done_with_bad_records(write, tmp_path):
    cut = write([record(user(str(i))) for i in range(1000)], "cut.jsonl.gz")
    cut.write_bytes(cut.read_bytes()[:-20])
    spoilt = write([record(user(str(i))) for i in range(1000)], "spoilt.jsonl.gz")
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:30] + b"\0" * 100 + content[130:])
    cases = {
        tmp_path / "missing.jsonl": "missing.jsonl: cannot be read: No such file",
        tmp_path: "cannot be read: Is a directory",
        write(b"", "empty.jsonl"): "empty.jsonl: holds no record",
        write(b" \n\n", "blank.jsonl"): "blank.jsonl: holds no record",
        write(b"", "empty.jsonl.gz"): "empty.jsonl.gz: holds no record",
        write(b"[]", "list.json"): "list.json: holds no record",
        write(b'[{"a": 1},\n{"b"', "half.json"): r"half.json: the file is not JSON: .* \(line 2",
        write(b"[\xff]", "bytes.json"): "bytes.json: the file is not UTF-8",
        write(b"[" * 100_000, "deep.json"): "deep.json: ",
        cut: "cut.jsonl.gz: cannot be read: Compressed file ended",
        spoilt: "spoilt.jsonl.gz: cannot be read: ",
    }
    for path, reason in cases.items():
        for on_bad in ("error", "skip"):
            with pytest.raises(DataError, match=reason):
                read_trajectories(path, on_bad=on_bad)


def test_an_unknown_way_with_bad_records_is_refused(write):
    with pytest.raises(ValueError, match="on_bad"):
        read_trajectories(write([record(user())]), on_bad="ignore")


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


# ---- real data


def test_every_real_record_is_read_and_reads_back_equal(shared):
    trajectories, report = read_trajectories(shared / "data/trajectories/openai_messages.jsonl.gz")
    assert (report.read, report.bad, report.dropped_thoughts) == (3_739, [], 2_490)
    found = [pair for trajectory in trajectories for pair in trajectory.calls()]
    answers = sum(message.content.startswith("finish(") for message, _ in found)
    assert len(found) - answers == 9_089
    assert sum(feedback is not None for _, feedback in found) == 9_071
    for trajectory in trajectories[::7]:
        assert Trajectory.from_openai(trajectory.to_openai()) == trajectory
