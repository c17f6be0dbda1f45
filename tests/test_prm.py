"""The learned process reward: returns of steps, what is trained on them, how good it is, and who may use its file."""

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from ranks import on_one_rank
from runs import Crash, crash_at, metrics
from toolkits import INVENTORY, quiet_executor
from torch.optim import SGD

import train_ppo
from tl.cli import prm as command
from tl.datasets import DataError, read
from tl.errors import UserError
from tl.executor import Cause, Executor, Feedback, Session
from tl.llama import ModelConfig
from tl.llama.model import Critic
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import CheckpointError, load_critic, load_model
from tl.ppo import progress_rewards
from tl.report.runs import read_run
from tl.rl import prm
from tl.rl.calibration import Scored, auc, bins, calibration_error, lines
from tl.rl.prm import PRMConfig, encode_returns, score_steps, train_step
from tl.rl.returns import Returns, read_returns, sample_returns
from tl.rl.update import Learner
from tl.rollout.dialogue import Dialogue, Response
from tl.rollout.tasks import read_tasks
from tl.training import distributed
from tl.training.distributed import World
from tl.training.run import newest_run

SELL_TWO, LAMP, DONE = 'sell_item(name="chair", count=2)', 'get_item(name="lamp")', 'finish(answer="Done.")'

# ---- Monte-Carlo returns


@pytest.fixture(scope="module")
def executor():
    with quiet_executor(INVENTORY, workers=1) as executor:
        yield executor


def returns_of(executor: Executor, tmp_path: Path, first: list[str], ways: list[list[str]]) -> Returns:
    """Those of a task that is done once four chairs are sold. ``first`` is what the episode says; way k says
    ``ways[k]``, from the call on where it begins."""
    (tmp_path / "tasks.jsonl").write_text(json.dumps({"query": "Sell 4.", "check": "four_chairs_are_sold"}) + "\n")

    def policy_of(requests, seeds):
        assert len(set(seeds)) == len(seeds)

        def policy(dialogues: Sequence[Dialogue]) -> list[Response]:
            made = [sum(m.is_call for m in d.messages) for d in dialogues]
            said = [first if len(requests) == 1 else ways[d.number % len(ways)] for d in dialogues]
            return [Response((text[n],)) for text, n in zip(said, made, strict=True)]

        return policy

    [task] = read_tasks([str(tmp_path / "tasks.jsonl")], executor)
    return sample_returns([(7, task)], executor, policy_of, len(ways), 0, 4)[7]


def test_a_step_is_worth_the_share_of_ways_on_from_it_that_end_right(executor, tmp_path):
    """After the first call two more chairs suffice: the state of the session is what it was there."""
    right, wrong = [SELL_TWO, SELL_TWO, DONE], [SELL_TWO, LAMP, DONE]
    returns = returns_of(executor, tmp_path, right, [right, wrong, wrong])
    assert returns.right == (1, 1, 3, 3) and returns.trials == (3, 3, 3, 3)
    returns = returns_of(executor, tmp_path, wrong, [right, right, wrong])
    assert returns.right == (2, 2, 0, 0)  # after the lamp nothing but `finish` is said
    assert [call.content for call, _ in returns.episode.calls()] == wrong


def test_a_way_on_in_which_the_executor_fails_does_not_count(executor, tmp_path, monkeypatch):
    def fails_for_lamps(session, text, steps=Session.steps):
        feedback = yield from steps(session, text)
        return Feedback("gone", Cause.INFRASTRUCTURE) if text == LAMP else feedback

    monkeypatch.setattr(Session, "steps", fails_for_lamps)
    right = [SELL_TWO, SELL_TWO, DONE]
    returns = returns_of(executor, tmp_path, right, [right, [SELL_TWO, LAMP, DONE]])
    assert returns.right == (1, 1, 2, 2) and returns.trials == (1, 1, 2, 2)


