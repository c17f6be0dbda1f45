"""Files of data sets: what becomes of every kind of file and record, and how bad ones are reported."""

from __future__ import annotations

import codecs
import gzip
import json
import weakref

import pytest
from records import SEARCH, SEARCH_SPEC, calls, feedback, record, text, user

from tl.datasets import DataError, ReadReport, read, stream
from tl.schema import BUILT_INS
from tl.trajectory import Message, Note, Trajectory


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


# ---- the released conversations


def conversations(*turns: tuple[str, str], tools: str | None = None, **more) -> dict:
    system = [("system", json.dumps([SEARCH]) if tools is None else tools)]
    return {"id": "r", "conversations": [{"role": r, "content": c} for r, c in [*system, *turns]]} | more


def test_released_conversations_read_as_the_same_trajectory(write):
    given = conversations(
        ("user", "Find cats."),
        ("assistant", 'search\n{"q": "cats"}'),
        ("function", "[]"),
        ("assistant", 'google\r\n{\r\n  "q": 1}'),
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
    (trajectory,), report = read(write(json.dumps([given]).encode(), "data.json"))
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
    assert (report.read, report.bad, report.notes[Note.TEXT_BESIDE_CALL]) == (1, [], 0)


def test_plain_text_that_ends_a_released_conversation_becomes_finish(write):
    path = write([conversations(("user", "Hi."), ("assistant", "Hello."))])
    assert read(path)[0][0].messages[-1] == called('finish(answer="Hello.")')


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"conversations": None}, "no `messages`, but conversations"),
        ({"conversations": []}, "at least one message"),
        ({"conversations": ["x"]}, "`conversations` must be a list of objects"),
        (conversations(("user", "x"), ("function", "1")), "message 3: feedback without a call"),
        (conversations(("critic", "x")), "message 2: unknown role 'critic'"),
    ],
)
def test_a_released_conversation_that_cannot_be_used_is_refused(write, given, reason):
    with pytest.raises(DataError, match=reason):
        read(write([given]))


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
            assert read(write(content, name))[0] == [expected, expected]
    assert read(write(lines, "misnamed.gz"))[0] == [expected, expected]


def test_several_files_are_read_in_order(write):
    paths = [write([record(user(), id=i)], f"{i}.jsonl") for i in "ba"]
    trajectories, report = read([paths[0], str(paths[1])])
    assert [trajectory.id for trajectory in trajectories] == ["b", "a"]
    assert report.read == 2


def test_a_record_without_an_id_is_named_after_its_place_and_a_number_is_an_id(write):
    path = write([{"messages": [user()]}, record(user(), id=None), record(user(), id=7), record(user(), id=7)])
    assert [t.id for t in read(path)[0]] == [f"{path}, line 1", f"{path}, line 2", "7", "7"]


def test_dropped_thoughts_are_counted(write):
    thinking = calls("{}", content="Let me see.")
    path = write([record(user(), thinking, feedback("1"), thinking), record(user(), calls("{}"), feedback("1"))])
    assert read(path)[1].notes[Note.TEXT_BESIDE_CALL] == 2


BAD_LINES = {
    b'{"messages": [}': "line 2: the line is not JSON",
    b"3": "line 2: a record must be an object",
    b'"\xff"': "line 2: the line is not UTF-8: byte 0xff at 1",
    b'{"messages": NaN}': "line 2: NaN is not JSON",
    b'{"messages": [{"role": "user", "role": "tool"}]}': "line 2: the key 'role' twice in an object",
    b'{"messages": [{"role": "user", "content": "\\ud83d"}]}': "line 2: the line holds a lone surrogate",
    b'{"a":' + b"[" * 100_000: "line 2: ",
    b'{"messages": []}': "line 2: the messages must be a list",
}


@pytest.mark.parametrize("line", BAD_LINES, ids=BAD_LINES.values())
def test_a_bad_record_is_reported_with_file_place_and_reason(write, line):
    good = json.dumps(record(user("😀"))).encode()
    path = write(b"\n".join([good, line, good]))
    with pytest.raises(DataError) as caught:
        read(path)
    assert f"bad records:\n  {path}, {BAD_LINES[line]}" in str(caught.value)
    assert str(caught.value).endswith("\n  1 of 3 records are bad\nfix them, or skip them with --on_bad_data skip")
    assert len(caught.value.bad) == 1
    trajectories, report = read(path, on_bad="skip")
    assert [len(trajectories), report.read] == [2, 2]
    assert report.bad == caught.value.bad
    assert (report.bad[0].path, report.bad[0].place) == (str(path), "line 2")


def test_an_escaped_surrogate_pair_is_a_character(write):
    path = write(b'{"messages": [{"role": "user", "content": "\\ud83d\\ude00"}]}')
    assert read(path)[0][0].messages[0].content == "😀"


def test_bad_records_are_listed_by_their_reasons(write):
    first, second = write([3] * 30 + [record(user())], "a.jsonl"), write(b"[1, 2]", "b.json")
    with pytest.raises(DataError) as caught:
        read([first, second])
    assert str(caught.value).splitlines() == [
        "bad records:",
        f"  {first}, line 1: a record must be an object, not 3 (and 29 more like it)",
        f"  {second}, record 1: a record must be an object, not 1 (and 1 more like it)",
        "  32 of 33 records are bad",
        "fix them, or skip them with --on_bad_data skip",
    ]
    assert [bad.place for bad in caught.value.bad[-2:]] == ["record 1", "record 2"]


