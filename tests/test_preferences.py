"""DPO: its loss against hand-computed values and TRL's, pairs as tokens, and runs of `python -m tl dpo`."""

import json
import math
from pathlib import Path

import pytest
import torch
from ranks import on_one_rank
from runs import TOOLS, Crash, assert_same_run, crash_at, losses, metrics
from torch.optim import SGD

from tl.cli import dpo
from tl.datasets import DataError, read
from tl.datasets.preferences import read_pairs
from tl.llama import Llama, Tokenizer, load_model
from tl.losses import dpo_loss, dpo_rewards
from tl.rl import dpo as program
from tl.rl.dpo import DPOConfig, reference_logp, resolve_config, train_step
from tl.rl.preferences import TokenPair, answer_logp, load_pairs, micro_batches
from tl.rl.update import Learner
from tl.training import distributed
from tl.training.batching import collate, target_nll
from tl.training.config import RunError
from tl.training.distributed import World
from tl.trajectory import Note

F64 = torch.float64
RECORDED = json.loads((Path(__file__).parent / "data" / "trl_dpo.json").read_text())
SIDES = [
    torch.tensor(RECORDED[name], dtype=F64)
    for name in ("policy_chosen", "policy_rejected", "ref_chosen", "ref_rejected")
]

# ---- the loss


def test_dpo_loss_by_hand():
    """β = ½: the chosen answer's reward is ½ (−1 + 3) = 1, the rejected one's ½ (−2 + 2) = 0; −log σ(1) = 0.3132617."""
    answers = [torch.tensor([x], dtype=F64) for x in (-1.0, -2.0, -3.0, -2.0)]
    assert [reward.item() for reward in dpo_rewards(*answers, 0.5)] == [1.0, 0.0]
    assert dpo_loss(*answers, 0.5).item() == pytest.approx(0.3132617, abs=1e-7)
    smoothed = 0.75 * 0.3132617 + 0.25 * 1.3132617  # −log σ(−1) = 1.3132617
    assert dpo_loss(*answers, 0.5, 0.25).item() == pytest.approx(smoothed, abs=1e-7)


def test_a_policy_that_is_its_reference_loses_log_2():
    answers = torch.tensor([-4.0, -7.0]), torch.tensor([-1.0, -2.0])
    assert dpo_loss(*answers, *answers, 0.3, 0.2).item() == pytest.approx(math.log(2))


def test_the_gradient_is_that_of_the_paper():
    """Section 4: −β σ(−margin) for the chosen answer, the opposite for the rejected one; none for the reference."""
    chosen, rejected, *reference = (side.clone().requires_grad_() for side in SIDES)
    dpo_loss(chosen, rejected, *(side.detach() for side in reference), 0.5, total=1).backward()
    margin = 0.5 * (SIDES[0] - SIDES[2] - SIDES[1] + SIDES[3])
    torch.testing.assert_close(chosen.grad, -0.5 * torch.sigmoid(-margin))
    torch.testing.assert_close(rejected.grad, -chosen.grad)


def test_dpo_loss_passes_gradcheck():
    inputs = [side.clone().requires_grad_() for side in SIDES]
    assert torch.autograd.gradcheck(lambda *answers: dpo_loss(*answers, 0.5, 0.1), inputs)


@pytest.mark.parametrize("case", RECORDED["results"], ids=str)
def test_dpo_is_trls(case):
    """Recorded by benchmarks/dpo.py."""
    loss = dpo_loss(*SIDES, case["beta"], case["label_smoothing"])
    chosen, rejected = dpo_rewards(*SIDES, case["beta"])
    assert loss.item() == pytest.approx(case["loss"], abs=1e-9)
    assert (chosen - rejected).mean().item() == pytest.approx(case["margin"], abs=1e-9)
    assert (chosen > rejected).double().mean().item() == case["accuracy"]


def test_parts_of_a_step_add_up_and_no_pairs_are_nothing():
    parts = [dpo_loss(*(side[part] for side in SIDES), 0.5, total=4) for part in (slice(1), slice(1, 4), slice(0))]
    assert sum(parts).item() == pytest.approx(dpo_loss(*SIDES, 0.5).item()) and parts[2] == 0


# ---- pairs as tokens


def call(topic: str, key: str = "topic") -> dict:
    function = {"name": "get_papers", "arguments": json.dumps({key: topic})}
    return {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}


