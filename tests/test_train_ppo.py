"""train_ppo.py: that it learns, what it writes and refuses, how it resumes, and that ranks change nothing."""

import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from ranks import exit_code
from runs import Crash, before_step, crash_at, metrics, weights

import train_ppo
from tl.assets import TINY
from tl.datasets import DataError
from tl.irm import call_reward
from tl.llama.config import ModelConfig
from tl.llama.model import Critic, Llama
from tl.llama.sampling import Sampler
from tl.llama.weights import CheckpointError, load_model, save_model
from tl.rl.batch import PPOBatch
from tl.rl.calls import Experience, ScoredCall, sample_calls
from tl.rl.config import PPOConfig, without_effect
from tl.rl.update import Learner, start_values
from tl.schema import BUILT_INS, ToolSpec
from tl.training import distributed
from tl.training.config import RunError
from tl.training.loop import plan
from tl.training.run import Progress
from tl.trajectory import Message, Trajectory

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def toy(tmp_path_factory, small_tokenizer) -> Path:
    """A folder with a random model of two small blocks, `model`, and six prompts, `data.jsonl`."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    model = Llama(ModelConfig(small_tokenizer.vocab_size, 16, 24, 2, 2, 2, 8, 4096, tie_word_embeddings=True))
    save_model(model, folder / "model", small_tokenizer.path)
    tool = ToolSpec("search", "", {"query": {"type": "string"}}, ("query",))
    asked = [(Message("user", f"Find {n} cats."), Message("assistant", f'search(query="{n}")', True)) for n in range(6)]
    records = [Trajectory(str(n), (tool, *BUILT_INS), messages).to_openai() for n, messages in enumerate(asked)]
    (folder / "data.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    return folder


def arguments(toy: Path, out: Path, *more: str) -> list[str]:
    fixed = f"--model {toy / 'model'} --data {toy / 'data.jsonl'} --out {out} --max_length 4000 --max_new_tokens 10"
    size = "--samples_per_prompt 2 --batch_size 4 --minibatch_size 3 --ppo_epochs 2 --max_steps 4"
    # The random model ends no call: all earn the same, but not all tokens where γ is below 1.
    learning = "--actor_lr 1e-2 --critic_lr 1e-2 --gamma 0.9"
    return [*fixed.split(), *size.split(), *learning.split(), *more]


@pytest.fixture(scope="module")
def whole(toy, tmp_path_factory) -> Path:
    """An uninterrupted run on one rank, in micro-batches of everything."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert train_ppo.main(arguments(toy, run, "--save_every", "0")) == 0
    return run


def column(out: Path, name: str) -> list[float]:
    return [line[name] for line in metrics(out) if name in line]


def assert_same_run(a: Path, b: Path) -> None:
    for name in ("policy_loss", "value_loss", "reward", "kl"):
        assert column(a, name) == column(b, name)
    first, second = weights(a), weights(b)
    assert all(torch.equal(first[name], second[name]) for name in first)


# ---- it learns

ARMS = ("get_a()", "get_b()", "get_c()")
TOOLS = tuple(ToolSpec(call.removesuffix("()"), "", {}, ()) for call in ARMS)

NO_CRITIC = [["--advantage", name, "--samples_per_prompt", "2"] for name in ("group", "rloo")]


def sample_arms(actor: Llama, _tokenizer, prompts: list[int], _config, seeds: list[int]) -> list[Experience]:
    """Rollouts of one token out of eight: tokens 3, 4 and 5 stand for the calls, 5 + k is the prompt that wants the
    k-th."""
    ids = [[1, prompt] for prompt in prompts]
    completions = Sampler(actor, len(ids), eos_id=2).complete(ids, 1, 1.0, seeds=seeds, logprobs=True)
    experiences = []
    for prompt, completion in zip(prompts, completions, strict=True):
        [token] = completion.ids
        text = ARMS[token - 3] if 3 <= token < 6 else "?"
        reward = call_reward(text, ARMS[prompt - 5], TOOLS)
        experience = Experience(str(prompt), [1, prompt])
        experience.add(completion, ScoredCall(text, reward.value, reward.case))
        experiences.append(experience)
    return experiences


