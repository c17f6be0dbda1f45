"""Prompts whose samples all earn the same are dropped and others drawn, the same after a restart and on any ranks."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
from ranks import on_one_rank
from runs import Crash, crash_at, digest, metrics

import train_ppo
from tl.datasets import read
from tl.rl.calls import Experience, ScoredCall, sample_calls
from tl.rl.config import PPOConfig, check
from tl.rl.filtering import REDRAWS, draw_with_signal, with_signal
from tl.training.config import RunError
from tl.training.distributed import World
from tl.trajectory import Trajectory


def rollout(*rewards: float) -> Experience:
    return Experience("", [], rewards=list(rewards))


def test_a_prompt_has_a_signal_where_two_of_its_samples_earn_different_sums():
    better, alike, failed = [rollout(1.0), rollout(-2.0)], [rollout(0.1, 0.2, 0.3), rollout(0.3, 0.2, 0.1)], [None] * 2
    assert sum(alike[0].rewards) != sum(alike[1].rewards)  # but for rounding
    assert with_signal([*alike, *better, *failed, rollout(1.0), None], 2) == better
    assert len(with_signal([rollout(-0.25), rollout(-0.5)], 2)) == 2
    assert with_signal([None, *better, *alike, rollout(0.5)], 3) == [None, *better, *alike, rollout(0.5)]


def drawn(outcomes: dict[str, str], prompts: list[str], spare: list[str]) -> tuple[list, list, list]:
    """(numbers of draws and their prompts, all rollouts, those with a signal); the outcomes of a prompt's samples are a
    letter each."""
    draws = []

    def draw(asked: list[str], number: int) -> list[str]:
        draws.append((number, "".join(asked)))
        return [replace(rollout(float(ord(outcomes[p][k % 2]))), id=p) for k, p in enumerate(asked)]

    made, chosen = draw_with_signal(draw, prompts, spare, 2)
    return draws, [e.id for e in made], [e.id for e in chosen]


def test_others_are_drawn_for_the_missing_prompts_alone_until_none_is_missing():
    outcomes = {"a": "xy", "b": "xx", "c": "yy", "d": "xx", "e": "yx", "f": "xy", "g": "xy"}
    draws, made, chosen = drawn(outcomes, list("aabbcc"), list("defg"))
    assert draws == [(0, "aabbcc"), (1, "ddee"), (2, "ff")]
    assert made == list("aabbccddeeff") and chosen == list("aaeeff")


def test_draws_end_where_there_are_no_others_and_after_so_many():
    same = dict.fromkeys("abcdefgh", "xx")
    assert drawn(same, list("aa"), list("b"))[0] == [(0, "aa"), (1, "bb")]
    draws, made, chosen = drawn(same, list("aa"), list("bcdefgh"))
    assert [number for number, _ in draws] == list(range(REDRAWS + 1))
    assert len(made) == 2 * (REDRAWS + 1) and chosen == []


@pytest.mark.parametrize("advantage", ["gae", "turn"])
def test_it_is_refused_where_samples_are_not_compared(advantage):
    with pytest.raises(RunError, match="--filter_prompts needs --advantage group or rloo"):
        check(PPOConfig(model="m", advantage=advantage, samples_per_prompt=2, filter_prompts=True))
    with pytest.raises(RunError, match="rloo compares the samples of a prompt: set --samples_per_prompt to 2 or more"):
        check(PPOConfig(model="m", advantage="rloo", samples_per_prompt=1, filter_prompts=True))


# ---- whole runs


@pytest.fixture
def flags(toy_sft, tmp_path, monkeypatch) -> list[str]:
    """Four steps of four samples, of two prompts; each earns 1 or -2, as its tokens decide."""
    monkeypatch.setattr(train_ppo, "sample_calls", sample_by_tokens)
    data = [str(toy_sft / "prompts.jsonl")]
    if not Path(*data).exists():
        write_prompts(toy_sft)
    fixed = f"--model {toy_sft / 'model'} --max_length 4000 --max_new_tokens 24 --samples_per_prompt 2 --batch_size 4"
    fixed += " --minibatch_size 4 --max_steps 4 --actor_lr 1e-2 --advantage rloo --filter_prompts --save_every 1"
    return [*fixed.split(), "--data", *data, "--out", str(tmp_path / "run")]


def write_prompts(toy: Path) -> None:
    """The first call of each of the toy's trajectories."""
    trajectories, _ = read([str(toy / "data.jsonl")])
    first = [Trajectory(t.id, t.tools, t.messages[:2]) for t in trajectories if "by=" not in t.messages[1].content]
    (toy / "prompts.jsonl").write_text("".join(t.to_line() for t in first))


def sample_by_tokens(*args) -> list[Experience]:
    return [earning(e, random.Random(str(e.actions)).choice((1.0, -2.0, -2.0))) for e in sample_calls(*args)]


def earning(experience: Experience, reward: float) -> Experience:
    [call] = experience.calls
    scored = ScoredCall(call.text, reward, call.case)
    return replace(experience, rewards=[0.0] * (len(experience.rewards) - 1) + [reward], calls=[scored])


def column(run: Path, name: str) -> list[float]:
    return [line[name] for line in metrics(run) if name in line]


def test_what_was_dropped_is_counted_and_a_resumed_run_draws_the_same(flags, tmp_path, monkeypatch):
    assert train_ppo.main(flags) == 0
    dropped = column(tmp_path / "run", "filtered_prompts")
    assert sum(dropped) > 0 and len(set(dropped)) > 1
    assert len(column(tmp_path / "run", "policy_loss")) == 4
    died = [*flags[:-1], str(tmp_path / "died")]
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch, train_ppo)
        train_ppo.main(died)
    assert train_ppo.main([*died, "--resume"]) == 0
    for name in ("filtered_prompts", "reward", "policy_loss", "kl"):
        assert column(tmp_path / "run", name) == column(tmp_path / "died", name)
    assert digest(tmp_path / "run") == digest(tmp_path / "died")


def test_a_step_without_any_signal_says_so_and_teaches_nothing(flags, toy_sft, tmp_path, monkeypatch):
    monkeypatch.setattr(train_ppo, "sample_calls", lambda *args: [earning(e, 1.0) for e in sample_calls(*args)])
    with pytest.warns(UserWarning, match="step 2: the samples of each prompt earned the same"):
        assert train_ppo.main([*flags, "--max_steps", "2"]) == 0
    assert column(tmp_path / "run", "filtered_prompts") == [8, 8]  # all eight prompts, two in each draw, and none twice
    assert column(tmp_path / "run", "reward") == [1, 1] and column(tmp_path / "run", "policy_loss") == []
    assert digest(tmp_path / "run") == digest(toy_sft / "model")


def run_on(world: World, flags: list[str]) -> list[dict]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_ppo, "sample_calls", sample_by_tokens)
        config = train_ppo.resolve_config(flags)
        assert train_ppo.run(config, world) == 0
    return metrics(Path(config.out)) if world.is_main else []


def test_two_ranks_drop_and_draw_what_one_does(flags, tmp_path, two_ranks):
    one = on_one_rank(run_on, flags)
    two, _ = two_ranks.run(run_on, [*flags[:-1], str(tmp_path / "two")])
    for name in ("filtered_prompts", "reward", "policy_loss"):
        assert [line[name] for line in two] == pytest.approx([line[name] for line in one], rel=1e-3, abs=1e-5)