def pair(number: int) -> dict:
    """A call with the right keyword over one with a wrong one, or over an invented result; every other after a call."""
    asked: list[dict] = [{"role": "user", "content": f"papers about {'owls and ' * (number % 4)}cats"}]
    if number % 2:
        asked += [call("owls"), {"role": "tool", "tool_call_id": "1", "content": f'["Owls {number}"]'}]
    worse = call(f"cats {number}", "by") if number % 3 else {"role": "assistant", "content": f"{number} papers."}
    return {"tools": TOOLS, "prompt": asked, "chosen": [call(f"cats {number}")], "rejected": [worse]}


@pytest.fixture(scope="module")
def toy(toy_sft, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "model").symlink_to(toy_sft / "model")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair(number)) + "\n" for number in range(10)))
    return folder


def pairs_of(toy: Path) -> list[TokenPair]:
    return load_pairs([str(toy / "pairs.jsonl")], Tokenizer(toy / "model"), 4096, 2048).pairs


def test_the_targets_are_the_answers_and_the_rejected_one_is_an_error_all_the_same(toy, small_tokenizer):
    one, two = pairs_of(toy)[:2]

    def said(example) -> str:
        *ids, end = example.targets[example.weights > 0].tolist()
        assert end == small_tokenizer.eos_id
        return small_tokenizer.decode(ids)

    assert (said(one.chosen), said(one.rejected)) == ('get_papers(topic="cats 0")', 'finish(answer="0 papers.")')
    assert (said(two.chosen), said(two.rejected)) == ('get_papers(topic="cats 1")', 'get_papers(by="cats 1")')
    assert set(one.chosen.weights.tolist()) == {0.0, 1.0}
    assert one.chosen.input_ids[: one.history + 1].equal(one.rejected.input_ids[: one.history + 1])
    assert one.chosen.weights[one.history] == 1, "the last token of the history predicts the first one of the answer"
    assert len(one) == one.history + len(one.chosen) - one.history + len(one.rejected) - one.history


def gradients(model: Llama) -> list[torch.Tensor]:
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    return found


def test_reading_a_history_once_equals_reading_it_twice(toy):
    model, pairs = load_model(toy / "model").double(), pairs_of(toy)
    world = World(0, 1, torch.device("cpu"))
    separate = []
    for side in (side for pair in pairs for side in (pair.chosen, pair.rejected)):
        separate.append(-target_nll(model, collate([side])).sum())
    apart = torch.stack(separate)
    (-(apart[0::2] - apart[1::2]).sigmoid().log()).sum().backward()
    expected = gradients(model)
    together = torch.zeros(2, len(pairs), dtype=F64)
    for indices, micro, answer in micro_batches(pairs, 700, world):
        assert sum(micro.lengths) == sum(len(pairs[i]) for i in indices) == micro.input_ids.numel()
        chosen, rejected = answer_logp(-target_nll(model, micro), answer, len(indices))
        (-(chosen - rejected).sigmoid().log()).sum().backward()
        together[:, indices] = torch.stack([chosen, rejected]).detach()
    torch.testing.assert_close(together, apart.detach().view(-1, 2).T, rtol=0, atol=1e-10)
    torch.testing.assert_close(gradients(model), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rejected": [call("cats 0")]}, "are the same"),
        ({"rejected": None}, "must be texts or lists of messages"),
        ({"prompt": [], "chosen": "Hello", "rejected": "Go away"}, "into `prompt`"),
        ({"rejected": [call("cats 0"), {"role": "tool", "content": "[]"}, call("owls")]}, "may contain the other"),
        ({"tools": None, "rejected": [call("cats", "by")]}, "the record has no `tools`"),
        ({"prompt": "x", "chosen": [{"role": "user", "content": "y"}, call("a")]}, "that the prompt is not a part of"),
        ({"chosen": [call("owls") | {"weight": 0}]}, "weight 0"),
        ({"chosen": "\ud800"}, "lone surrogate"),
    ],
)
def test_a_record_that_is_no_pair_is_told_with_its_place_and_reason(toy, tmp_path, changes, reason):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in (pair(1), pair(0) | changes)))
    with pytest.raises(DataError, match=f"(?s)line 2.*{reason}"):
        load_pairs([str(path)], Tokenizer(toy / "model"), 4096, 2048)
    with pytest.warns(UserWarning, match="skipped bad records"):
        assert len(load_pairs([str(path)], Tokenizer(toy / "model"), 4096, 2048, "skip").pairs) == 1


