"""What is written for other trainers: verdicts that read back to the same weights, and plain OpenAI messages."""

from __future__ import annotations

import json
from itertools import chain

import pytest

from tl.__main__ import main as tl_main
from tl.cli import convert, formats, label
from tl.datasets import read
from tl.datasets.label import labelled, plain_record
from tl.mae import erroneous_calls
from tl.schema import BUILT_INS
from tl.trajectory import Trajectory

FIND = {"name": "find", "description": "", "parameters": {"properties": {"q": {"type": "string"}}}}
ASKED = {"role": "user", "content": "Find cats and dogs."}


def calling(*texts: str) -> dict:
    calls = [{"id": f"c{i}", "function": {"name": "find", "arguments": {"q": q}}} for i, q in enumerate(texts)]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(text: str, number: int = 0, **more: object) -> dict:
    return {"role": "tool", "tool_call_id": f"c{number}", "content": text} | more


def trajectory(*messages: dict, tools: list | None = None) -> Trajectory:
    return Trajectory.from_openai({"id": "t", "tools": tools or [FIND], "messages": [ASKED, *messages]})


MIXED = trajectory(
    calling("cats", "dogs"),
    result("[1]", 0),
    result("Error: no dogs", 1),
    calling("dog", "wolf"),
    result("[2]", 0),
    result("[3]", 1),
    {"role": "assistant", "content": "Which?", "weight": 0},
    {"role": "user", "content": "All."},
    {"role": "assistant", "content": "Three animals."},
)


def weights(t: Trajectory) -> list[bool]:
    """Whether each turn of the assistant's is trained."""
    wrong = iter(erroneous_calls(t))
    return [not next(wrong) if m.is_call else m.trained for m in t.messages if m.role == "assistant"]


@pytest.mark.parametrize(("style", "zero", "one"), [("weight", 0, 1), ("loss", False, True), ("train", False, True)])
def test_every_turn_says_whether_it_is_to_be_trained_and_why_not(style, zero, one):
    [written], split = labelled(MIXED, style)
    said = [m for m in written["messages"] if m["role"] == "assistant"]
    assert [m[style] for m in said] == [one, zero, one, zero, one]
    assert [m.get("why") for m in said] == [None, "tool call failure", None, "weight 0 in the data", None]
    assert [len(m.get("tool_calls", [])) for m in said] == [1, 1, 2, 0, 0] and split == 1
    assert [tool["function"]["name"] for tool in written["tools"]] == ["find"]
    assert said[-1]["content"] == "Three animals."
    assert weights(Trajectory.from_openai(json.loads(json.dumps(written)))) == weights(MIXED)


def test_the_style_last_has_a_record_for_each_right_turn():
    written, _ = labelled(MIXED, "last")
    assert [record["id"] for record in written] == ["t#1", "t#5", "t#7", "t#11"]
    assert all(record["messages"][-1]["weight"] == 1 for record in written)
    for record in written:
        assert weights(Trajectory.from_openai(record))[-1] and not any(weights(Trajectory.from_openai(record))[:-1])


def test_built_in_tools_stay_where_they_are_called():
    asking = {"role": "assistant", "tool_calls": [{"name": "ask_to_user", "arguments": {"question": "Which?"}}]}
    with_question = trajectory(asking, {"role": "tool", "content": "Cats."}, {"role": "assistant", "content": "One."})
    names = [tool["function"]["name"] for tool in plain_record(with_question)["tools"]]
    assert names == ["find", "ask_to_user"]
    for t in (MIXED, with_question, trajectory(calling("x")), trajectory({"role": "assistant", "content": "No."})):
        assert Trajectory.from_openai(json.loads(json.dumps(plain_record(t)))) == t
    empty = Trajectory("e", BUILT_INS, ())
    assert plain_record(empty) == empty.to_openai()


def test_an_answer_that_would_read_as_a_call_stays_one_of_finish():
    text = '<tool_call>{"name": "find", "arguments": {}}</tool_call>'
    t = Trajectory("t", BUILT_INS, ())
    said = json.dumps({"answer": text})
    t = trajectory({"role": "assistant", "tool_calls": [{"name": "finish", "arguments": said}]})
    assert Trajectory.from_openai(plain_record(t)) == t