def test_a_way_on_whose_earlier_calls_the_executor_could_not_make_again_does_not_count(executor, tmp_path, monkeypatch):
    monkeypatch.setattr("tl.rl.returns.drive", lambda calls: [Feedback("gone", Cause.INFRASTRUCTURE)])
    right = [SELL_TWO, SELL_TWO, DONE]
    returns = returns_of(executor, tmp_path, right, [right, right])
    assert returns.right == (2, 0, 0, 2) and returns.trials == (2, 0, 0, 2)


def test_a_file_of_steps_gives_back_what_was_written_and_says_what_is_wrong_with_a_record(steps, tmp_path):
    episodes, _ = read_returns([str(steps)])
    assert [e.to_line({}) for e in episodes] == [Returns.of(json.loads(e.to_line({}))).to_line({}) for e in episodes]
    good = json.loads(episodes[0].to_line({}))
    asked, *rest = good["messages"]
    text = {"role": "assistant", "content": "Which one?"}
    n = len(good["trials"])
    bad = [
        ("has `right` and `trials`", {k: v for k, v in good.items() if k != "right"}),
        ("has `right` and `trials`", [good]),
        ("expected one more than calls", good | {"right": [1], "trials": [1]}),
        ("lists of whole numbers", good | {"right": "many"}),
        ("lists of whole numbers", good | {"right": 1}),
        ("lists of whole numbers", good | {"right": [0] * (n - 1) + [0.5]}),
        ("has a text of the assistant", good | {"messages": [asked, text, asked, *rest]}),
        ("from 0 to `trials`", good | {"right": [0] * (n - 1) + [9]}),
        ("from 0 to `trials`", good | {"right": [0] * (n - 1) + [-1]}),
    ]
    for reason, line in [("not JSON", "{"), *((reason, json.dumps(record)) for reason, record in bad)]:
        (tmp_path / "bad.jsonl").write_text(f"{json.dumps(good)}\n{line}\n")
        with pytest.raises(DataError, match=f"(?s)line 2: .*{reason}.*1 of 2 records"):
            read_returns([str(tmp_path / "bad.jsonl")])
    assert len(read_returns([str(tmp_path / "bad.jsonl")], "skip")[0]) == 1


# ---- how good probabilities are


def test_auc_counts_pairs_of_trials():
    """Right trials at 0.9 (two), 0.5 and 0.2; wrong ones at 0.5 (two) and 0.1: of 12 pairs 6 + 1 + 1 are in order, and
    two are equal, 2 · ½."""
    steps = [Scored(0.9, 2, 2), Scored(0.5, 1, 3), Scored(0.2, 1, 1), Scored(0.1, 0, 1)]
    assert auc(steps) == pytest.approx((6 + 1 + 1 + 2 / 2) / 12)
    assert auc([Scored(0.3, 1, 2), Scored(0.3, 1, 2)]) == 0.5
    assert auc([Scored(0.9, 2, 2)]) is None and auc([]) is None


def test_calibration_compares_scores_with_shares_bin_by_bin():
    steps = [Scored(0.72, 3, 4), Scored(0.78, 1, 4), Scored(1.0, 2, 2)]
    assert (
        bins(steps)[7] == (8, pytest.approx(0.75), 0.5) and bins(steps)[9] == (2, 1.0, 1.0) and bins(steps)[0] is None
    )
    assert calibration_error(steps) == pytest.approx((8 * 0.25 + 2 * 0) / 10)
    assert lines(steps)[1] == f"0.7 to 0.8        8   0.750   0.500  {'█' * 20}{' ' * 10}|{' ' * 10}"


# ---- training


@pytest.fixture(scope="module")
def steps(toy_sft, tmp_path_factory) -> Path:
    """Steps of the toy's twelve episodes, which end right where they have two calls."""
    path = tmp_path_factory.mktemp("steps") / "steps.jsonl"
    episodes, _ = read([str(toy_sft / "data.jsonl")])
    with path.open("w") as file:
        for episode in episodes:
            n = len(episode.calls())
            right = [1] * n + [4] if n == 2 else [1] * n + [0]
            file.write(Returns(episode, tuple(right), (4,) * (n + 1)).to_line({}))
    return path


