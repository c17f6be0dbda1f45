"""Settings of PPO that make no sense are refused, each with what is wrong and what would be right."""

import math
from dataclasses import fields

import pytest
from checkpoints import make_model

from tl.config import parse_config, preset
from tl.rl.config import PPOConfig, check, check_lengths
from tl.training.config import RunError

MODEL = "runs/sft"


@pytest.mark.parametrize("values", [{}, preset(PPOConfig)])
def test_the_defaults_and_the_preset_make_sense(values):
    check(parse_config(PPOConfig, [], model=MODEL, **values))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"actor_lr": -1e-6}, "--actor_lr is -1e-06; it must be at least 0"),
        ({"critic_lr": -1e-6}, "--critic_lr is -1e-06; it must be at least 0"),
        ({"kl_coef": -0.4}, "--kl_coef is -0.4; it must be at least 0"),
        ({"gamma": 1.1}, "--gamma is 1.1; it must be from 0 to 1"),
        ({"lam": -0.1}, "--lam is -0.1; it must be from 0 to 1"),
        ({"beta2": 1.0}, "--beta2 is 1.0; it must be from 0 to 0.9"),
        ({"clip": 0.0}, "--clip is 0.0; it must be over 0"),
        ({"value_clip": -0.2}, "--value_clip is -0.2; it must be over 0"),
        ({"max_grad_norm": 0.0}, "--max_grad_norm is 0.0; it must be over 0"),
        ({"epochs": 0.0}, "--epochs is 0.0; it must be over 0"),
        ({"batch_size": 0}, "--batch_size is 0; it must be at least 1"),
        ({"minibatch_size": 0}, "--minibatch_size is 0; it must be at least 1"),
        ({"samples_per_prompt": 3}, "--batch_size is 8; it must be a multiple of --samples_per_prompt, 3"),
        ({"seed": 2**20 + 1}, "--seed is 1048577; it must be from 0 to 1048576"),
        ({"minibatch_size": 9}, "--minibatch_size is 9; it must be at most --batch_size, 8"),
        ({"ppo_epochs": 0}, "--ppo_epochs is 0; it must be at least 1"),
        ({"max_steps": 0}, "--max_steps is 0; it must be at least 1"),
        ({"max_new_tokens": 0}, "--max_new_tokens is 0; it must be at least 1"),
        ({"keep": 0}, "--keep is 0; it must be at least 1"),
        ({"micro_tokens": 0}, "--micro_tokens is 0; it must be at least 1"),
        ({"save_every": -1}, "--save_every is -1; it must be at least 0"),
        ({"rollout": "episode", "data": ["prompts.jsonl"]}, "--rollout episode makes its own tasks"),
        ({"out": "runs"}, "runs/sft lies in --out runs"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(setting, message):
    with pytest.raises(RunError, match=message):
        check(PPOConfig(**{"model": MODEL} | setting))


@pytest.mark.parametrize("name", [field.name for field in fields(PPOConfig) if field.type is float])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_not_finite_is_refused(name, value):
    with pytest.raises(RunError, match=f"--{name} is {value}; it must be a finite number"):
        check(PPOConfig(model=MODEL, **{name: value}))


def test_the_longest_prompt_has_to_leave_room_for_a_whole_call():
    model = make_model(max_position_embeddings=100).config
    check_lengths(PPOConfig(max_length=80, max_new_tokens=20), model)
    with pytest.raises(RunError, match="--max_length 81 and --max_new_tokens 20 are 101 tokens, .* room for 100"):
        check_lengths(PPOConfig(max_length=81, max_new_tokens=20), model)
