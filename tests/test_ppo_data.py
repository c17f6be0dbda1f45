"""What PPO starts from: prompts of files or the tool library, tasks for episodes, and all that is refused up front."""

import itertools
import json
import pickle

import pytest

from tl.assets import TINY
from tl.calls import Call
from tl.datasets import DataError
from tl.llama.tokenizer import Tokenizer
from tl.prompt import encode_prompt
from tl.rl.data import PPOData, read_prompts, task_data
from tl.synthesis import make_episodes, prompts
from tl.synthesis.tasks import make_tasks

SEARCH = {"name": "search", "parameters": {"type": "object", "properties": {"query": {"type": "string"}}}}
ASKED = {"role": "user", "content": "Find cats."}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(TINY)


def calling(text: str, name: str = "search", **beside) -> dict:
    """A record that ends in a call of this exact text."""
    call = {"function": {"name": name, "arguments": "{}"}, "text": text}
    return {
        "tools": [SEARCH],
        "messages": [ASKED, {"role": "assistant", "content": None, "tool_calls": [call]}],
    } | beside


GOOD = calling('search(query="cats")', id="good")


def write(path, records) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(path)


def test_a_prompt_ends_where_the_call_is_due_and_the_golden_call_is_the_last_of_the_record(tokenizer, tmp_path):
    [prompt] = read_prompts([write(tmp_path / "prompts.jsonl", [GOOD])], tokenizer, 500).prompts
    assert prompt.id == "good" and prompt.golden == [Call("search", {"query": "cats"})]
    assert [tool.name for tool in prompt.tools] == ["search", "ask_to_user", "finish"]
    assert (
        tokenizer.decode(prompt.prompt_ids).endswith("\nUser: Find cats.\nAssistant:")
        and prompt.prompt_ids[0] == tokenizer.bos_id
    )


def test_whole_trajectories_are_not_taken_for_prompts_without_a_word(tokenizer, tmp_path):
    path = write(tmp_path / "trajectories.jsonl", [calling('finish(answer="Done.")', "finish")])
    with pytest.warns(UserWarning, match="every golden call is finish"):
        assert len(read_prompts([path], tokenizer, 500).prompts) == 1


def test_a_golden_text_may_be_longer_than_a_call_unless_it_is_compared(tokenizer, tmp_path):
    path = write(tmp_path / "p.jsonl", [GOOD, calling(f'finish(answer="{"cats " * 100}")', "finish")])
    assert len(read_prompts([path], tokenizer, 500, 50).prompts) == 2
    with pytest.raises(DataError, match="the golden call has .* tokens, more than --max_new_tokens 50"):
        read_prompts([path], tokenizer, 500, 50, free_text=())