def test_pairs_as_other_programs_have_them(tmp_path):
    """A whole conversation on each side (UltraFeedback), its beginning alone (TRL), and LLaMA-Factory's from/value."""
    path = tmp_path / "pairs.jsonl"
    user, good, bad = {"role": "user", "content": "hi"}, [{"role": "assistant", "content": "yes"}], "no"
    whole = {"chosen": [user, *good], "rejected": [user, {"role": "assistant", "content": bad}]}
    turns = {"conversations": [{"from": "human", "value": "hi"}], "chosen": {"from": "gpt", "value": "yes"}}
    records = [whole, whole | {"prompt": "hi"}, turns | {"rejected": {"from": "gpt", "value": "no"}}]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    said = [[[m.content for m in side.messages] for side in pair] for pair in read_pairs([str(path)])[0]]
    assert said == [[["hi", 'finish(answer="yes")'], ["hi", 'finish(answer="no")']]] * 3


YES, NO = ({"role": "assistant", "content": content} for content in ("yes", "no"))
ASKED = [{"role": "user", "content": "hi"}]
TALK = "\n\nHuman: hi\n\nAssistant:"
IN_OTHER_LAYOUTS = {
    "OpenAI": {"input": {"messages": ASKED, "tools": []}, "preferred_output": [YES], "non_preferred_output": [NO]},
    "ms-swift": {"messages": [*ASKED, YES], "rejected_response": "no"},
    "ms-swift, a list": {"messages": [*ASKED, call("owls"), {"role": "tool", "content": "[]"}, YES]}
    | {"rejected_response": [call("cats"), {"role": "tool", "content": "[]"}, NO]},
    "ms-swift, whole": {"messages": [*ASKED, YES], "rejected_messages": [*ASKED, NO]},
    "LLaMA-Factory v1": {"chosen_messages": [*ASKED, YES], "rejected_messages": [*ASKED, NO]},
    "hh-rlhf": {"chosen": f"{TALK} yes", "rejected": f"{TALK} no"},
    "hh-rlhf with a prompt": {"prompt": TALK, "chosen": "yes", "rejected": "no"},
}


@pytest.mark.parametrize("layout", IN_OTHER_LAYOUTS)
def test_pairs_in_other_layouts(layout, tmp_path):
    """Fine-tuning on such a file learns from the chosen answers alone."""
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(IN_OTHER_LAYOUTS[layout] | {"tools": TOOLS}) + "\n")
    (found,), _ = read_pairs([str(path)])
    said = [[message.content for message in side.messages] for side in found]
    calls = [[f'get_papers(topic="{topic}")', "[]"] if "list" in layout else [] for topic in ("owls", "cats")]
    answers = ['finish(answer="yes")', 'finish(answer="no")']
    assert said == [["hi", *called, answer] for called, answer in zip(calls, answers, strict=True)]
    (chosen,), _ = read(path)
    assert [message.content for message in chosen.messages] == said[0]


def test_a_dialogue_in_one_text_keeps_its_turns(tmp_path):
    path = tmp_path / "pairs.jsonl"
    told = "\n\nHuman: hi\n\nAssistant: Ho.\n\nHe says:\n\nHuman: and?\n\nAssistant:"
    path.write_text(json.dumps({"chosen": f"{told} yes", "rejected": f"{told} no"}))
    ((chosen, _),), _ = read_pairs([str(path)])
    assert [(m.role, m.content) for m in chosen.messages[:3]] == [
        ("user", "hi"),
        ("assistant", "Ho.\n\nHe says:"),
        ("user", "and?"),
    ]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"messages": [*ASKED, call("a"), {"role": "tool", "content": "[]"}, YES], "rejected_response": "no"},
            "a list",
        ),
        ({"messages": [*ASKED, YES], "rejected_response": None}, "must be texts or lists of messages"),
        ({"messages": json.dumps(ASKED), "rejected_response": "no"}, "`messages` must be a list"),
        ({"messages": ASKED, "rejected_response": "no"}, "neither may contain the other"),
        ({"messages": [*ASKED, YES], "rejected_messages": [*ASKED, NO], "rejected_tools": TOOLS}, "`rejected_tools`"),
        ({"input": {}, "preferred_output": [YES], "non_preferred_output": [NO]}, "into `prompt`"),
        ({"chosen_messages": [*ASKED, YES]}, "must be texts or lists of messages, not None"),
        ({"input": {"messages": ASKED}, "preferred_output": [YES]}, "must be texts or lists of messages"),
    ],
)
def test_pairs_in_other_layouts_that_lack_something_are_refused(record, reason, tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps(record))
    with pytest.raises(DataError, match=reason):
        read_pairs([str(path)])