def test_advantages_without_a_critic_load_none_and_need_several_samples(toy, tmp_path):
    for flags in NO_CRITIC:
        config = train_ppo.resolve_config(arguments(toy, tmp_path / "run", *flags))
        with distributed.process_group() as world:
            assert train_ppo.Models.load(toy / "model", config, world).critic is None
        with pytest.raises(RunError, match="compares the samples of a prompt: set --samples_per_prompt to 2 or more"):
            train_ppo.resolve_config(arguments(toy, tmp_path / "run", *flags, "--samples_per_prompt", "1"))


@pytest.mark.long
@pytest.mark.parametrize("advantage", ["gae", "turn", "group", "rloo"])
def test_a_three_armed_task_is_solved(tmp_path, monkeypatch, advantage):
    """From a random model, whose chance of the right call is one in eight."""
    monkeypatch.setattr(train_ppo, "sample_calls", sample_arms)
    torch.manual_seed(0)
    save_model(Llama(ModelConfig(8, 16, 32, 1, 2, 2, 8, 16)), tmp_path)
    flags = f"--model {tmp_path} --kl_coef 0.05 --actor_lr 1e-2 --critic_lr 1e-2 --ppo_epochs 2 --show_every 0"
    flags += f" --batch_size 48 --minibatch_size 48 --samples_per_prompt 16 --advantage {advantage}"
    config = train_ppo.resolve_config(flags.split())
    with distributed.process_group() as world:
        models, progress = train_ppo.Models.load(tmp_path, config, world), Progress()
        rewards = [
            train_ppo.ppo_step(models, None, None, [5, 6, 7] * 16, progress, config, world)["reward"] for _ in range(40)
        ]
    assert rewards[0] < -1 and sum(rewards[-5:]) / 5 >= 0.95


# ---- what it writes


def test_trains_logs_and_leaves_a_model(toy, tmp_path, capsys):
    run = tmp_path / "run"
    assert train_ppo.main(arguments(toy, run, "--eval_data", str(toy / "data.jsonl"), "--show_every", "2")) == 0
    before, *lines, after = metrics(run)
    assert [before["step"], *(line["step"] for line in lines), after["step"]] == [0, 1, 2, 3, 4, 4]
    assert before.keys() == after.keys() == {"step", "eval_reward", "ts", "pi", "cf"}
    expected = "reward kl clip_fraction ratio approx_kl explained_variance entropy value_loss response_length "
    expected += "rollout_share generation_share sampler_mismatch tool_seconds failed_rollouts seconds "
    expected += "policy_grad_norm value_grad_norm"
    assert set(expected.split()) <= lines[0].keys()
    assert sum(value for name, value in lines[0].items() if name.startswith("case/")) == pytest.approx(1)
    assert lines[0]["kl"] == 0 and lines[-1]["kl"] != 0 and lines[0]["sampler_mismatch"] < 1e-4
    old, new = weights(toy / "model"), weights(run)
    assert old.keys() == new.keys() and not torch.equal(old["norm.weight"], new["norm.weight"])
    assert [file.name for file in sorted((run / "rollouts").iterdir())] == ["step-00000002.txt", "step-00000004.txt"]
    text = (run / "rollouts" / "step-00000002.txt").read_text()
    assert "System: Function:" in text and "---- reward -2.00, format error" in text and "---- golden " in text
    assert f"evaluate.py --model {run}" in capsys.readouterr().out


def test_time_that_rollouts_only_wait_is_no_generation(toy, tmp_path, monkeypatch):
    def sample_with_a_pause(*args, sample=train_ppo.sample_calls):
        time.sleep(0.2)
        return sample(*args)

    monkeypatch.setattr(train_ppo, "sample_calls", sample_with_a_pause)
    train_ppo.main(arguments(toy, tmp_path / "run", "--max_steps", "1"))
    [line] = metrics(tmp_path / "run")
    assert line["generation_share"] * line["seconds"] == pytest.approx(line["generation_seconds"])
    assert (line["rollout_share"] - line["generation_share"]) * line["seconds"] > 0.2


