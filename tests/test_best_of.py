"""Best of N: which of several answers is given, and that it depends on nothing but seed and prompt."""

import json
import os
import time

import pytest
import torch
from checkpoints import make_model, with_large_weights
from ranks import on_one_rank

import evaluate
from tl.assets import TINY
from tl.llama.model import Critic
from tl.llama.sampling import Completion
from tl.llama.weights import load_model, save_model
from tl.rollout.best_of import BestOfPolicy, first, majority, most_valued
from tl.rollout.dialogue import Dialogue
from tl.schema import BUILT_INS
from tl.training.config import RunError
from tl.trajectory import Message

END = 2


def chosen(*texts: str) -> str:
    """What the majority of these answers is; one that ends in … was cut."""
    answers = [Completion([n], stopped=not text.endswith("…")) for n, text in enumerate(texts)]
    return texts[majority(lambda answer: [texts[answer.ids[0]]])([1], answers).ids[0]]


def test_the_majority_of_equal_calls_wins_however_they_are_written():
    assert chosen("f(a=1)", "f(a=2, b=3)", "f(b=3.0,  a=2)") == "f(a=2, b=3)"
    assert chosen("f(a=1)", "f(a=True)", "f(a=True)") == "f(a=True)"  # which is not 1


def test_the_first_of_several_majorities_wins_and_so_it_does_where_nothing_is_a_call():
    assert chosen("f()", "g()", "h()", "h()", "g()") == "g()"
    assert chosen("I think so.", "No.", "No.") == "I think so."


def test_what_is_no_call_or_was_cut_has_no_vote():
    assert chosen("No.", "No.", "f()") == "f()" and chosen("f()…", "f()…", "g()") == "g()"


@pytest.fixture(scope="module")
def critic() -> Critic:
    torch.manual_seed(0)
    critic = Critic(make_model(vocab_size=40).config)
    with_large_weights(critic)
    torch.nn.init.normal_(critic.value_head.weight)
    return critic


def test_the_most_valued_answer_is_that_of_the_highest_value_where_it_ends(critic):
    """Each read alone, without sharing the prompt; the token that ends a call is not read."""
    prompt, texts = [1, 7, 9, 30, 12], [[5, 6], [8], [5, 9, 11], [20, 21]]
    values = [critic(torch.tensor([prompt + text]))[0, -1].item() for text in texts]
    answers = [Completion([*text, END], stopped=True) for text in texts]
    best = max(range(4), key=values.__getitem__)
    choose = most_valued(critic)
    assert len(set(values)) == 4 and choose(prompt, answers) is answers[best]
    answers[best] = Completion(texts[best], stopped=False)
    assert choose(prompt, answers) is answers[max({*range(4)} - {best}, key=values.__getitem__)]
    assert choose(prompt, answers[best : best + 1]) is answers[best]


@pytest.fixture(scope="module")
def toy(tmp_path_factory, small_tokenizer):
    """A model and a PRM of which every number depends on all tokens before it, and two trajectories."""
    folder = tmp_path_factory.mktemp("best")
    model = make_model(vocab_size=small_tokenizer.vocab_size, max_position_embeddings=2048)
    with_large_weights(model, 5)
    save_model(model, folder / "model", small_tokenizer.path)
    torch.manual_seed(0)
    prm = Critic(model.config)
    with_large_weights(prm)
    torch.nn.init.normal_(prm.value_head.weight)
    save_model(prm, folder / "prm", small_tokenizer.path)
    calls = [{"id": "0", "type": "function", "function": {"name": "list", "arguments": "{}"}}]
    messages = [{"role": "user", "content": "List."}, {"role": "assistant", "tool_calls": calls}]
    tools = [{"type": "function", "function": {"name": "list", "parameters": {"type": "object", "properties": {}}}}]
    lines = [json.dumps({"id": str(n), "tools": tools, "messages": messages}) + "\n" for n in range(2)]
    (folder / "data.jsonl").write_text("".join(lines))
    return folder


def test_draws_depend_on_seed_and_prompt_alone(toy, small_tokenizer):
    model = load_model(toy / "model")
    seen = []

    def remember(prompt, answers):
        seen.append([answer.ids for answer in answers])
        return answers[0]

    dialogues = [Dialogue(BUILT_INS, (Message("user", text),)) for text in ("Find cats.", "Find dogs.")]
    for batch_size, asked in ((1, dialogues), (4, dialogues[::-1])):
        BestOfPolicy(model, small_tokenizer, batch_size, 6, 3, remember, 0)(asked)
    BestOfPolicy(model, small_tokenizer, 4, 6, 3, remember, 1)(dialogues[:1])
    BestOfPolicy(model, small_tokenizer, 4, 6, 1, remember, 0)(dialogues[:1])
    assert seen[:2] == seen[3:1:-1] and seen[0] != seen[1] != seen[4] and len(set(map(tuple, seen[0]))) == 3
    assert seen[5] == seen[0][:1], "the first of many is that of one, so that `none` is what the others choose from"
    assert first([1], [Completion([5]), Completion([6])]).ids == [5]


@pytest.mark.parametrize("select", [["vote"], ["none"], ["prm", "--prm"]])
def test_an_evaluation_draws_and_says_so_in_its_report(toy, tmp_path, capsys, select):
    flags = f"--model {toy / 'model'} --data {toy / 'data.jsonl'} --report {tmp_path / 'r.json'} --max_new_tokens 4"
    flags += f" --best_of 3 --select {' '.join(select)}" + (f" {toy / 'prm'}" if "prm" in select else "")
    assert evaluate.main(flags.split()) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["config"]["best_of"] == 3 and report["config"]["select"] == select[0]
    assert f"one of 3 samples per turn, by --select {select[0]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--best_of", "2", "--predictions", "p.jsonl"], "--best_of samples from a local model"),
        (["--best_of", "2", "--select", "prm"], "--select prm needs --prm"),
        (["--best_of", "2", "--prm", "runs/prm"], "--select prm needs --prm"),
        (["--select", "prm", "--prm", "runs/prm"], "and --best_of of at least 2"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises(RunError, match=message):
        evaluate.main(flags)


def test_what_a_prm_chose_is_not_mixed_with_the_choice_of_one_that_was_trained_later(toy):
    config = evaluate.EvaluationConfig(best_of=2, select="prm", prm=str(toy / "prm"))

    def identity() -> dict:
        return on_one_rank(lambda world: evaluate.make_policy(config, toy / "model", world)[1])

    before, later = identity(), time.time() + 60
    os.utime(toy / "prm" / "model.safetensors", (later, later))
    assert identity()["saved"] > before["saved"]


def test_a_prm_of_another_vocabulary_is_refused(toy, tmp_path):
    flags = f"--model {TINY} --data {toy / 'data.jsonl'} --best_of 2 --select prm --prm {toy / 'prm'}"
    with pytest.raises(RunError, match="reads other tokens"):
        evaluate.main([*flags.split(), "--report", str(tmp_path / "r.json")])