def test_a_pair_is_written_as_it_is_read(toy, tmp_path):
    pairs, _ = read_pairs([str(toy / "pairs.jsonl")])
    again = tmp_path / "again.jsonl"
    again.write_text("".join(pair.to_line({}) for pair in pairs))
    assert read_pairs([str(again)])[0] == pairs


# ---- training


def arguments(toy: Path, out: Path, *more: str) -> list[str]:
    fixed = f"--model {toy / 'model'} --data {toy / 'pairs.jsonl'} --out {out} --max_length 4096 --learning_rate 1e-2"
    return [*fixed.split(), "--batch_size", "4", "--epochs", "2", "--beta", "0.5", *more]


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert dpo.start(arguments(toy, out)) == 0
    return out


def test_training_prefers_what_was_chosen(whole):
    first, *_, last = metrics(whole)
    assert first["loss"] == pytest.approx(math.log(2), abs=1e-5) and first["kl"] == pytest.approx(0, abs=1e-5)
    assert last["loss"] < 0.5 and last["margin"] > 0.5 and last["accuracy"] == 1 and last["kl"] > 0.01
    assert last["margin"] == pytest.approx(last["chosen_reward"] - last["rejected_reward"], abs=1e-5)


@pytest.mark.parametrize("lora", [[], ["--lora_rank", "2"]], ids=["all weights", "LoRA"])
def test_a_run_that_died_and_resumed_equals_one_that_did_not_to_the_last_bit(toy, tmp_path, monkeypatch, lora):
    flags = ["--max_steps", "3", "--save_every", "1", *lora]
    assert dpo.start(arguments(toy, tmp_path / "whole", *flags)) == 0

    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch, program)
        dpo.start(arguments(toy, tmp_path / "died", *flags))
    assert dpo.start(arguments(toy, tmp_path / "died", *flags, "--resume")) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "died")
    assert losses(tmp_path / "whole")[0] == pytest.approx(math.log(2), abs=1e-5)


def test_micro_batches_change_nothing_but_rounding(toy, whole, tmp_path):
    assert dpo.start(arguments(toy, tmp_path / "run", "--micro_tokens", "1", "--checkpointing", "none")) == 0
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-4)


STEPS = [[0, 1, 2], [3], [4, 5, 6, 7, 8]]  # one rank has no pair of the second step


def train(world: World, toy: Path) -> tuple[list, dict]:
    """In float64 and without Adam, so that gradients count for what they are and rounding for nothing."""
    pairs = pairs_of(toy)
    model = distributed.load(Llama, toy / "model", world, dtype=F64)
    reference = reference_logp(model, pairs, 700, world)
    policy = Learner(model, SGD(model.parameters(), 0.5), 1e9)
    config = DPOConfig(micro_tokens=700, beta=0.5, label_smoothing=0.1)
    steps = [
        train_step(policy, [pairs[i] for i in step], [reference[i] for i in step], config, world) for step in STEPS
    ]
    return steps, {name: distributed.full_tensor(p).detach() for name, p in model.named_parameters()}


def test_two_ranks_equal_one(toy, two_ranks):
    one = on_one_rank(train, toy)
    for other in two_ranks.run(train, toy):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)
    assert one[0][2]["kl"] > 1e-6  # the steps before moved the policy


def test_a_step_is_one_on_the_mean_loss_of_its_pairs(toy):
    """With a forward for each pair, against the formulas with a forward for each answer."""
    pairs, beta, swapped = pairs_of(toy)[:3], 0.5, 0.1
    model = load_model(toy / "model").double()
    logp = [[-target_nll(model, collate([side])) for side in (pair.chosen, pair.rejected)] for pair in pairs]
    torch.manual_seed(0)
    moved = [[0.1 * torch.randn(len(answer), dtype=F64) for answer in answers] for answers in logp]
    reference = [torch.cat(answers).detach() - torch.cat(by) for answers, by in zip(logp, moved, strict=True)]
    rewards = torch.stack([beta * torch.stack([by.sum() for by in answers]) for answers in moved])
    policy = torch.stack([torch.stack([answer.sum() for answer in answers]) for answers in logp])
    margins = (rewards + beta * (policy - policy.detach())) @ torch.tensor([1.0, -1.0], dtype=F64)
    loss = -((1 - swapped) * margins.sigmoid().log() + swapped * (-margins).sigmoid().log()).mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    expected = [p.detach() - 0.5 * g for p, g in zip(model.parameters(), gradients, strict=True)]

    learner = Learner(model, SGD(model.parameters(), 0.5), 1e9)
    config = DPOConfig(micro_tokens=1, beta=beta, label_smoothing=swapped)
    metrics = on_one_rank(lambda world: train_step(learner, pairs, reference, config, world))
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected)
    every = torch.cat([torch.cat(answers) for answers in moved])
    chosen, rejected = rewards.mean(0).tolist()
    expected_metrics = {
        "loss": loss.item(),
        "margin": margins.mean().item(),
        "accuracy": (margins > 0).double().mean().item(),
        "chosen_reward": chosen,
        "rejected_reward": rejected,
        "kl": (every.exp() - 1 - every).sum().item() / 6,  # of six answers
    }
    assert {name: metrics[name] for name in expected_metrics} == pytest.approx(expected_metrics)


