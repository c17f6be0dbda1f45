"""train_sft.py end to end at toy size: what it writes and refuses, how it resumes, and that ranks change nothing."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import train_sft
from tl.checkpoint import MANIFEST
from tl.model import Llama, ModelConfig
from tl.run import RunError
from tl.synthesis import synthesize
from tl.trajectory import DataError
from tl.weights import load_model, save_model

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def toy(tmp_path_factory, small_tokenizer) -> Path:
    """A folder with a random model of two small blocks, `model`, and twelve trajectories, `data.jsonl`."""
    folder = tmp_path_factory.mktemp("toy")
    torch.manual_seed(0)
    model = Llama(ModelConfig(small_tokenizer.vocab_size, 16, 24, 2, 2, 2, 8, 4096, tie_word_embeddings=True))
    save_model(model, folder / "model", small_tokenizer.path)
    records = [json.dumps(trajectory.to_openai()) for trajectory in synthesize(12)]
    (folder / "data.jsonl").write_text("\n".join(records) + "\n")
    return folder


def arguments(toy: Path, out: Path, *more: str) -> list[str]:
    fixed = f"--model {toy / 'model'} --data {toy / 'data.jsonl'} --out {out} --max_length 4096 --learning_rate 1e-2"
    return [*fixed.split(), "--epochs", "2", "--max_steps", "4", *more]


def metrics(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in metrics(out)]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_model(folder).state_dict()


def assert_same_run(a: Path, b: Path) -> None:
    assert losses(a) == losses(b)
    first, second = weights(a), weights(b)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_trains_logs_and_leaves_a_model(toy, tmp_path, capsys):
    assert train_sft.main(arguments(toy, tmp_path / "run", "--eval_data", str(toy / "data.jsonl"))) == 0
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and lines[-1]["loss"] < lines[0]["loss"]
    assert {"grad_norm", "learning_rate", "tokens", "tokens_per_second"} <= lines[0].keys()
    assert {"eval_loss", "ts", "pi", "cf"} <= lines[-1].keys()
    before, after = weights(toy / "model"), weights(tmp_path / "run")
    assert before.keys() == after.keys() and not torch.equal(before["norm.weight"], after["norm.weight"])
    out = capsys.readouterr().out
    assert "calls masked" in out and f"evaluate.py --model {tmp_path / 'run'}" in out


@pytest.mark.parametrize("flags", [["--no-mae"], ["--no-pkt"], ["--norm", "sum"], ["--checkpointing", "none"]])
def test_parts_can_be_switched(toy, tmp_path, flags):
    assert train_sft.main(arguments(toy, tmp_path / "run", *flags)) == 0
    assert all(map(math.isfinite, losses(tmp_path / "run")))


def test_checkpointing_of_activations_changes_nothing(toy, tmp_path):
    for mode in ("none", "selective", "full"):
        train_sft.main(arguments(toy, tmp_path / mode, "--checkpointing", mode))
    assert_same_run(tmp_path / "none", tmp_path / "selective")
    assert_same_run(tmp_path / "none", tmp_path / "full")


def test_micro_batches_change_nothing_but_rounding(toy, tmp_path):
    train_sft.main(arguments(toy, tmp_path / "whole", "--micro_tokens", "100000"))
    train_sft.main(arguments(toy, tmp_path / "parts", "--micro_tokens", "1"))
    assert losses(tmp_path / "whole") == pytest.approx(losses(tmp_path / "parts"), rel=1e-5)


def test_dry_run_shows_and_writes_nothing(toy, tmp_path, capsys):
    assert train_sft.main(arguments(toy, tmp_path / "run", "--dry_run")) == 0
    assert not (tmp_path / "run").exists()
    out = capsys.readouterr().out
    assert "calls trained" in out and "optimizer" in out and "w_max" in out


def test_an_existing_run_is_refused_unless_told_otherwise(toy, tmp_path):
    train_sft.main(arguments(toy, tmp_path / "run"))
    with pytest.raises(RunError, match="--overwrite"):
        train_sft.main(arguments(toy, tmp_path / "run"))
    assert train_sft.main(arguments(toy, tmp_path / "run", "--overwrite")) == 0


def test_a_folder_that_is_no_run_is_never_replaced(toy, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years")
    with pytest.raises(RunError, match="something else than a run"):
        train_sft.main(arguments(toy, tmp_path, "--overwrite"))
    assert (tmp_path / "thesis.txt").read_text() == "five years"


def test_a_run_never_replaces_its_own_inputs(toy, tmp_path):
    train_sft.main(arguments(toy, tmp_path / "run"))
    again = arguments(toy, tmp_path / "run", "--overwrite", "--model", str(tmp_path / "run"))
    with pytest.raises(RunError, match="choose another --out"):
        train_sft.main(again)
    assert weights(tmp_path / "run")


def test_bad_records_are_listed_or_skipped(toy, tmp_path):
    data = tmp_path / "bad.jsonl"
    data.write_text((toy / "data.jsonl").read_text() + '{"messages": []}\n')
    with pytest.raises(DataError, match="line 13"):
        train_sft.main(arguments(toy, tmp_path / "run", "--data", str(data)))
    assert train_sft.main(arguments(toy, tmp_path / "run", "--data", str(data), "--on_bad_data", "skip")) == 0


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size", "0"], "--batch_size is 0"),
        (["--max_steps", "-1"], "--max_steps at least 1"),
        (["--w_max", "0"], "--w_max is 0"),
        (["--max_length", "4097"], "more than the model's 4096"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_training(toy, tmp_path, flags, message):
    with pytest.raises(RunError, match=message):
        train_sft.main(arguments(toy, tmp_path / "run", *flags))
    assert not (tmp_path / "run").exists()


class Crash(Exception):
    pass


def crash_at(step: int, monkeypatch) -> None:
    """Lets the process "die" when it begins training step ``step``."""
    original, calls = train_sft.train_step, []

    def train_step(*args):
        calls.append(None)
        if len(calls) == step:
            raise Crash
        return original(*args)

    monkeypatch.setattr(train_sft, "train_step", train_step)


@pytest.mark.parametrize("step", [2, 4])
def test_a_run_that_died_and_resumed_equals_one_that_did_not_to_the_last_bit(toy, tmp_path, monkeypatch, step):
    train_sft.main(arguments(toy, tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(step, patch)
        train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1"))
    assert train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1", "--resume")) == 0
    assert_same_run(tmp_path / "whole", tmp_path / "died")


@pytest.mark.parametrize("damage", ["flip", "delete", "manifest"])
def test_a_damaged_state_is_passed_over_for_the_one_before(toy, tmp_path, monkeypatch, damage):
    train_sft.main(arguments(toy, tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(4, patch)
        train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1"))
    newest = sorted((tmp_path / "died" / "states").iterdir())[-1]
    file = next(newest.glob("*.distcp")) if damage != "manifest" else newest / MANIFEST
    if damage == "flip":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        file.unlink()
    with pytest.warns(UserWarning, match="passed over"):
        train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1", "--resume"))
    assert_same_run(tmp_path / "whole", tmp_path / "died")


def test_other_settings_are_shown_and_refused_on_resume(toy, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(arguments(toy, tmp_path / "run", "--save_every", "1"))
    with pytest.raises(RunError, match=r"w_max: 9.0 -> 3.0"):
        train_sft.main(arguments(toy, tmp_path / "run", "--resume", "--w_max", "3"))
    assert train_sft.main(arguments(toy, tmp_path / "run", "--resume", "--w_max", "3", "--allow_changes")) == 0


def test_steps_without_a_finite_loss_are_skipped_and_three_in_a_row_end_the_run(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(train_sft, "weighted_cross_entropy", lambda nll, *_: nll.sum() * math.nan)
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RunError, match="3rd in a row"):
        train_sft.main(arguments(toy, tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_learning_rate_by_hand():
    rates = [train_sft.learning_rate(step, 10, 1.0, 0.2) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5) and rates[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert train_sft.learning_rate(0, 1, 2.0, 0.0) == 2.0


@pytest.mark.long
def test_two_ranks_equal_one(toy, tmp_path):
    """The same global batches, three trajectories each, so that the ranks never have the same number."""
    train_sft.main(arguments(toy, tmp_path / "one", "--batch_size", "3"))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "train_sft.py"]
    command += arguments(toy, tmp_path / "two", "--batch_size", "3")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(command, cwd=REPO, env=environment, check=True, capture_output=True, timeout=300)
    for key in ("loss", "grad_norm"):
        one, two = ([line[key] for line in metrics(tmp_path / name)] for name in ("one", "two"))
        assert one == pytest.approx(two, rel=1e-4)
    first, second = weights(tmp_path / "one"), weights(tmp_path / "two")
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-4)