# ---- the verbs


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    good = MIXED.to_openai()
    path.write_text("".join(json.dumps(record) + "\n" for record in [good, {"a": 1}, good | {"id": "u"}]))
    return path


def test_label_writes_in_order_and_tells_what_it_left_out(data, tmp_path, capsys):
    out, page = tmp_path / "out.jsonl", tmp_path / "page.html"
    argv = [str(data), "--out", str(out)]
    assert tl_main(["label", *argv]) == 2
    assert "line 2: no `messages`, but a" in capsys.readouterr().err and not out.exists()
    assert label.main([*argv, "--on_bad_data", "skip", "--html", str(page)]) == 0
    told = capsys.readouterr()
    assert "2 records in" in told.out and "turns of weight 0   2 tool call failure" in told.out
    assert "messages split" not in told.out  # written flat, they had been split before
    assert [t.id for t in read(out)[0]] == ["t", "u"]
    assert "masked: tool call failure" in page.read_text() and "weight 0 in the data" in page.read_text()
    assert tl_main(["label", *argv, "--on_bad_data", "skip"]) == 2 and "already exists" in capsys.readouterr().err
    argv += ["--html", str(data), "--overwrite"]
    assert tl_main(["label", *argv]) == 2 and "one of the files to read" in capsys.readouterr().err
    argv = [str(data), "--out", str(tmp_path / "new"), "--on_bad_data", "skip", "--html"]
    assert tl_main(["label", *argv, str(tmp_path / "new")]) == 2 and "the same file" in capsys.readouterr().err
    assert tl_main(["label", *argv, str(tmp_path / "no/page")]) == 2 and "does not exist" in capsys.readouterr().err
    argv += [str(tmp_path / "new.html"), "--tokenizer", str(tmp_path / "no")]
    assert tl_main(["label", *argv]) == 2 and "no such file or folder" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new").exists()


def test_convert_writes_a_mix_of_any_formats(data, tmp_path, capsys):
    other = tmp_path / "glaive.json"
    other.write_text(json.dumps([{"system": "", "chat": f"USER: {n}?\n\nASSISTANT: {n}."} for n in range(10)]))
    out = tmp_path / "out.jsonl"
    shares = [f"{data}:0.2", f"{other}:0.8"]
    assert convert.main([*shares, "--out", str(out), "--on_bad_data", "skip"]) == 0
    assert "10 records" in capsys.readouterr().out
    assert len(read(out)[0]) == 10
    assert tl_main(["convert", str(data), "--out", str(data), "--overwrite"]) == 2
    beside = tmp_path / "new.jsonl.new"  # not ours
    beside.write_bytes(data.read_bytes())
    assert tl_main(["convert", str(beside), "--out", str(tmp_path / "new.jsonl")]) == 2
    assert beside.read_bytes() == data.read_bytes() and not (tmp_path / "new.jsonl").exists()


def test_formats_are_listed_a_line_each(capsys):
    assert formats.main([]) == 0
    listed = capsys.readouterr().out
    assert all(f"\n{name} " in f"\n{listed}" for name in ("openai", "glaive", "xlam", "sweagent", "tau2", "nl2bash"))


def test_what_is_written_of_real_files_reads_back_to_the_same_weights(shared):
    files = sorted(p for p in (shared / "data/formats").iterdir() if p.suffix in (".json", ".jsonl", ".traj"))
    trajectories = list(chain.from_iterable(read(file, "skip")[0] for file in files))
    trajectories += read(shared / "data/trajectories/openai_messages.jsonl.gz")[0][::40]
    assert len(trajectories) > 150
    for t in trajectories:
        assert Trajectory.from_openai(plain_record(t)) == t
        for style in ("weight", "loss", "train"):
            [written], _ = labelled(t, style)
            assert weights(Trajectory.from_openai(json.loads(json.dumps(written)))) == weights(t)
        for record in labelled(t, "last")[0]:
            *before, last = weights(Trajectory.from_openai(record))
            assert last and not any(before)
