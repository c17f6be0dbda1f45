"""`python -m tl synthesis`: files that other commands read, made from flags alone."""

import pytest

from tl.__main__ import main
from tl.calls import parse_call
from tl.datasets import read
from tl.executor.toolkits import load_toolkit
from tl.synthesis import UNSEEN_TOOLKITS, held_out, prompts, synthesize
from tl.synthesis.environments import in_environment


def run(tmp_path, *flags):
    out = tmp_path / "out.jsonl"
    assert main(["synthesis", "--out", str(out), *flags]) == 0
    return read(out)[0]


def test_the_file_holds_the_trajectories_of_the_seed(tmp_path, capsys):
    assert run(tmp_path, "--size", "40", "--seed", "3") == synthesize(40, seed=3)
    said = capsys.readouterr().out
    assert said.startswith("40 records with ")
    assert "tool call failure" in said


def test_the_mix_can_be_chosen(tmp_path):
    made = run(tmp_path, "--size", "20", "--mix", "0,0,1")
    assert {trajectory.id.split("/")[1] for trajectory in made} == {"ask", "refusal"}


def test_prompts_end_with_their_golden_call(tmp_path):
    made = run(tmp_path, "--kind", "prompts", "--size", "30")
    for trajectory, item in zip(made, prompts(30), strict=True):
        assert trajectory.messages[:-1] == item.messages
        assert [parse_call(trajectory.messages[-1].content)] == item.golden


def test_held_out_items_can_be_had_in_every_environment(tmp_path):
    made = run(tmp_path, "--kind", "held_out", "--size", "10", "--environment", "medium")
    wanted = [in_environment(item, "medium") for item in held_out(10)]
    assert [trajectory.messages[:-1] for trajectory in made] == [item.messages for item in wanted]


def test_unseen_toolkits_share_no_tool_with_training(tmp_path):
    made = run(tmp_path, "--kind", "unseen_toolkits", "--size", "20")
    unseen = {tool for toolkit in UNSEEN_TOOLKITS for tool in load_toolkit(toolkit).specs}
    assert {tool.name for trajectory in made for tool in trajectory.tools[:-2]} <= unseen
    assert not {tool.name for trajectory in synthesize(100) for tool in trajectory.tools} & unseen


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--mix", "1,2"], "three shares"),
        (["--mix", "a,b,c"], "three shares"),
        (["--mix", "0,0,0"], "three shares"),
        (["--mix", "1,-1,1"], "three shares"),
        (["--mix", "1,1e999,1"], "three shares"),
        (["--tools", "nonsense"], "no toolkit named 'nonsense'"),
        (["--environment", "heavy"], "choose another --kind"),
        (["--teacher", "http://127.0.0.1:9"], "needs --teacher_model"),
        (["--teacher_model", "m"], "--teacher_model needs --teacher, the URL"),
        (["--teacher", "host", "--teacher_model", "m"], "an endpoint must be an http:// or https:// URL"),
        (["--kind", "unseen_toolkits", "--tools", "bank"], "leave --tools out"),
        (["--require_isolation"], "--require_isolation is for --teacher and --tasks"),
        (["--out", "none/out.jsonl"], "none/out.jsonl: the folder none does not exist: create it"),
    ],
)
def test_invalid_flags_are_one_line(tmp_path, capsys, flags, complaint):
    assert main(["synthesis", "--size", "3", "--out", str(tmp_path / "out.jsonl"), *flags]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out.jsonl").exists()


def test_an_existing_file_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "out.jsonl").write_text("precious")
    assert main(["synthesis", "--size", "3", "--out", str(tmp_path / "out.jsonl")]) == 2
    assert "already exists: choose another --out" in capsys.readouterr().err
    assert (tmp_path / "out.jsonl").read_text() == "precious"