@pytest.mark.parametrize(
    "flags",
    [["--no-critic", "--lam", "1"], ["--compare_text"], ["--kl_coef", "0"], ["--advantage", "turn"], *NO_CRITIC],
)
def test_parts_can_be_switched(toy, tmp_path, flags):
    assert train_ppo.main(arguments(toy, tmp_path / "run", "--max_steps", "1", *flags)) == 0
    [line] = metrics(tmp_path / "run")
    assert math.isfinite(line["policy_loss"])


@pytest.mark.parametrize(
    ("flags", "shown"),
    [
        ("--advantage rloo --samples_per_prompt 2 --lam 0.9", "lam needs --advantage gae or turn"),
        ("--advantage rloo --samples_per_prompt 2 --critic_lr 2e-3", "critic_lr needs a critic"),
        ("--no-critic --lam 1 --value_clip 0.3", "value_clip needs a critic"),
        ("--advantage rloo --samples_per_prompt 2 --no-standardise", "standardise needs --advantage group"),
        ("--require_isolation", "require_isolation needs --rollout episode"),
        ("--rollout episode --on_bad_data skip", "on_bad_data needs --data or --eval_data"),
    ],
)
def test_settings_without_effect_are_named(flags, shown):
    assert [" ".join(line.split()) for line in without_effect(ppo_config(*flags.split()))] == [shown]
    used = "--advantage group --samples_per_prompt 2 --no-standardise --compare_text --on_bad_data skip"
    assert without_effect(ppo_config(*used.split())) == without_effect(ppo_config("--lam", "0.9")) == []


def ppo_config(*flags: str) -> PPOConfig:
    return train_ppo.resolve_config(["--model", str(TINY), *flags])


def test_without_a_critic_advantages_must_not_depend_on_place():
    with pytest.raises(RunError, match="--no-critic needs --lam 1"):
        ppo_config("--no-critic")


def test_half_an_epoch_keeps_the_samples_of_a_prompt_together():
    assert plan(PPOConfig(epochs=0.5, batch_size=4), 12, Progress(), together=4) == (8, 2)


def test_dry_run_shows_and_writes_nothing(toy, tmp_path, capsys):
    assert train_ppo.main(arguments(toy, tmp_path / "run", "--dry_run")) == 0
    assert not (tmp_path / "run").exists()
    out = capsys.readouterr().out
    assert "kl_coef" in out and "prompts" in out and "optimizer" in out and "peak in generation" in out
    assert re.search(r"^steps +[1-9]\d* of 4 rollouts, \d of each prompt$", out, re.M)


def test_the_preset_is_for_the_embedded_model_only(toy):
    assert train_ppo.resolve_config(["--model", str(TINY)]).ppo_epochs >= 2
    assert train_ppo.resolve_config(["--model", str(TINY), "--kl_coef", "0.1"]).kl_coef == 0.1
    paper = train_ppo.resolve_config(["--model", str(toy / "model")])
    assert asdict(paper) == asdict(train_ppo.PPOConfig(model=str(toy / "model")))


def test_without_model_the_newest_run_of_train_sft_is_taken(toy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match="no finished run of train_sft.py"):
        train_ppo.resolve_config([])
    scripts = {"ppo": "train_ppo.py", "sft": "train_sft.py", "old": "train_sft.py"}
    for age, (name, script) in enumerate(scripts.items()):
        save_model(load_model(toy / "model"), tmp_path / "runs" / name)
        (tmp_path / "runs" / name / "run_config.json").write_text(json.dumps({"script": script}))
        os.utime(tmp_path / "runs" / name / "config.json", (0, 1000 - age))
    (tmp_path / "runs" / "sft" / "states").mkdir()  # not finished
    assert train_ppo.resolve_config([]).model == "runs/old"


# ---- parts of a step


