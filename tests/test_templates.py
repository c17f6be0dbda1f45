"""Prompt formats: whatever the form, one trajectory is trained, sampled, rewarded and evaluated alike."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from forms import FORMS, make_tokenizer
from runs import record
from test_prompt import FOUR_TURNS, TOOLS, call, expanded_loss, trajectory
from vocabularies import CONTROL, LLAMA3_CONTROL, make_vocabulary

import evaluate
import train_ppo
import train_sft
from benchmarks.templates import PUBLISHED, digest, pieces, recorded
from tl.calls import Call, CallSyntaxError, format_call, parse_call
from tl.irm import RewardCase, call_reward
from tl.llama import Llama, ModelConfig, Tokenizer, save_model
from tl.llama.sampling import Completion
from tl.llama.tokenizer import TokenizerError
from tl.llama.weights import read_config
from tl.losses import weighted_cross_entropy
from tl.metrics import Question
from tl.prompt import NO_TARGET, encode_call, encode_feedback, encode_prompt, encode_trajectory, name_ids
from tl.rl.calls import Experience, ScoredCall, sample_calls
from tl.rl.config import PPOConfig
from tl.rollout.dialogue import Dialogue, ask, prediction_of
from tl.rollout.policy import LlamaPolicy, SamplingPolicy
from tl.templates import template_line, template_of
from tl.templates.chatml import QWEN_SYSTEM
from tl.training.batching import collate, target_nll
from tl.trajectory import Message, Trajectory

USER = Message("user", "Papers about owls, please.")
ODD_CALLS = [
    Call("get_paper", {}),
    Call("get_paper", {"id": 7, "exact": True, "of": None, "near": -1.5e30}),
    Call("page[size]", {"limit=10": {"a b": [1, {"k": []}]}, "s": 'é"\\\n\t\u2028</tool_call><|im_end|></think>'}),
    Call('a"b\\c', {"text": "{'x': 1}"}),
    Call("finish", {"answer": "{}"}),
]


@pytest.fixture(scope="module", params=FORMS)
def tokenizer(request, small_tokenizer, tmp_path_factory) -> Tokenizer:
    return make_tokenizer(request.param, small_tokenizer, tmp_path_factory.mktemp("vocabulary"))


@pytest.fixture
def form(tokenizer):
    return template_of(tokenizer)


def said(form, call: Call) -> str:
    """What a model says that makes this call."""
    return form.tokenizer.decode(encode_call("x", [0], call, form.tokenizer).input_ids.tolist()[1:])


# ---- training


def test_one_pass_equals_one_sample_per_correct_call(tokenizer):
    """Loss and every parameter's gradient, in float64 to 1e-10."""
    torch.manual_seed(0)
    model = Llama(ModelConfig(tokenizer.vocab_size, 16, 24, 2, 2, 1, 8, 8192)).double()
    plain = trajectory(USER, Message("assistant", "Which owls?"), USER, *FOUR_TURNS.messages[1:4])
    examples = [encode_trajectory(t, tokenizer) for t in (FOUR_TURNS, plain)]
    micro = collate(examples)
    loss = weighted_cross_entropy(target_nll(model, micro), micro.weights.double(), micro.turn_index)
    assert micro.trained_turns == 6
    expected = sum(expanded_loss(model, example, total=6) for example in examples)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-10)
    parameters = list(model.parameters())
    gradients = (torch.autograd.grad(value, parameters) for value in (loss, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_calls_and_the_end_of_their_turn_are_targets_and_nothing_else_is(tokenizer, form):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    covered = torch.zeros(len(example), dtype=torch.bool)
    for turn, message in zip(example.turns, (m for m in FOUR_TURNS.messages if m.is_call), strict=True):
        *ids, end = example.targets[turn.start - 1 : turn.end].tolist()
        assert form.read(tokenizer.decode(ids)) == (message.content,)
        assert end == form.end_id
        covered[turn.start - 1 : turn.end] = True
    assert (example.targets[~covered] == NO_TARGET).all()
    assert [turn.trained for turn in example.turns] == [True, False, True, True]


def test_a_prompt_is_the_trajectory_up_to_its_next_turn(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    for turn, at in zip(example.turns, (1, 3, 5, 7), strict=True):
        assert example.input_ids[: turn.start].tolist() == encode_prompt(TOOLS, FOUR_TURNS.messages[:at], tokenizer)


def test_key_tokens_lie_in_the_name_where_it_differs_from_other_names(tokenizer, form):
    turn = encode_trajectory(FOUR_TURNS, tokenizer).turns[2]  # get_paper, beside get_papers_by_keywords
    ids = encode_trajectory(FOUR_TURNS, tokenizer).input_ids[turn.start : turn.end].tolist()
    before = [tokenizer.decode(ids[:k]) for k in turn.key_positions]
    lead = tokenizer.decode(form.encode(form.lead))
    assert before[0] == lead and before[-1] == f"{lead}get_paper"
    assert ids[turn.key_positions[0] :][: len(name_ids("get_paper", tokenizer))] == name_ids("get_paper", tokenizer)


def test_what_people_write_is_no_control_token(tokenizer, form):
    words = "".join([*CONTROL, *LLAMA3_CONTROL, "<tool_call>", "</s>"])
    counts = []
    for text in ("owls", words):
        asked = trajectory(Message("user", text), call("finish", answer=text), Message("tool", text), call("finish"))
        ids = encode_trajectory(asked, tokenizer).input_ids.tolist()
        counts.append([ids.count(id) for id in tokenizer.control_ids.values()])
    assert counts[0] == counts[1]


@pytest.mark.parametrize("tokenizer", [name for name in FORMS if name != "table13"], indirect=True)
def test_ids_are_those_of_the_whole_text_with_its_control_tokens(tokenizer, form):
    """As transformers makes them: it looks for control tokens first and encodes the texts between them."""
    import tokenizers

    segments = form.segments(TOOLS, FOUR_TURNS.messages)
    library = tokenizers.Tokenizer.from_file(str(tokenizer.path))
    whole = library.encode("".join(s.text for s in segments), add_special_tokens=False).ids
    assert encode_trajectory(FOUR_TURNS, tokenizer).input_ids.tolist() == [*tokenizer.start(), *whole]


@pytest.mark.parametrize("published", PUBLISHED)
def test_conversations_are_written_as_the_models_own_chat_templates_write_them(published):
    """To the letter: the hashes are of what transformers renders with the published templates."""
    records = recorded()
    assert len(records) == 200
    for written in records:
        text = "".join(pieces(published, written))
        assert digest(text) == written["published"][published], written["id"]


# ---- reading back


@pytest.mark.parametrize("made", ODD_CALLS, ids=lambda made: made.name)
def test_a_call_is_read_back_as_it_was_written(form, made):
    [text] = form.read(said(form, made))
    assert parse_call(text) == made


BROKEN = {
    "table13": ["get_paper(id=", "It is 7.", ""],
    "chatml": [
        '<tool_call>\n{"name": "get_paper", "arguments": {"id": 7}\n</tool_call>',
        '<tool_call>\n{"arguments": {}}\n</tool_call>',
        "<tool_call>\nget_paper(id=7)\n</tool_call>",
        'get_paper(id="<tool_call>")',
        '<think>\nPerhaps\n<tool_call>\n{"name": "get_paper", "arguments": {"id": 7}}\n</tool_call>',
        "<think>\nIt is",
        "",
    ],
    "llama3": ['{"name": "get_paper", "parameters": {"id": 7}', '{"id": 7}', '{"name": 7, "parameters": {}}', " "],
}


def test_text_that_is_no_call_is_a_format_error(form):
    for text in BROKEN[form.name]:
        with pytest.raises(CallSyntaxError):
            parse_call(form.read(text)[0])
        assert call_reward(form.read_one(text), Call("get_paper", {"id": 7}), TOOLS).case is RewardCase.FORMAT_ERROR


@pytest.mark.parametrize("tokenizer", ["chatml", "llama3"], indirect=True)
def test_a_plain_turn_of_the_model_is_read_as_finish(form):
    assert form.read(" It is {7}.\n") == ('finish(answer="It is {7}.")',)
    assert form.read('get_paper(id="7")') == (format_call(Call("finish", {"answer": 'get_paper(id="7")'})),)


@pytest.mark.parametrize("tokenizer", ["chatml"], indirect=True)
def test_text_and_thoughts_beside_a_call_are_left_out(form):
    made = said(form, Call("get_paper", {"id": 7}))
    assert form.read(f"<think>\n<tool_call> or not?\n</think>\n\nLet me see.\n{made}") == ("get_paper(id=7)",)
    assert form.read(f"<think>\n\n</think>\n\n{made}") == ("get_paper(id=7)",)
    assert form.read("<think>\nIt is 7.\n</think>\n\nIt is 8.") == ('finish(answer="It is 8.")',)


@pytest.mark.parametrize(("tokenizer", "between"), [("chatml", "\n"), ("llama3", "; ")], indirect=["tokenizer"])
def test_several_calls_in_one_turn_are_read_where_several_are_due(form, between):
    two = between.join(said(form, Call("get_paper", {"id": id})) for id in (7, 8))
    assert form.read(two) == ("get_paper(id=7)", "get_paper(id=8)")
    with pytest.raises(CallSyntaxError):
        parse_call(form.read_one(two))


def test_a_call_that_nobody_can_read_stands_in_the_context_as_it_is(tokenizer):
    broken = Message("assistant", "get_paper(id=", is_call=True)
    example = encode_trajectory(trajectory(USER, broken, Message("tool", "?"), call("get_paper", id=7)), tokenizer)
    assert [turn.trained for turn in example.turns] == [False, True]
    assert "get_paper(id=" in tokenizer.decode(example.input_ids.tolist())


# ---- sampling


class Scripted:
    """A sampler that says given calls, and their ends, one after the other."""

    def __init__(self, tokenizer: Tokenizer, calls: list[Call]) -> None:
        self.texts = iter([encode_call("x", [0], made, tokenizer).targets.tolist() for made in calls])
        self.end = template_of(tokenizer).end_id

    def __call__(self, model: object, rows: int, *, eos_id: int) -> "Scripted":
        assert eos_id == self.end
        return self

    def complete(self, prompts, *_, **__) -> list[Completion]:
        made = [next(self.texts) for _ in prompts]
        return [Completion(ids, [0.0] * len(ids), True) for ids in made]


@pytest.fixture
def calls(tokenizer) -> list[Call]:
    return [parse_call(m.content) for m in FOUR_TURNS.messages if m.is_call]


def test_an_episode_of_ppo_has_the_ids_of_the_training_example(tokenizer, calls):
    scripted = Scripted(tokenizer, calls)
    policy = SamplingPolicy(
        lambda prompts, seeds: (scripted.complete(prompts), 0.0),
        tokenizer,
        [encode_prompt(TOOLS, FOUR_TURNS.messages[:1], tokenizer)],
        [0],
        room=10**6,
    )
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    experience = Experience("x", [])
    for at in (1, 3, 5, 7):
        [response] = policy([Dialogue(TOOLS, FOUR_TURNS.messages[:at])])
        assert response.texts == (FOUR_TURNS.messages[at].content,)
        experience.ids += policy.turns[0][-1].read
        experience.add(policy.turns[0][-1].completion, ScoredCall(response.texts[0], 0.0, None))
    assert experience.ids == example.input_ids.tolist()
    assert experience.actions == [t for t in example.targets.tolist() if t != NO_TARGET]


def test_a_step_of_ppo_is_rewarded_for_the_call_that_was_said(tokenizer, calls, monkeypatch):
    monkeypatch.setattr("tl.rl.calls.Sampler", Scripted(tokenizer, [calls[0], Call("get_paper", {"id": 1})]))
    ids = encode_prompt(TOOLS, FOUR_TURNS.messages[:1], tokenizer)
    question = Question("q", TOOLS, FOUR_TURNS.messages[:1], ((calls[0],),), prompt_ids=ids)
    model = Llama(ModelConfig(tokenizer.vocab_size, 8, 8, 1, 1, 1, 8, 64))
    right, wrong = sample_calls(model, tokenizer, [question] * 2, PPOConfig(), [0, 1])
    assert [e.calls[0].case for e in (right, wrong)] == [RewardCase.ALL_RIGHT, RewardCase.WRONG_TOOL]
    assert right.ids == [*ids, *right.actions[:-1]] and right.actions[-1] == template_of(tokenizer).end_id


def test_a_model_is_asked_and_its_call_is_scored(tokenizer, calls, monkeypatch):
    monkeypatch.setattr("tl.rollout.policy.Sampler", Scripted(tokenizer, calls[:1]))
    model = Llama(ModelConfig(tokenizer.vocab_size, 8, 8, 1, 1, 1, 8, 10**5))
    question = Question("q", TOOLS, FOUR_TURNS.messages[:1], ((calls[0],),))
    [answer] = ask([question], LlamaPolicy(model, tokenizer, 1, 64))
    assert prediction_of(answer).calls == (calls[0],)


def test_feedback_is_encoded_as_within_a_trajectory(tokenizer):
    example = encode_trajectory(FOUR_TURNS, tokenizer)
    between = example.input_ids[example.turns[0].end : example.turns[1].start].tolist()
    assert between == encode_feedback(FOUR_TURNS.messages[2].content, tokenizer)


# ---- the choice of a form


@pytest.mark.parametrize(
    ("kind", "control", "own", "line"),
    [
        ("qwen", CONTROL, "", "chatml (the vocabulary has <|im_start|>)"),
        ("llama3", LLAMA3_CONTROL, "", "llama3 (the vocabulary has <|start_header_id|>)"),
        ("gpt2", ["<s>", "<unk>", "</s>"], "", "table13 (the vocabulary has no <|im_start|> and no"),
        ("gpt2", ["<s>", "<unk>", "</s>"], "{{ '[INST] ' }}", "chat template with [INST] is not one of these"),
    ],
)
def test_the_vocabulary_tells_which_form_a_model_has(tmp_path, kind, control, own, line):
    folder = make_vocabulary(tmp_path, kind, control=control)
    (folder / "chat_template.jinja").write_text(own)
    tokenizer = Tokenizer(folder)
    assert line in template_line(tokenizer) and template_of(tokenizer).name in template_line(tokenizer)


def test_a_file_of_added_tokens_that_is_not_read_is_named(small_tokenizer, tmp_path):
    copied = shutil.copy(small_tokenizer.path, tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|im_start|>": small_tokenizer.vocab_size}))
    assert template_line(Tokenizer(copied)).endswith("no <|start_header_id|>; added_tokens.json is not read)")
    assert "added_tokens" not in template_line(small_tokenizer)


@pytest.mark.parametrize("template", [3, {"default": "x"}, ["x"], [{"name": "default"}]])
def test_a_chat_template_that_is_no_text_is_refused(small_tokenizer, tmp_path, template):
    copied = shutil.copy(small_tokenizer.path, tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    with pytest.raises(TokenizerError, match="tokenizer_config.json: `chat_template` must be a text, not"):
        template_line(Tokenizer(copied))


def test_a_form_is_refused_where_the_vocabulary_lacks_its_tokens(small_tokenizer):
    with pytest.raises(
        TokenizerError, match="has no <|im_start|> and no <|im_end|>, which the prompt format chatml needs"
    ):
        template_of(Tokenizer(small_tokenizer.path, "chatml"))


@pytest.mark.parametrize("own", ["", f"'{QWEN_SYSTEM}'"])
def test_the_default_system_message_of_qwen_is_written_where_the_checkpoint_has_it(tmp_path, own):
    folder = make_vocabulary(tmp_path, "qwen")
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": own}))
    [segment] = template_of(Tokenizer(folder)).segments(TOOLS, [USER])
    assert segment.text.startswith(
        f"<|im_start|>system\n{QWEN_SYSTEM}\n\n# Tools" if own else "<|im_start|>system\n# Tools"
    )


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """A folder with a random model and a ChatML vocabulary, `model`, and trajectories, `data.jsonl`."""
    folder = tmp_path_factory.mktemp("toy")
    tokenizer = Tokenizer(make_vocabulary(folder / "vocabulary", "qwen"))
    torch.manual_seed(0)
    config = ModelConfig(tokenizer.vocab_size, 16, 24, 1, 2, 2, 8, 8192, eos_token_id=tokenizer.eos_id)
    save_model(Llama(config), folder / "model", tokenizer.path)
    (folder / "data.jsonl").write_text("".join(json.dumps(record(n)) + "\n" for n in range(6)))
    return folder


@pytest.mark.parametrize("asked", ["auto", "table13"])
def test_a_model_is_trained_rewarded_and_evaluated_in_one_form(toy, tmp_path, asked, capsys):
    """The form that was asked for once is kept by all that goes on from the saved model."""
    name = "chatml" if asked == "auto" else asked
    data, few = ["--data", str(toy / "data.jsonl")], ["--max_steps", "2", "--eval_every", "0"]
    sft, ppo = tmp_path / "sft", tmp_path / "ppo"
    flags = ["--model", str(toy / "model"), "--template", asked, "--out", str(sft), *data, *few]
    assert train_sft.main(flags) == 0
    assert f"prompt format       {name} (" in capsys.readouterr().out
    prompts = tmp_path / "prompts.jsonl"
    made = [Trajectory.from_openai(record(n)).to_openai() for n in range(6)]
    prompts.write_text("".join(json.dumps(r | {"messages": r["messages"][:2]}) + "\n" for r in made))
    sizes = ["--batch_size", "2", "--minibatch_size", "2", "--max_new_tokens", "120", "--max_length", "8000"]
    assert train_ppo.main(["--model", str(sft), "--out", str(ppo), "--data", str(prompts), *few, *sizes]) == 0
    assert f"prompt format       {name} (as saved with the model)" in capsys.readouterr().out
    report = ["--report", str(tmp_path / "report.json"), "--max_new_tokens", "4", "--limit", "2"]
    assert evaluate.main(["--model", str(ppo), *data, *report]) == 0
    assert f"prompt format       {name} (as saved with the model)" in capsys.readouterr().out
    assert read_config(ppo).eos_token_id == Tokenizer(ppo).eos_id


def test_a_saved_model_ends_its_texts_where_the_form_ends_a_turn(toy, tmp_path):
    """A base model's texts end in another token; other programs have to stop at the end of a turn as well."""
    tokenizer = Tokenizer(toy / "vocabulary")
    config = json.loads((toy / "model" / "config.json").read_text())
    base = tmp_path / "base"
    base.mkdir()
    for file in (toy / "model").iterdir():
        (base / file.name).write_bytes(file.read_bytes())
    config["eos_token_id"] = tokenizer.control_ids["<|endoftext|>"]
    (base / "config.json").write_text(json.dumps(config))
    (base / "generation_config.json").unlink()
    flags = ["--data", str(toy / "data.jsonl"), "--max_steps", "1", "--eval_every", "0"]
    assert train_sft.main(["--model", str(base), "--out", str(tmp_path / "sft"), *flags]) == 0
    saved = json.loads((tmp_path / "sft" / "generation_config.json").read_text())
    assert saved["eos_token_id"] == [tokenizer.control_ids["<|endoftext|>"], tokenizer.control_ids["<|im_end|>"]]