def test_prompts_of_one_trajectory_are_a_prefix_group_each_as_often_as_asked_for(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("tl.rl.data.synthetic_prompts", lambda seed: prompts(40, seed))
    data = read_prompts([], tokenizer, 1024)
    ids = [prompt.id for prompt in data.prompts]
    groups = sorted(data.prefix_groups(), key=min)
    assert [[ids[i] for i in group] for group in groups] == [list(g) for _, g in itertools.groupby(ids)]
    for group in groups:
        for before, after in itertools.pairwise(data.prompts[i].prompt_ids for i in group):
            assert after[: len(before)] == before
    assert sorted(data.prefix_groups(2), key=min) == [[i for i in group for _ in range(2)] for group in groups]


def test_what_synthesis_writes_gives_the_same_prompts_as_no_file(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("tl.rl.data.synthetic_prompts", lambda seed: prompts(40, seed))
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(question.solved().to_line() for question in prompts(40, seed=3)))
    generated, read = read_prompts([], tokenizer, 1024, seed=3), read_prompts([str(path)], tokenizer, 1024)
    assert len(read.prompts) == 40 and read.prompts == generated.prompts
    assert read.fingerprint == generated.fingerprint != read_prompts([], tokenizer, 1024, seed=4).fingerprint


def test_all_bad_records_are_listed_with_file_line_and_reason(tokenizer, tmp_path):
    answered = calling("search()")
    answered["messages"].append({"role": "tool", "content": "[]"})
    records = [
        GOOD,
        calling("search(query=cats)"),
        calling('find(query="cats")'),
        answered,
        {"tools": [SEARCH], "messages": [ASKED]},
        calling("search()", messages=[{"role": "user", "content": "cats " * 500}, calling("search()")["messages"][1]]),
        ["no record"],
    ]
    path = write(tmp_path / "prompts.jsonl", records)
    with pytest.raises(DataError) as error:
        read_prompts([path], tokenizer, 500)
    assert [(bad.path, bad.place) for bad in error.value.bad] == [(path, f"line {n}") for n in range(2, 8)]
    reasons = [bad.reason for bad in error.value.bad]
    assert "'search(query=cats)' is not a call" in reasons[0]
    assert reasons[1] == "the golden call's tool, find, is not among the tools"
    assert reasons[2] == reasons[3] == "a prompt must end with its golden call, without feedback after it"
    assert "tokens, more than --max_length 500" in reasons[4]
    listed = {str(bad) for bad in error.value.bad} - {str(error.value.bad[3])}  # the same reason as the one before it
    assert all(line in str(error.value) for line in listed) and "(and 1 more like it)" in str(error.value)
    with pytest.warns(UserWarning, match="skipped bad records") as warned:
        data = read_prompts([path], tokenizer, 500, on_bad="skip")
    assert all(line in str(warned[0].message) for line in listed)
    assert [prompt.id for prompt in data.prompts] == ["good"] and len(data.bad) == 6
    assert "6 bad records" in data.lines()[-1]


@pytest.mark.parametrize("content", ["", "\n\n", "[]"])
def test_an_empty_file_is_refused(content, tokenizer, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=f"{path}: contains no record"):
        read_prompts([str(path)], tokenizer, 500)


def test_nothing_left_to_train_on_is_an_error_even_where_bad_records_are_skipped(tokenizer, tmp_path):
    path = write(tmp_path / "prompts.jsonl", [calling("nothing")])
    nothing_left = pytest.raises(DataError, match=r"no prompt is left to train on.*prompts.jsonl, line 1: the golden")
    with nothing_left, pytest.warns(UserWarning, match="skipped bad records"):
        read_prompts([path], tokenizer, 500, on_bad="skip")


def test_a_generated_prompt_that_does_not_fit_is_named(tokenizer, monkeypatch):
    monkeypatch.setattr("tl.rl.data.synthetic_prompts", lambda seed: prompts(2, seed))
    with pytest.raises(
        DataError, match=r"generated prompt 00000/\S+: the prompt has \d+ tokens, more than --max_length 9"
    ):
        read_prompts([], tokenizer, 9)
    with pytest.raises(DataError, match=r"task 00000/\S+: the prompt has \d+ tokens, more than --max_length 9"):
        task_data(make_tasks(size=2), tokenizer, 9)


def test_long_feedback_in_a_history_is_cut_as_in_sft(tokenizer, tmp_path):
    record = calling("search()")
    record["messages"] += [{"role": "tool", "content": "0123456789 " * 3000}, record["messages"][1]]
    [prompt] = read_prompts([write(tmp_path / "long.jsonl", [record])], tokenizer, 4000).prompts
    assert "tokens cut] …" in tokenizer.decode(prompt.prompt_ids)


def test_prompts_are_drawn_by_the_shares_of_their_files(tokenizer, tmp_path):
    paths = [write(tmp_path / name, [GOOD | {"id": f"{name}{n}"} for n in range(9)]) for name in ("a", "b")]
    ids = [prompt.id for prompt in read_prompts([f"{paths[0]}:0.75", f"{paths[1]}:0.25"], tokenizer, 500).prompts]
    assert sum(id[0] == "a" for id in ids) == 9 and sum(id[0] == "b" for id in ids) == 3


def test_tasks_are_the_requests_of_the_training_side(tokenizer):
    made = make_episodes(30, seed=1)
    tasks = task_data(make_tasks(seed=1, size=30), tokenizer, 1024).prompts
    held_out = {episode.task.template for episode in make_episodes(60, seed=1, unseen=True)}
    assert not held_out & {episode.task.template for episode in made}
    for task, episode in zip(tasks, made, strict=True):
        trajectory = episode.trajectory
        assert (task.id, task.calls) == (trajectory.id, episode.task.solution)
        assert task.prompt_ids == encode_prompt(trajectory.tools, trajectory.messages[:1], tokenizer)


def test_tasks_travel_to_other_ranks_and_have_a_fingerprint(tokenizer):
    data = task_data(make_tasks(size=8), tokenizer, 1024)
    copy = pickle.loads(pickle.dumps(data))
    again = task_data(make_tasks(size=8), tokenizer, 1024)
    assert copy.prompts == data.prompts and copy.fingerprint == again.fingerprint
    assert PPOData(data.prompts[::-1]).fingerprint != data.fingerprint


def test_a_golden_call_that_no_rollout_can_reach_is_a_bad_record(tokenizer, tmp_path):
    long = calling(f'search(query="{"cats and dogs " * 40}")')
    path = write(tmp_path / "prompts.jsonl", [GOOD, long])
    with pytest.raises(DataError, match=r"line 2: the golden call has \d+ tokens, more than --max_new_tokens 64"):
        read_prompts([path], tokenizer, 4000, max_new_tokens=64)
    said = calling(f'finish(answer="{"cats and dogs " * 40}")')
    assert len(read_prompts([write(tmp_path / "finish.jsonl", [GOOD, said])], tokenizer, 4000, 64).prompts) == 2