def test_a_file_of_which_nothing_can_be_read_is_described(write):
    with pytest.raises(DataError) as caught:
        read(write([{"\x1bnl": "list files", "cm": "ls"}] * 12_607))
    lines = str(caught.value).splitlines()
    assert lines[1].endswith("line 1: no `messages`, but \\x1bnl, cm (and 12,606 more like it)")
    assert lines[2:] == [
        "  12,607 of 12,607 records are bad",
        "  the first one looks like an object with the keys \\x1bnl, cm",
        "  `python -m tl formats` lists the formats that can be read; --data_format selects one",
    ]


def test_a_file_that_cannot_be_read_is_an_error_whatever_is_done_with_bad_records(write, tmp_path):
    cut = write([record(user(str(i))) for i in range(1000)], "cut.jsonl.gz")
    cut.write_bytes(cut.read_bytes()[:-20])
    spoilt = write([record(user(str(i))) for i in range(1000)], "spoilt.jsonl.gz")
    content = spoilt.read_bytes()
    spoilt.write_bytes(content[:30] + b"\0" * 100 + content[130:])
    cases = {
        tmp_path / "missing.jsonl": "missing.jsonl: cannot be read: No such file",
        tmp_path: "cannot be read: Is a directory",
        write(b"", "empty.jsonl"): "empty.jsonl: contains no record",
        write(b" \n\n", "blank.jsonl"): "blank.jsonl: contains no record",
        write(b"", "empty.jsonl.gz"): "empty.jsonl.gz: contains no record",
        write(b"[]", "list.json"): "list.json: contains no record",
        write(b'[{"a": 1},\n{"b"', "half.json"): r"half.json: the file is not JSON: .* \(line 2",
        write(b"[\xff]", "bytes.json"): "bytes.json: the file is not UTF-8",
        write(b"[" * 100_000, "deep.json"): "deep.json: ",
        cut: "cut.jsonl.gz: cannot be read: Compressed file ended",
        spoilt: "spoilt.jsonl.gz: cannot be read: ",
    }
    for path, reason in cases.items():
        for on_bad in ("error", "skip"):
            with pytest.raises(DataError, match=reason):
                read(path, on_bad=on_bad)


def test_blank_lines_separate_the_conversations_of_a_file_with_a_message_a_line(write):
    one = b"\n".join(json.dumps(m).encode() for m in (user("Hi."), text("Hello.")))
    path = write(one + b"\n\n\n" + one + b"\n")
    trajectories, _ = read(path)
    assert [t.id for t in trajectories] == [f"{path}, the file", f"{path}, line 5"]
    assert trajectories[0].messages == trajectories[1].messages == read(write(one))[0][0].messages
    two = [{"role": "system", "content": "Be brief."}, user("Hi."), text("Hello.")] * 2
    with pytest.raises(DataError, match="message 4: only the first message .* blank lines separate conversations"):
        read(write(two))
    with pytest.raises(DataError, match=r"the file: message 2 is not JSON: Unterminated string .* \(column "):
        read(write(one[:-4]))  # a message that is cut off


def test_records_in_a_list_within_an_object_are_read(write):
    given = [record(user(), text("Hi."))]
    path = write(json.dumps({"data": given}).encode(), "data.json")
    assert read(path)[0] == read(write(given))[0]
    (bad,) = read(write(json.dumps({"data": given * 2 + [{"text": "x"}]}).encode()), "skip")[1].bad
    assert (bad.place, bad.reason) == ("line 1, 'data', record 3", "no `messages`, but text")


def test_conversations_by_name_are_records_unless_each_line_has_some(write):
    """On a line of many, they may be the sides of a pair, one of which is to be avoided."""
    sides = {"better": [user(), text("Hi.")], "worse": [user(), text("Go.")]}
    assert len(read(write([sides]))[0]) == 2
    with pytest.raises(DataError, match="line 2: no `messages`, but better, worse"):
        read(write([sides, sides]))


def test_lines_that_end_in_commas_are_told_so(write):
    with pytest.raises(DataError, match="lines that end in commas: leave these out"):
        read(write(b"\n".join(json.dumps(record(user())).encode() + b"," for _ in range(2))))


def test_an_unknown_way_with_bad_records_is_refused(write):
    with pytest.raises(ValueError, match="on_bad"):
        read(write([record(user())]), on_bad="ignore")


# ---- real data


def test_every_real_record_is_read_and_reads_back_equal(shared):
    trajectories, report = read(shared / "data/trajectories/openai_messages.jsonl.gz")
    assert (report.read, report.bad, report.notes[Note.TEXT_BESIDE_CALL]) == (3_739, [], 2_490)
    found = [pair for trajectory in trajectories for pair in trajectory.calls()]
    answers = sum(message.content.startswith("finish(") for message, _ in found)
    assert len(found) - answers == 9_089
    assert sum(feedback is not None for _, feedback in found) == 9_071
    for trajectory in trajectories[::7]:
        assert Trajectory.from_openai(trajectory.to_openai()) == trajectory


# ---- one at a time


@pytest.mark.parametrize("shares", [("", ""), (":0.3", ":0.7")])
def test_a_stream_gives_what_is_read_and_keeps_none_of_it(write, shares):
    bad = {"messages": []}
    paths = [
        f"{write([record(user(f'{name} {n}'), text('No.')) for n in range(9)] + [bad], name)}{share}"
        for name, share in zip(("a.jsonl", "b.jsonl"), shares, strict=True)
    ]
    expected, told = read(paths, "skip", seed=3)
    report = ReadReport()
    streamed = [(t.messages, weakref.ref(t)) for t in stream(paths, report, "skip", seed=3)]
    assert [messages for messages, _ in streamed] == [t.messages for t in expected] and report == told
    assert sum(kept() is not None for _, kept in streamed) <= 1


def test_a_stream_tells_of_bad_records_at_its_end(write):
    found = stream([str(write([record(user("Hi"), text("No.")), {"messages": []}]))], ReadReport())
    next(found)
    with pytest.raises(DataError, match="line 2"):
        next(found)