def rollouts() -> list[Experience]:
    """Two rollouts over a vocabulary of 40; the second has two calls with feedback between them."""
    first = Experience("a", [1, 7, 9, 3, 4], [2, 3, 4], [3, 4, 2], [-0.1, -0.2, -0.3], [0, 0, 1.0])
    positions, actions = [1, 2, 5, 6], [5, 2, 6, 2]
    second = Experience("b", [1, 8, 5, 20, 21, 22, 6], positions, actions, [-1.0] * 4, [0, -2.0, 0, 1.0])
    return [first, second]


def test_numbers_of_a_batch_stand_at_the_actions_whatever_the_micro_batches(tmp_path):
    torch.manual_seed(0)
    save_model(Llama(ModelConfig(40, 16, 24, 2, 2, 2, 8, 64)), tmp_path)
    with distributed.process_group() as world:
        model = distributed.load(Llama, tmp_path, world)
        logp = [PPOBatch.of(rollouts(), micro_tokens, world).logp(model) for micro_tokens in (1, 100)]
        batch, plain = PPOBatch.of(rollouts(), 100, world), load_model(tmp_path)
    assert batch.mask.tolist() == [[True, True, True, False], [True] * 4]
    assert batch.call_rewards.tolist() == [[0, 0, 1, 0], [0, -2, 0, 1]]
    for row, experience in enumerate(rollouts()):
        expected = plain(torch.tensor([experience.ids]))[0, experience.positions].log_softmax(-1)
        expected = expected.gather(-1, torch.tensor(experience.actions)[:, None])[:, 0]
        for got in logp:
            torch.testing.assert_close(got[row][batch.mask[row]], expected, rtol=1e-5, atol=1e-6)
            assert (got[row][~batch.mask[row]] == 0).all()


def whitened(*advantages: float) -> list[float]:
    return [(a - statistics.fmean(advantages)) / statistics.pstdev(advantages) for a in advantages]


@pytest.mark.parametrize(
    ("settings", "advantages", "returns"),
    [
        ({}, whitened(-0.3625, 0.85, -2.115625, 0.5375, 0.05), [0.1375, 1.1, -2.115625, 0.0375, 0.3]),
        ({"advantage": "turn"}, whitened(0.4, 0.4, -2.075, 0.7, 0.7), [0.9, 0.9, -2.075, 0.2, 0.2]),
        ({"advantage": "group"}, [a * 1.35 / (1.35 * 2**0.5 + 0.1) for a in (1, 1, -1, -1, -1)], None),
        ({"advantage": "group", "standardise": False}, [1.35, 1.35, -1.35, -1.35, -1.35], None),
        ({"advantage": "rloo"}, [2.7, 2.7, -2.7, -2.7, -2.7], None),
    ],
)
def test_updates_get_advantages_and_returns_of_the_estimator_by_hand(settings, advantages, returns, monkeypatch):
    """Two samples of a prompt, of one call and of two. With β 0.4 they earn -0.2 and 1.1, and -2, -0.1 and 0.3; γ and λ
    are 0.5. The models' outputs stand for the models."""
    one = Experience("p", [1, 7, 9], [1, 2], [9, 2], [-1.0] * 2, [0, 1.0])
    two = Experience("p", [1, 7, 30, 31, 6], [1, 3, 4], [2, 6, 2], [-1.0] * 3, [-2.0, 0, 0.5])
    logp = torch.tensor([[0.5, -0.25, 9.0], [0.0, 0.25, 0.5]]) - 1
    values = torch.tensor([[0.5, 0.25, 9.0], [0.0, -0.5, 0.25]])
    seen = {}

    def update_policy(_actor, batch, rows, _logp, of_actions, *_) -> dict[str, float]:
        seen["advantages"] = of_actions[batch.mask].tolist()
        return {"approx_kl": 0.0}

    def update_values(_critic, batch, rows, _values, of_actions, *_) -> dict[str, float]:
        seen["returns"] = of_actions[batch.mask].tolist()
        return {}

    for patched, name, replacement in (
        (PPOBatch, "logp", lambda _, model: model),
        (PPOBatch, "values", lambda _, model: model),
        (train_ppo, "update_policy", update_policy),
        (train_ppo, "update_values", update_values),
    ):
        monkeypatch.setattr(patched, name, replacement)
    critic = Learner(values, None, 1.0) if returns else None
    models = train_ppo.Models(Learner(logp, None, 1.0), critic, torch.full((2, 3), -1.0))
    batch = PPOBatch.of([one, two], 100, distributed.World(0, 1, torch.device("cpu")))
    metrics = train_ppo.train_step(models, batch, 0, PPOConfig(gamma=0.5, lam=0.5, **settings))
    assert seen["advantages"] == pytest.approx(advantages, abs=1e-6)
    assert seen.get("returns") == (pytest.approx(returns, abs=1e-6) if returns else None)
    assert metrics["kl"] == pytest.approx(0.5)