@pytest.fixture
def flags(toy_sft, steps, tmp_path) -> list[str]:
    fixed = f"--model {toy_sft / 'model'} --data {steps} --out {tmp_path / 'prm'} --max_length 4096 --held_out 0.25"
    return f"{fixed} --learning_rate 1e-2 --batch_size 4 --max_steps 4 --save_every 1".split()


def test_a_step_is_read_where_its_call_ends_and_where_the_next_one_begins(steps, small_tokenizer):
    episode = next(e for e in read_returns([str(steps)])[0] if len(e.episode.calls()) == 2)
    example = encode_returns(Returns(episode.episode, (1, 2, 3), (4, 5, 6)), small_tokenizer, 4096)
    at = example.weights.nonzero()[:, 0].tolist()
    assert example.targets[at].tolist() == [1, 2, 2, 3] and example.weights[at].tolist() == [4, 5, 5, 6]
    text = [small_tokenizer.decode(example.input_ids[: position + 1].tolist()) for position in at]
    calls = [call.content for call, _ in episode.episode.calls()]
    assert text[0].endswith("Assistant:") and text[2].endswith("Assistant:")
    assert text[1].endswith(calls[0]) and text[3].endswith(calls[1]) and at[3] == len(example.input_ids) - 1
    assert encode_returns(episode, small_tokenizer, 10) is None
    assert encode_returns(Returns(episode.episode, (0, 0, 0), (0, 0, 0)), small_tokenizer, 4096) is None


def test_the_first_loss_is_the_entropy_of_the_share_that_ended_right(flags, tmp_path):
    """Of nine episodes in one batch; the head starts with that share everywhere."""
    assert command.start([*flags, "--batch_size", "9", "--max_steps", "1"]) == 0
    data = prm.load_steps(PRMConfig(data=flags[3:4], max_length=4096, held_out=0.25), flags[3:4], Tokenizer(flags[1]))
    assert len(data.training) == 9 and len(data.held_out) == 3
    p = data.share_right
    [line, evaluation] = metrics(tmp_path / "prm")
    assert line["loss"] == pytest.approx(-p * math.log(p) - (1 - p) * math.log(1 - p), abs=1e-6)
    assert evaluation.keys() == {"step", "auc", "calibration_error"}


def test_a_step_is_one_on_the_mean_loss_of_the_trials(steps, small_tokenizer):
    """Of two episodes of two calls, in a forward each. A step between calls is read twice."""
    episodes = [e.episode for e in read_returns([str(steps)])[0] if len(e.episode.calls()) == 2][:2]
    made = [Returns(episodes[0], (0, 2, 3), (4, 5, 3)), Returns(episodes[1], (1, 0, 0), (1, 0, 2))]
    examples = [encode_returns(returns, small_tokenizer, 4096) for returns in made]
    torch.manual_seed(0)
    model = Critic(ModelConfig(small_tokenizer.vocab_size, 16, 24, 2, 2, 2, 8, 4096)).double()
    torch.nn.init.normal_(model.value_head.weight)
    loss, scores = 0.0, []
    for example in examples:
        at = example.weights.nonzero()[:, 0]
        right, trials = example.targets[at], example.weights[at]
        p = model(example.input_ids[None])[0, at].sigmoid()
        loss = loss - (right * p.log() + (trials - right) * (1 - p).log()).sum() / (4 + 2 * 5 + 3 + 1 + 2)
        scores += map(Scored, p.tolist(), right.tolist(), trials.int().tolist())
    gradients = torch.autograd.grad(loss, list(model.parameters()), allow_unused=True, materialize_grads=True)
    expected = [p.detach() - 0.5 * g for p, g in zip(model.parameters(), gradients, strict=True)]

    learner, config = Learner(model, SGD(model.parameters(), 0.5), 1e9), PRMConfig(micro_tokens=1)
    found = on_one_rank(lambda world: score_steps(model, examples, config.micro_tokens, world))
    assert [s[1:] for s in found] == [s[1:] for s in scores]
    assert [s.score for s in found] == pytest.approx([s.score for s in scores])
    metrics = on_one_rank(lambda world: train_step(learner, examples, config, world))
    assert metrics["loss"] == pytest.approx(loss.item()) and metrics["value_steps"] == 1
    torch.testing.assert_close([p.detach() for p in model.parameters()], expected)


