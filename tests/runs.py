"""Toy runs of train_sft.py, what runs leave, and how they die."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

import train_sft
from tl.llama import load_model

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": "Finds papers.",
            "parameters": {"type": "object", "properties": {key: {"type": "string"}}, "required": [key]},
        },
    }
    for name, key in (("get_papers", "topic"), ("get_papers_by", "author"))
]


def record(number: int) -> dict:
    """A trajectory of one to three calls, the first of every third one erroneous, and an answer."""
    messages: list[dict] = [{"role": "user", "content": f"papers about {'owls and ' * (number % 5)}cats"}]
    for step in range(1 + number % 3):
        wrong = step == 0 and number % 3 == 2
        function = {
            "name": "get_papers",
            "arguments": json.dumps({"by" if wrong else "topic": f"cats {number + step}"}),
        }
        feedback = "get_papers() got an unexpected keyword argument 'by'" if wrong else f'["Cats {number}"]'
        messages += [
            {"role": "assistant", "tool_calls": [{"id": str(step), "type": "function", "function": function}]},
            {"role": "tool", "tool_call_id": str(step), "content": feedback},
        ]
    return {"id": str(number), "tools": TOOLS, "messages": [*messages, {"role": "assistant", "content": "Two cats."}]}


class Crash(Exception):
    pass


def arguments(toy: Path, out: Path, *more: str) -> list[str]:
    """The command line of a run of four steps on the ``toy`` folder's model and data."""
    data = () if "--data" in more else ("--data", str(toy / "data.jsonl"))
    fixed = f"--model {toy / 'model'} --out {out} --max_length 4096 --learning_rate 1e-2 --epochs 2 --max_steps 4"
    return [*fixed.split(), *data, *more]


def crash_at(step: int, monkeypatch: pytest.MonkeyPatch, program=train_sft) -> None:
    """Lets the process "die" when it begins training step ``step``."""
    before_step(step, monkeypatch, crash, program)


def crash() -> None:
    raise Crash


def before_step(step: int, monkeypatch: pytest.MonkeyPatch, action, program=train_sft) -> None:
    """Calls ``action()`` before the ``step``-th training step of the program from now on; that of train_ppo.py begins
    after the rollouts."""
    original, calls = program.train_step, []

    def train_step(*args):
        calls.append(None)
        if len(calls) == step:
            action()
        return original(*args)

    monkeypatch.setattr(program, "train_step", train_step)


def metrics(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in metrics(out) if "loss" in line]


def evaluations(out: Path) -> list[dict]:
    return [line for line in metrics(out) if "eval_loss" in line]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).state_dict()


def digest(folder: Path) -> str:
    """SHA-256 over a saved model's tensors."""
    sha256 = hashlib.sha256()
    for name, tensor in sorted(weights(folder).items()):
        sha256.update(name.encode() + tensor.numpy().tobytes())
    return sha256.hexdigest()


def assert_same_run(a: Path, b: Path) -> None:
    assert losses(a) == losses(b) and digest(a) == digest(b)


def assert_resumes_alike(toy: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, step: int = 3) -> None:
    """A run of train_sft.py that dies at a step and is resumed, `died` in the folder, equals one that does not,
    `whole`, to the last bit."""
    flags = ["--embedding_lr_ratio", "0.5", "--initial_share", "0.25"]
    train_sft.main(arguments(toy, folder / "whole", *flags))
    died = arguments(toy, folder / "died", "--save_every", "1", *flags)
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(step, patch)
        train_sft.main(died)
    assert train_sft.main([*died, "--resume"]) == 0
    assert_same_run(folder / "whole", folder / "died")