@pytest.mark.parametrize("reward", [1.0, -0.8])
def test_equal_rewards_leave_the_policy_where_it_is(toy, tmp_path, monkeypatch, reward):
    """A call of one token and calls of several all earn the same: there is nothing to learn."""

    def sample(*args):
        return [replace(e, rewards=[0.0] * (len(e.rewards) - 1) + [reward]) for e in sample_calls(*args)]

    monkeypatch.setattr(train_ppo, "sample_calls", sample)
    train_ppo.main(arguments(toy, tmp_path / "run", "--max_steps", "1", "--gamma", "1", "--lam", "0.5"))
    [line] = metrics(tmp_path / "run")
    assert line["policy_grad_norm"] == 0 and line["policy_steps"] == 1 and line["response_length"] > 1
    before, after = weights(toy / "model"), weights(tmp_path / "run")
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())


def test_the_critic_starts_at_the_mean_return_of_the_first_rollouts(toy):
    """Over actions, γ 0.5: returns 0.25, 0.5 and 1 of the first rollout, and -0.875, -1.75, 0.5 and 1 of the second."""
    with distributed.process_group() as world:
        model = distributed.load(Critic, toy / "model", world)
        batch = PPOBatch.of(rollouts(), 100, world)
        mean = train_ppo.mean_return(batch, PPOConfig(gamma=0.5))
        start_values(Learner(model, torch.optim.SGD(model.parameters()), 1.0), mean)
        values = batch.values(model)
    torch.testing.assert_close(values[batch.mask], torch.full((7,), (1.75 - 1.125) / 7))


def test_the_critic_starts_as_the_sft_model_with_values_of_zero(toy):
    with distributed.process_group() as world:
        critic = distributed.load(Critic, toy / "model", world)
        body = {n: distributed.full_tensor(p) for n, p in critic.named_parameters() if "value_head" not in n}
        values = PPOBatch.of(rollouts(), 100, world).values(critic)
    assert (values == 0).all() and "lm_head.weight" not in critic.state_dict()
    sft = weights(toy / "model")
    assert all(torch.equal(parameter, sft[name]) for name, parameter in body.items()) and len(body) == len(sft) - 1


def test_micro_batches_change_nothing_but_rounding(toy, whole, tmp_path):
    train_ppo.main(arguments(toy, tmp_path / "parts", "--micro_tokens", "1"))
    for name in ("policy_loss", "value_loss", "kl"):
        assert column(whole, name) == pytest.approx(column(tmp_path / "parts", name), rel=1e-3, abs=1e-5)


def test_the_policy_is_left_alone_once_it_is_too_far_from_the_one_that_sampled(toy, tmp_path):
    train_ppo.main(arguments(toy, tmp_path / "run", "--target_kl", "1e-9", "--max_steps", "1"))
    [line] = metrics(tmp_path / "run")
    assert line["policy_steps"] == 1 / 4 and line["value_steps"] == 1  # two minibatches in each of two passes


def test_an_update_that_went_too_far_is_the_last_one_of_its_step(toy, tmp_path, monkeypatch):
    """Also where a later minibatch would be near again: its rollouts are not even gone over."""
    distances = iter([0.0, 0.3, 0.0, 0.0])

    def update(*_) -> dict[str, float]:
        return {"policy_steps": 1.0, "policy_skipped": 0.0, "policy_loss": 0.0, "approx_kl": next(distances)}

    monkeypatch.setattr(train_ppo, "update_policy", update)
    train_ppo.main(arguments(toy, tmp_path / "run", "--target_kl", "0.1", "--max_steps", "1"))
    [line] = metrics(tmp_path / "run")
    assert list(distances) == [0.0, 0.0] and line["policy_steps"] == 2 / 4


