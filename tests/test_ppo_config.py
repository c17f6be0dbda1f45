"""Settings of PPO that make no sense are refused, each with what is wrong and what would be right."""

from dataclasses import fields

import pytest
from checkpoints import make_model

from tl.config import parse_config, preset
from tl.errors import UserError
from tl.rl.config import PPOConfig, check, check_lengths
from tl.training.config import RunError

MODEL = "runs/sft"
FLOATS = [field for field in fields(PPOConfig) if field.type is float]


@pytest.mark.parametrize("values", [{}, preset(PPOConfig)])
def test_the_defaults_and_the_preset_make_sense(values):
    check(parse_config(PPOConfig, [], model=MODEL, **values))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples_per_prompt": 3}, "--batch_size is 8, but must be a multiple of --samples_per_prompt, 3"),
        ({"minibatch_size": 9}, "--minibatch_size is 9, but must be at most --batch_size, 8"),
        ({"rollout": "episode", "data": ["prompts.jsonl"]}, "--rollout episode needs tasks .* instead of --data"),
        ({"tools": ["tools.py"], "tasks": ["tasks.jsonl"]}, "--tools, .* need --rollout episode"),
        ({"rollout": "episode", "mcp": ["server"]}, "--mcp needs --tasks"),
        ({"intercode": "nl2bash"}, "--intercode needs --rollout episode"),
        ({"rollout": "episode", "reward": "prm"}, "--reward prm and --prm must be given together"),
        ({"rollout": "episode", "prm": "runs/prm"}, "--reward prm and --prm must be given together"),
        ({"rollout": "episode", "reward": "prm", "prm": "p", "gamma": 0.9}, "--reward prm needs --gamma 1"),
        (
            {"rollout": "episode", "reward": "prm", "prm": "p", "advantage": "rloo", "samples_per_prompt": 2},
            "--advantage rloo sees only its sum",
        ),
        ({"reward": "outcome"}, "--reward outcome needs --rollout episode"),
        ({"out": "r", "rollout": "episode", "reward": "prm", "prm": "r/prm"}, "r/prm is inside --out r"),
        ({"out": "runs"}, "runs/sft is inside --out runs"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(setting, message):
    with pytest.raises(UserError, match=message):
        check(PPOConfig(**{"model": MODEL} | setting))


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("actor_lr", "-1e-6", "is -1e-06; it must be at least 0"),
        ("critic_lr", "-1e-6", "is -1e-06; it must be at least 0"),
        ("kl_coef", "-0.4", "is -0.4; it must be at least 0"),
        ("gamma", "1.1", "is 1.1; it must be from 0 to 1"),
        ("lam", "-0.1", "is -0.1; it must be from 0 to 1"),
        ("beta2", "1", "is 1.0; it must be from 0 to 0.9"),
        ("clip", "0", "is 0.0; it must be greater than 0"),
        ("value_clip", "-0.2", "is -0.2; it must be greater than 0"),
        ("max_grad_norm", "0", "is 0.0; it must be greater than 0"),
        ("target_kl", "0", "is 0.0; it must be greater than 0"),
        ("epochs", "0", "is 0.0; it must be greater than 0"),
        ("batch_size", "0", "is 0; it must be at least 1"),
        ("minibatch_size", "0", "is 0; it must be at least 1"),
        ("seed", str(2**20 + 1), "is 1048577; it must be from 0 to 1048576"),
        ("ppo_epochs", "0", "is 0; it must be at least 1"),
        ("max_steps", "0", "is 0; it must be at least 1"),
        ("max_new_tokens", "0", "is 0; it must be at least 1"),
        ("keep", "0", "is 0; it must be at least 1"),
        ("micro_tokens", "0", "is 0; it must be at least 1"),
        ("save_every", "-1", "is -1; it must be at least 0"),
        *(
            (field.name, value, f"is {value}; it must be a finite number")
            for field in FLOATS
            for value in ("nan", "inf")
        ),
    ],
)
def test_a_number_out_of_its_range_is_a_usage_error(flag, value, message, capsys):
    with pytest.raises(SystemExit):
        parse_config(PPOConfig, [f"--{flag}={value}"])
    assert f"--{flag} {message}" in capsys.readouterr().err


def test_the_longest_prompt_has_to_leave_room_for_a_whole_call():
    model = make_model(max_position_embeddings=100).config
    check_lengths(PPOConfig(max_length=80, max_new_tokens=20), model)
    with pytest.raises(RunError, match="--max_length 81 plus --max_new_tokens 20 is 101 tokens, .* context is 100"):
        check_lengths(PPOConfig(max_length=81, max_new_tokens=20), model)