def test_it_learns(flags, tmp_path, capsys):
    more = "--max_steps 30 --epochs 30 --save_every 0 --batch_size 9 --learning_rate 3e-2"
    assert command.start([*flags, *more.split()]) == 0
    losses = [line["loss"] for line in metrics(tmp_path / "prm") if "loss" in line]
    assert losses[-1] < 0.9 * losses[0]
    assert "held-out steps\nscore        trials" in capsys.readouterr().out


@pytest.mark.parametrize("lora", [[], ["--lora_rank", "2"]])
def test_its_model_is_one_of_values_and_of_nothing_else(flags, tmp_path, toy_sft, lora):
    assert command.start([*flags, *lora, "--save_every", "0", "--max_steps", "2"]) == 0
    saved = load_critic(tmp_path / "prm")
    assert saved.value_head.weight.abs().sum() > 0 and not (tmp_path / "prm" / "adapter").exists()
    loaded = on_one_rank(lambda world: distributed.load(Critic, tmp_path / "prm", world))
    assert all(torch.equal(p, q) for p, q in zip(saved.parameters(), loaded.parameters(), strict=True))
    config = json.loads((tmp_path / "prm" / "config.json").read_text())
    assert config["architectures"] == ["LlamaForTokenClassification"] and config["num_labels"] == 1
    with pytest.raises(CheckpointError, match="a process reward model .*, which writes no text"):
        load_model(tmp_path / "prm")
    with pytest.raises(CheckpointError, match="has no value head"):
        load_critic(toy_sft / "model")
    assert newest_run(tmp_path) is None and read_run(tmp_path / "prm", "prm").kind == "PRM"


def test_a_run_that_died_and_resumed_equals_one_that_did_not(flags, tmp_path, monkeypatch):
    assert command.start(flags) == 0
    died = [*flags, "--out", str(tmp_path / "died")]
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch, prm)
        command.start(died)
    assert command.start([*died, "--resume"]) == 0
    kept = [[line.get("loss"), line.get("auc")] for line in metrics(tmp_path / "prm")]
    assert kept == [[line.get("loss"), line.get("auc")] for line in metrics(tmp_path / "died")]
    one, other = (load_critic(tmp_path / name).state_dict() for name in ("prm", "died"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def trained(world: World, flags: list[str]) -> tuple[list, dict, list]:
    """Metrics of three steps, the weights after them, and the scores of held-out steps; in float64, without Adam."""
    config = prm.resolve_config(flags, "")
    data = prm.load_steps(config, config.data, Tokenizer(config.model))
    model = distributed.load(Critic, Path(config.model), world, dtype=torch.float64)
    learner = Learner(model, SGD(model.parameters(), 0.5), 1e9)
    seen = [train_step(learner, data.training[first : first + 3], config, world) for first in (0, 3, 6)]
    weights = {name: distributed.full_tensor(p).detach() for name, p in model.named_parameters()}
    return seen, weights, sorted(score_steps(model, data.held_out, config.micro_tokens, world))


def test_two_ranks_equal_one(flags, two_ranks):
    """Batches of three episodes, which the ranks share unequally."""
    one = on_one_rank(trained, flags)
    for two in two_ranks.run(trained, flags):
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--tools", "t.py"], "--tools needs --tasks"),
        (["--tasks", "t.jsonl"], "choose one"),
    ],
)
def test_settings_that_make_no_sense_are_refused(flags, more, message):
    with pytest.raises(UserError, match=message):
        prm.resolve_config([*flags, *more], "")


@pytest.mark.parametrize("flag", ["--mcp", "--allow_network", "--data_format"])
def test_flags_of_other_programs_that_cannot_be_used_here_do_not_exist(flag, capsys):
    with pytest.raises(SystemExit):
        prm.resolve_config(["--help"], "")
    assert "--tools" in (shown := capsys.readouterr().out) and flag not in shown


# ---- from tasks to a model


def run_on(world: World, flags: list[str]) -> int:
    return command.run(prm.resolve_config(flags, ""), world)