def fail_rollouts(failing: list[int], monkeypatch) -> None:
    """Lets the first so many rollouts of each step fail; of the steps after those none."""
    sample, remaining = train_ppo.sample_calls, iter(failing)

    def fail(*args):
        made, n = sample(*args), next(remaining, 0)
        return [None] * n + made[n:]

    monkeypatch.setattr(train_ppo, "sample_calls", fail)


def test_rollouts_without_a_reward_are_left_out_and_counted(toy, tmp_path, monkeypatch):
    fail_rollouts([4, 1, 1, 1], monkeypatch)
    with pytest.warns(UserWarning, match="step 1: every rollout failed"):
        assert train_ppo.main(arguments(toy, tmp_path / "run")) == 0
    first, *others = metrics(tmp_path / "run")
    assert first["failed_rollouts"] == 4 and "policy_loss" not in first
    assert [line["failed_rollouts"] for line in others] == [1, 1, 1]


def test_three_steps_in_a_row_without_any_rollout_end_the_run_with_a_state_to_go_on_from(toy, tmp_path, monkeypatch):
    flags = arguments(toy, tmp_path / "run", "--max_steps", "6")
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="step 4: every rollout failed"):
        fail_rollouts([4, 0, 4, 4, 4], patch)
        with pytest.raises(RunError, match=r"step 5: every rollout failed. .* 3 steps in a row: (.*\n.*)--resume"):
            train_ppo.main(flags)
    assert column(tmp_path / "run", "failed_rollouts") == [4, 0, 4, 4, 4]
    assert [path.name for path in (tmp_path / "run" / "states").iterdir()] == ["step-00000005"]
    with pytest.warns(UserWarning, match="step 6: every rollout failed"):  # one more is the first in a row again
        fail_rollouts([4], monkeypatch)
        assert train_ppo.main([*flags, "--resume"]) == 0


def test_a_first_step_without_rollouts_leaves_the_critics_start_to_the_next(toy, tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(train_ppo, "start_values", lambda *_: started.append(None))
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="step 1: every rollout failed"):
        fail_rollouts([4, 0, 0], patch)
        train_ppo.main(arguments(toy, tmp_path / "run", "--max_steps", "3"))
    assert len(started) == 1


def test_a_critic_without_its_start_gets_it_after_resuming(toy, tmp_path, monkeypatch):
    flags = arguments(toy, tmp_path / "run")
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="every rollout failed"):
        fail_rollouts([4, 4, 4], patch)
        with pytest.raises(RunError, match="step 3: every rollout failed"):
            train_ppo.main(flags)
    started = []
    monkeypatch.setattr(train_ppo, "start_values", lambda *_: started.append(None))
    assert train_ppo.main([*flags, "--resume"]) == 0
    assert len(started) == 1


def test_updates_that_are_not_finite_are_skipped_and_three_steps_in_a_row_end_the_run(toy, tmp_path, monkeypatch):
    monkeypatch.setattr("tl.rl.update.policy_loss", lambda logp, *_: logp.sum() * math.nan)
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RunError, match="3 steps in a row"):
        train_ppo.main(arguments(toy, tmp_path / "run"))
    assert column(tmp_path / "run", "policy_steps") == [0, 0, 0]
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_policy_that_has_diverged_ends_the_run_with_advice_and_leaves_the_last_state(toy, tmp_path, monkeypatch):
    flags = arguments(toy, tmp_path / "run", "--save_every", "2")
    train_step, steps = train_ppo.train_step, []

    def diverge_in_the_third(models, *args):
        steps.append(train_step(models, *args))
        if len(steps) == 3:
            models.actor.model.norm.weight.data.fill_(math.inf)
        return steps[-1]

    with monkeypatch.context() as patch:
        patch.setattr(train_ppo, "train_step", diverge_in_the_third)
        with pytest.raises(
            RunError, match="step 4: .* have diverged. Resume from the newest state with a lower --actor"
        ):
            train_ppo.main(flags)
    assert not (tmp_path / "run" / "config.json").exists()
    assert train_ppo.main([*flags, "--resume", "--allow_changes", "--actor_lr", "1e-3"]) == 0
    assert all(tensor.isfinite().all() for tensor in weights(tmp_path / "run").values())