def run_and_crash(world: World, flags: list[str], step: int) -> None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Crash):
        crash_at(step, patch, program)
        run(world, flags)


def run(world: World, flags: list[str]) -> int:
    return dpo.run(resolve_config(flags, ""), world)


def test_the_program_leaves_the_same_model_from_two_ranks_also_when_it_is_resumed(toy, whole, two_ranks, tmp_path):
    flags = arguments(toy, tmp_path / "run", "--save_every", "2")
    assert two_ranks.run(run_and_crash, flags, 4) == [None, None]
    assert two_ranks.run(run, [*flags, "--resume"]) == [0, 0]
    assert losses(tmp_path / "run") == pytest.approx(losses(whole), rel=1e-4)


def test_dry_run_shows_and_writes_nothing(toy, tmp_path, capsys):
    assert dpo.start(arguments(toy, tmp_path / "run", "--dry_run")) == 0
    shown = capsys.readouterr().out
    assert "without sharing the histories" in shown and "memory of each rank" in shown
    assert not (tmp_path / "run").exists()


def test_what_was_done_while_reading_is_told(toy, tmp_path):
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**pair(0), "tools": []}))
    with pytest.raises(DataError, match="call different ones"):
        load_pairs([str(tmp_path / "pairs.jsonl")], Tokenizer(toy / "model"), 4096, 2048)
    (tmp_path / "pairs_tools.json").write_text(json.dumps(TOOLS))
    told = load_pairs([str(tmp_path / "pairs.jsonl")], Tokenizer(toy / "model"), 4096, 2048).lines()
    assert any(line.startswith("notes") and Note.COMPANION_TOOLS.value in line for line in told)


def test_chosen_answers_that_teach_errors_are_told(toy, tmp_path):
    """An undeclared parameter causes a warning, as in fine-tuning; a call of a tool that is not listed is counted."""
    undeclared, unknown = pair(0) | {"chosen": [call("cats", "colour")]}, json.loads(json.dumps(pair(0)))
    unknown["chosen"][0]["tool_calls"][0]["function"]["name"] = "look_up"
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in (pair(0), undeclared, unknown)))
    with pytest.warns(UserWarning, match="1 correct calls with a parameter .* was the list of tools read correctly"):
        lines = load_pairs([str(path)], Tokenizer(toy / "model"), 4096, 2048).lines()
    (told,) = (line for line in lines if Note.CHOSEN_ERRORS.value in line)
    assert told.split()[1] == "1" and told.endswith("line 3)")


def test_turns_of_weight_0_are_counted_in_answers_alone(tmp_path):
    """No turn of the history is trained in any case."""
    path = tmp_path / "pairs.jsonl"
    answer = [call("cats") | {"weight": 0}, {"role": "tool", "content": "[]"}, YES]
    path.write_text(json.dumps(pair(1) | {"chosen": answer}))
    assert read_pairs([str(path)])[1].notes[Note.WEIGHT_0] == 1


def test_bad_flags_are_refused_before_training(toy, tmp_path):
    with pytest.raises(RunError, match="--data"):
        dpo.start(["--model", str(toy / "model"), "--out", str(tmp_path / "run")])
    with pytest.raises(RunError, match="--data_format sharegpt has no pairs"):
        dpo.start(arguments(toy, tmp_path / "run", "--data_format", "sharegpt"))
    with pytest.raises(DataError, match="no pair is left .* 10 of more than --max_length 50"):
        dpo.start(arguments(toy, tmp_path / "run", "--max_length", "50"))
