"""train_ppo.py on whole tasks: from requests to the policy, with the executor between."""

import json
from functools import partial
from pathlib import Path

import pytest

import train_ppo
from tl.ppo_data import make_tasks


@pytest.fixture
def flags(toy_sft, tmp_path, monkeypatch) -> list[str]:
    """A run of two steps of two episodes each. The random model never ends a call: each episode is one format error."""
    monkeypatch.setattr(train_ppo, "make_tasks", partial(make_tasks, size=4))
    fixed = f"--rollout episode --model {toy_sft / 'model'} --out {tmp_path / 'run'} --max_length 4000"
    held_out = f"--eval_data {toy_sft / 'data.jsonl'} --eval_every 0"
    sizes = "--batch_size 2 --minibatch_size 2 --max_steps 2 --max_new_tokens 4 --show_every 1 --actor_lr 1e-2"
    return [*fixed.split(), *held_out.split(), *sizes.split()]


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_episodes_are_played_scored_logged_and_learned_from(flags, tmp_path):
    assert train_ppo.main(flags) == 0
    steps = [line for line in metrics(tmp_path / "run") if "reward" in line]
    assert [line["step"] for line in steps] == [1, 2] and steps[0]["kl"] == 0 != steps[1]["kl"]
    for line in steps:
        assert line["reward"] == -2 and line["share of format error"] == 1 and line["right_answers"] == 0
        assert line["failed_rollouts"] == 0 and line["policy_steps"] == line["value_steps"] == 1
    text = (tmp_path / "run" / "rollouts" / "step-00000002.txt").read_text()
    assert text.count("---- reward -2.00, format error") == 2 and (tmp_path / "run" / "config.json").exists()