def test_a_checkpoint_that_no_token_can_be_drawn_from_is_named(toy, tmp_path):
    model = load_model(toy / "model")
    model.norm.weight.data.fill_(math.nan)
    save_model(model, tmp_path / "broken", toy / "model" / "tokenizer.model")
    with pytest.raises(RunError, match="step 1: .* Training has not started yet: .*broken are not finite"):
        train_ppo.main(arguments(toy, tmp_path / "run", "--model", str(tmp_path / "broken")))


# ---- what it refuses


@pytest.mark.parametrize(
    ("flags", "error"), [(["--batch_size", "0"], SystemExit), (["--max_length", "4096"], RunError)]
)
def test_settings_that_cannot_be_meant_are_refused_before_training(toy, tmp_path, flags, error, capsys):
    with pytest.raises(error) as refused:
        train_ppo.main(arguments(toy, tmp_path / "run", *flags))
    assert " is ".join(flags) in capsys.readouterr().err or " ".join(flags) in str(refused.value)
    assert not (tmp_path / "run").exists()


def test_prompts_that_cannot_be_used_are_refused_before_training(toy, tmp_path):
    with pytest.raises(DataError, match="more than --max_length 100"):
        train_ppo.main(arguments(toy, tmp_path / "run", "--max_length", "100"))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_with_the_vocabulary_of_another_is_refused_before_training(toy, tmp_path, small_tokenizer):
    model = Llama(ModelConfig(small_tokenizer.vocab_size - 1, 16, 24, 1, 2, 2, 8, 4096))
    save_model(model, tmp_path / "other")
    (tmp_path / "other" / "tokenizer.model").write_bytes(small_tokenizer.path.read_bytes())
    with pytest.raises(CheckpointError, match="Use the tokenizer that belongs to this model"):
        train_ppo.main(arguments(toy, tmp_path / "run", "--model", str(tmp_path / "other")))
    assert not (tmp_path / "run").exists()


def test_held_out_requests_may_be_as_long_as_the_longest_prompt_with_the_longest_call(toy):
    files = [str(toy / "data.jsonl")]
    config = train_ppo.PPOConfig(data=files, eval_data=files, max_length=1000, max_new_tokens=30)
    longest = max(len(p.prompt_ids) for p in train_ppo.prepare_data(config, toy / "model")[0].prompts)
    data, held_out = train_ppo.prepare_data(replace(config, max_length=longest), toy / "model")
    assert len(held_out) == len(data.prompts) == 6


# ---- how it resumes


@pytest.mark.parametrize("step", [2, 4])
def test_a_run_that_died_and_resumed_equals_one_that_did_not_to_the_last_bit(toy, whole, tmp_path, monkeypatch, step):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(step, patch, train_ppo)
        train_ppo.main(arguments(toy, tmp_path / "died", "--save_every", "1"))
    assert train_ppo.main(arguments(toy, tmp_path / "died", "--save_every", "1", "--resume")) == 0
    assert_same_run(whole, tmp_path / "died")


def test_other_weights_of_the_model_that_it_started_from_are_no_run_to_resume(toy, tmp_path, monkeypatch):
    """They are PPO's reference, which no state holds."""
    model = shutil.copytree(toy / "model", tmp_path / "model")
    flags = arguments(toy, tmp_path / "run", "--save_every", "1", "--model", str(model))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(2, patch, train_ppo)
        train_ppo.main(flags)
    retrained = load_model(model)
    with torch.no_grad():
        retrained.norm.weight.mul_(2)
    save_model(retrained, model, model / "tokenizer.model")
    with pytest.raises(RunError, match=f"different settings:\n  the model in {re.escape(str(model))}\n"):
        train_ppo.main([*flags, "--resume"])
    assert train_ppo.main([*flags, "--resume", "--allow_changes"]) == 0