def test_steps_are_made_once_on_any_ranks_continued_after_an_interruption_and_refused_where_made_otherwise(
    toy_sft, tmp_path, two_ranks
):
    flags = f"--model {toy_sft / 'model'} --out {tmp_path / 'prm'}/ --size 4 --samples 2 --max_new_tokens 3".split()
    flags += ["--held_out", "0.5", "--max_steps", "1", "--max_length", "4000"]
    assert command.start(flags) == 0
    file = tmp_path / "prm.steps.jsonl"
    whole = file.read_bytes()
    first, *rest = whole.splitlines(keepends=True)
    assert len(rest) == 3 and json.loads(first)["trials"] == [2, 2]
    assert two_ranks.run(run_on, [*flags, "--out", str(tmp_path / "two")]) == [0, 0]
    assert (tmp_path / "two.steps.jsonl").read_bytes() == whole
    one, two = (load_critic(tmp_path / name).state_dict() for name in ("prm", "two"))
    torch.testing.assert_close(two, one, rtol=0, atol=1e-3)
    file.write_bytes(first + rest[0][:50])  # as if the process had died in the second task
    assert command.start([*flags, "--overwrite"]) == 0
    assert file.read_bytes() == whole
    with pytest.raises(DataError, match="was made with other settings: .*Delete it, or choose another name"):
        command.start([*flags, "--overwrite", "--samples", "3"])


# ---- as PPO's reward


def test_each_call_earns_what_it_adds_and_an_episode_its_outcome_minus_what_it_was_worth_before():
    """Two calls of two actions and one action: V 0.4 before the first, 0.7 before the second, 0.2 before the third."""
    outcome = torch.tensor([[0.0, 0.0, 0.0, 0.0, 1.0, 0.0], [0.0, -0.5, 0.0, 0.0, 0.0, 0.0]])
    values = torch.tensor([[0.4, 9.0, 0.7, 9.0, 0.2, 9.0], [0.3, 9.0, 9.0, 9.0, 9.0, 9.0]])
    call_index = torch.tensor([[0, 0, 1, 1, 2, 0], [0, 0, 0, 0, 0, 0]])
    mask = torch.tensor([[True] * 5 + [False], [True] * 2 + [False] * 4])
    rewards = progress_rewards(outcome, values, call_index, mask)
    expected = torch.tensor([[0.0, 0.3, 0.0, -0.5, 0.8, 0.0], [0.0, -0.8, 0.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(rewards, expected)
    torch.testing.assert_close(rewards.sum(1), outcome.sum(1) - values[:, 0])


def test_ppo_learns_from_the_models_values(flags, toy_sft, tmp_path, monkeypatch):
    assert command.start(flags) == 0
    ppo = f"--rollout episode --model {toy_sft / 'model'} --out {tmp_path / 'ppo'} --max_length 4000 --batch_size 2"
    ppo += " --minibatch_size 2 --max_steps 1 --max_new_tokens 4 --reward prm --eval_every 0"
    ppo += f" --eval_data {toy_sft / 'data.jsonl'}"
    seen = []

    def train_step(models, batch, *others, original=train_ppo.train_step):
        values = batch.values(models.prm).sigmoid()
        seen.append((batch.call_rewards[batch.call_rewards != 0].tolist(), (-values[:, 0]).tolist()))
        return original(models, batch, *others)

    monkeypatch.setattr(train_ppo, "train_step", train_step)
    monkeypatch.setattr(train_ppo, "make_tasks", lambda seed: command.make_tasks(seed, 2))
    assert train_ppo.main([*ppo.split(), "--prm", str(tmp_path / "prm")]) == 0
    [(rewards, expected)] = seen
    assert rewards == expected and len(rewards) == 2  # calls that were cut: the outcome is 0
    [line] = [line for line in metrics(tmp_path / "ppo") if "reward" in line]
    assert line["reward"] == 0
    with pytest.raises(CheckpointError, match="has no value head"):
        train_ppo.main([*ppo.split(), "--overwrite", "--prm", str(toy_sft / "model")])