@pytest.mark.parametrize("damaged", ['{"scr', "[]", "{}"])
def test_a_run_with_a_damaged_settings_file_resumes_and_says_what_is_not_compared(toy, tmp_path, monkeypatch, damaged):
    flags = arguments(toy, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(2, patch, train_ppo)
        train_ppo.main(flags)
    (tmp_path / "run" / "run_config.json").write_text(damaged)
    with pytest.warns(UserWarning, match="run_config.json does not say which models the run started from"):
        assert train_ppo.main([*flags, "--resume"]) == 0


def test_what_is_shown_and_how_tools_are_isolated_may_change_on_resume(toy, whole, tmp_path, monkeypatch):
    flags = arguments(toy, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch, train_ppo)
        train_ppo.main(flags)
    with pytest.raises(RunError, match=r"kl_coef: 0.4 -> 0.3"):
        train_ppo.main([*flags, "--resume", "--kl_coef", "0.3"])
    assert train_ppo.main([*flags, "--resume", "--show_every", "1", "--require_isolation"]) == 0
    assert_same_run(whole, tmp_path / "run")


def run_until(step: int, flags: list[str]) -> None:
    """Trains, and dies between the rollouts and the update of a step."""
    before_step(step, pytest.MonkeyPatch(), lambda: os.kill(os.getpid(), signal.SIGKILL), train_ppo)
    train_ppo.main(flags)


@pytest.mark.long
def test_a_run_killed_between_rollout_and_update_resumes_to_the_same_weights(toy, whole, tmp_path):
    flags = arguments(toy, tmp_path / "killed", "--save_every", "1")
    assert exit_code(run_until, 3, flags) == -signal.SIGKILL
    assert column(tmp_path / "killed", "step") == [1, 2]
    assert train_ppo.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "killed")


def test_a_stop_signal_ends_the_run_after_the_step_with_a_state(toy, whole, tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        before_step(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM), train_ppo)
        assert train_ppo.main(arguments(toy, tmp_path / "stopped")) == train_ppo.STOPPED
    assert column(tmp_path / "stopped", "step") == [1, 2]
    said = capfd.readouterr().err.replace("\r", "\n").splitlines()
    assert "stopped after step 2; to continue, run" in said  # not behind the progress bar
    assert train_ppo.main(arguments(toy, tmp_path / "stopped", "--resume")) == 0
    assert_same_run(whole, tmp_path / "stopped")


def test_a_run_that_goes_on_with_other_samples_per_prompt_goes_on_with_the_next_prompt(toy, tmp_path, monkeypatch):
    seen, sample = [], train_ppo.sample_calls

    def watch(*args):
        seen.append([prompt.id for prompt in args[2]])
        return sample(*args)

    monkeypatch.setattr(train_ppo, "sample_calls", watch)
    flags = arguments(toy, tmp_path / "run")
    with monkeypatch.context() as patch:
        before_step(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM), train_ppo)
        train_ppo.main(flags)
    other = ["--samples_per_prompt", "4", "--batch_size", "8", "--max_steps", "3", "--resume", "--allow_changes"]
    train_ppo.main([*flags, *other])
    assert [len(ids) for ids in seen] == [4, 4, 8] and [len(set(ids)) for ids in seen] == [2, 2, 2]
    assert len({id for ids in seen for id in ids}) == 6  # an epoch


# ---- ranks


@pytest.mark.long
def test_two_ranks_equal_one(toy, whole, tmp_path):
    """The whole program, in minibatches of two rollouts; ``test_ppo_ranks.py`` has those that ranks share unequally."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "train_ppo.py"]
    command += arguments(toy, tmp_path / "two")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, timeout=600)
    assert ended.returncode == 0, ended.stderr
    for name in ("policy_loss", "value_loss", "policy_grad_norm", "kl", "reward"):
        one, two = (column(run, name) for run in (whole, tmp_path / "two"))
        assert one == pytest.approx(two, rel=1e-3, abs=1e-5), name
    first, second = weights(whole), weights(tmp_path / "two")
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-3)
