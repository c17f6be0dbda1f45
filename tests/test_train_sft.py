"""train_sft.py at toy size: what it writes and refuses, how it resumes (tests/faults and test_ranks.py: more)."""

import math
import runpy
import shutil
import sys
import warnings
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from checkpoints import edit_config, edit_weights
from runs import (
    Crash,
    arguments,
    assert_resumes_alike,
    assert_same_run,
    before_step,
    crash_at,
    losses,
    metrics,
    weights,
)

import train_sft
from tl.assets import TINY
from tl.datasets import DataError
from tl.executor.toolkits import ToolkitError
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.weights import CheckpointError
from tl.training import distributed
from tl.training.checkpoint import MANIFEST
from tl.training.config import RunError, SFTConfig
from tl.training.loop import plan
from tl.training.optimizer import make_optimizer
from tl.training.run import Progress


@pytest.fixture
def toy(toy_sft) -> Path:
    return toy_sft


def test_trains_logs_and_leaves_a_model(toy, tmp_path, capsys):
    assert train_sft.main(arguments(toy, tmp_path / "run", "--eval_data", str(toy / "data.jsonl"))) == 0
    lines = metrics(tmp_path / "run")
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 4] and lines[3]["loss"] < lines[0]["loss"]
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
    assert "1 x H200 (python -m tl scaling)" in out and "tokens/s" in out


def test_the_summary_counts_what_the_run_has_seen(toy, tmp_path, capsys):
    """Four steps of four trajectories: all twelve once, whatever came again; or a single one in a single step."""
    train_sft.main(arguments(toy, tmp_path / "all"))
    start, end = capsys.readouterr().out.split("-- trained on")
    assert "trajectories        12 " in start and "trajectories        12 " in end
    train_sft.main(arguments(toy, tmp_path / "one", "--max_steps", "1", "--batch_size", "1"))
    start, end = capsys.readouterr().out.split("-- trained on")
    assert "trajectories        12 " in start and "trajectories        1 " in end
    assert "seen                1 trajectories" in end


def test_weights_that_do_not_fit_are_found_before_an_old_run_is_deleted(toy, tmp_path):
    run, model = tmp_path / "run", tmp_path / "model"
    train_sft.main(arguments(toy, run, "--max_steps", "1"))
    shutil.copytree(toy / "model", model)
    (model / "model.safetensors").unlink()
    before = sorted(run.rglob("*"))
    with pytest.raises(CheckpointError, match="safetensors"):
        train_sft.main(arguments(toy, run, "--overwrite", "--model", str(model)))
    assert sorted(run.rglob("*")) == before
    assert train_sft.main(arguments(toy, run, "--overwrite", "--model", str(model), "--dry_run")) == 0  # needs none


def test_a_toolkit_that_cannot_be_used_is_one_line(tmp_path, monkeypatch):
    def refuse(**_) -> None:
        raise ToolkitError("the toolkit weather cannot be imported")

    monkeypatch.setattr("tl.training.prepared.synthesize", refuse)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # which the program sets
    monkeypatch.setattr(sys, "argv", ["train_sft.py", "--out", str(tmp_path / "run")])
    with pytest.raises(SystemExit) as exit_info:
        runpy.run_path(train_sft.__file__, run_name="__main__")
    assert exit_info.value.code == "error: the toolkit weather cannot be imported"


def test_an_existing_run_is_refused_unless_told_otherwise(toy, tmp_path):
    train_sft.main(arguments(toy, tmp_path / "run"))
    with pytest.raises(RunError, match="--overwrite"):
        train_sft.main(arguments(toy, tmp_path / "run"))
    assert train_sft.main(arguments(toy, tmp_path / "run", "--overwrite")) == 0


def test_a_folder_that_is_no_run_is_never_replaced(toy, tmp_path):
    (tmp_path / "thesis.txt").write_text("five years")
    with pytest.raises(RunError, match="is not empty and not a run"):
        train_sft.main(arguments(toy, tmp_path, "--overwrite"))
    assert (tmp_path / "thesis.txt").read_text() == "five years"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out", "FILE"], "is not a writable folder"),
        (["--out", "FILE/x"], "is not a writable folder"),
        (["--resume", "--overwrite"], "use only one of them"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_any_data_is_read(toy, tmp_path, monkeypatch, flags, message):
    (tmp_path / "FILE").write_text("")
    monkeypatch.setattr(train_sft, "check_and_load_held_out", None)
    flags = [flag.replace("FILE", str(tmp_path / "FILE")) for flag in flags]
    with pytest.raises(RunError, match=message):
        train_sft.main(arguments(toy, tmp_path / "run", *flags))


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
    flags = ("--data", str(data), "--eval_data", str(data), "--on_bad_data", "skip")
    with pytest.warns(UserWarning, match=f"skipped bad records:\n  {data}, line 13: ") as caught:
        assert train_sft.main(arguments(toy, tmp_path / "run", *flags)) == 0
    assert sum("line 13" in str(warning.message) for warning in caught) == 2  # in either set


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--batch_size", "0"], "--batch_size is 0"),
        (["--max_steps", "-1"], "--max_steps is -1; it must be at least 1"),
        (["--w_max", "0"], "--w_max is 0"),
        (["--keep", "0"], "--keep is 0; it must be at least 1"),
        (["--max_grad_norm", "0"], "--max_grad_norm is 0.0; it must be greater than 0"),
        (["--learning_rate", "nan"], "--learning_rate is nan; it must be a finite number"),
        (["--learning_rate", "-1"], "--learning_rate is -1.0"),
        (["--weight_decay", "inf"], "--weight_decay is inf"),
        (["--warmup_ratio", "1.5"], "--warmup_ratio is 1.5; it must be from 0 to 1"),
        (["--beta2", "1"], "--beta2 is 1.0"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_training(toy, tmp_path, flags, message, capsys):
    with pytest.raises(SystemExit):
        train_sft.main(arguments(toy, tmp_path / "run", *flags))
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_trajectories_longer_than_the_context_are_refused_before_training(toy, tmp_path):
    with pytest.raises(RunError, match="exceeds the model's context length, 4096: pass --max_length 4096"):
        train_sft.main(arguments(toy, tmp_path / "run", "--max_length", "4097"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("step", [2, 4])
def test_a_run_that_died_and_resumed_equals_one_that_did_not_to_the_last_bit(toy, tmp_path, monkeypatch, step):
    assert_resumes_alike(toy, tmp_path, monkeypatch, step)


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
    with pytest.warns(UserWarning, match="using the previous state"):
        train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1", "--resume"))
    assert_same_run(tmp_path / "whole", tmp_path / "died")


def test_other_settings_are_shown_and_refused_on_resume(toy, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(arguments(toy, tmp_path / "run", "--save_every", "1"))
    with pytest.raises(RunError, match=r"w_max: 9.0 -> 3.0"):
        train_sft.main(arguments(toy, tmp_path / "run", "--resume", "--w_max", "3"))
    assert train_sft.main(arguments(toy, tmp_path / "run", "--resume", "--w_max", "3", "--allow_changes")) == 0


def test_another_configuration_of_the_model_is_refused_on_resume(toy, tmp_path, monkeypatch):
    model = shutil.copytree(toy / "model", tmp_path / "model")
    flags = arguments(toy, tmp_path / "run", "--save_every", "1", "--model", str(model))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(2, patch)
        train_sft.main(flags)
    edit_config(model, rms_norm_eps=0.1)
    with pytest.raises(RunError, match=f"different settings:\n  the model in {model}\n"):
        train_sft.main([*flags, "--resume"])


@pytest.mark.parametrize("first", [1, 2])
def test_steps_without_a_finite_loss_are_skipped_and_three_in_a_row_end_the_run(toy, tmp_path, monkeypatch, first):
    """What may be wrong depends on whether a step was made before."""

    def diverge() -> None:
        monkeypatch.setattr(train_sft, "weighted_cross_entropy", lambda nll, *_: nll.sum() * math.nan)

    before_step(first, monkeypatch, diverge)
    reason = "the weights in .*model are not finite" if first == 1 else "lower --learning_rate"
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RunError, match=f"3 steps in a row: .*{reason}"):
        train_sft.main(arguments(toy, tmp_path / "run"))
    assert not (tmp_path / "run" / "config.json").exists()


def test_weights_that_are_not_finite_are_named(toy, tmp_path):
    model = shutil.copytree(toy / "model", tmp_path / "model")
    edit_weights(model, model__norm__weight=torch.full((16,), math.nan))
    named = f"training has not started yet: the weights in {model} are not finite, or too large"
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RunError, match=named):
        train_sft.main(arguments(toy, tmp_path / "run", "--model", str(model)))


def test_learning_rate_by_hand():
    rates = [train_sft.learning_rate(step, 10, 1.0, 0.2) for step in range(10)]
    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[6] == pytest.approx(0.5) and rates[9] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert train_sft.learning_rate(0, 1, 2.0, 0.0) == 2.0


@pytest.mark.parametrize("ratio", [0.25, 0.0])
@pytest.mark.parametrize("tied", [True, False])
def test_embeddings_and_head_take_their_share_of_the_learning_rate(ratio, tied):
    """AdamW's first step moves every weight by its learning rate, whatever its gradient."""
    model = Llama(ModelConfig(16, 8, 8, 1, 1, 1, 8, 64, tie_word_embeddings=tied))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = make_optimizer(model, 0.01, SFTConfig(weight_decay=0.0), ratio)
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    for name, parameter in model.named_parameters():
        share = ratio if name in ("embed_tokens.weight", "lm_head.weight") else 1.0
        torch.testing.assert_close(before[name] - parameter, torch.full_like(parameter, 0.01 * share))


def test_every_group_of_weights_follows_the_schedule(toy, tmp_path, monkeypatch):
    rates = []

    def step(model, optimizer, *rest, train_step=train_sft.train_step):
        rates.append([group["lr"] for group in optimizer.param_groups])
        return train_step(model, optimizer, *rest)

    monkeypatch.setattr(train_sft, "train_step", step)
    train_sft.main(arguments(toy, tmp_path / "run", "--embedding_lr_ratio", "0.5", "--warmup_ratio", "0.5"))
    by_hand = [0.005, 0.01, 0.01, 0.005]
    assert [rate for rate, _, _ in rates] == pytest.approx(by_hand)
    assert [rate for _, rate, _ in rates] == pytest.approx([rate / 2 for rate in by_hand])
    assert [rate for _, _, rate in rates] == pytest.approx(by_hand)
    logged = [line["learning_rate"] for line in metrics(tmp_path / "run") if "learning_rate" in line]
    assert logged == pytest.approx(by_hand)


@pytest.mark.parametrize("flags", [(), ("--embedding_lr_ratio", "0")])
def test_the_saved_model_has_its_share_of_the_initial_weights(toy, tmp_path, flags):
    train_sft.main(arguments(toy, tmp_path / "trained", *flags))
    train_sft.main(arguments(toy, tmp_path / "averaged", *flags, "--initial_share", "0.25"))
    initial, trained, averaged = map(weights, (toy / "model", tmp_path / "trained", tmp_path / "averaged"))
    assert averaged.keys() == trained.keys() and not torch.equal(trained["norm.weight"], averaged["norm.weight"])
    for name, tensor in averaged.items():
        torch.testing.assert_close(tensor, 0.75 * trained[name] + 0.25 * initial[name])


def test_what_a_run_scores_last_is_the_saved_model(toy, tmp_path, monkeypatch):
    evaluated = []

    def score(model, *_) -> dict[str, float]:
        evaluated.append({name: p.detach().clone() for name, p in model.named_parameters()})
        return {"eval_loss": 0.0}

    monkeypatch.setattr(train_sft, "evaluate", score)
    flags = ["--eval_data", str(toy / "data.jsonl"), "--initial_share", "0.25"]
    train_sft.main(arguments(toy, tmp_path / "run", *flags, "--eval_every", "100"))
    saved = weights(tmp_path / "run")
    assert all(torch.equal(tensor, saved[name]) for name, tensor in evaluated[-1].items())


def test_without_a_learning_rate_it_grows_with_the_right_calls_of_a_step(toy, tmp_path, capsys):
    """Twelve trajectories of 1, 2 and 3 calls, four with the first one wrong: 20 right calls and 12 answers. So three
    trajectories have 8 turns, twice what the released code's rate is for."""
    flags = ["--model", str(toy / "model"), "--data", str(toy / "data.jsonl"), "--max_length", "4096"]
    flags += ["--out", str(tmp_path / "run"), "--batch_size", "3", "--warmup_ratio", "0"]
    assert train_sft.main(flags) == 0
    assert metrics(tmp_path / "run")[0]["learning_rate"] == pytest.approx(2e-6)
    out = capsys.readouterr().out
    assert "4 of 3 trajectories, 8.0 trained turns each step" in out and "released code would take 8 steps of 4" in out
    assert "2e-06 at the peak: 1e-06 x 8.0 / 4" in out
    assert train_sft.main([*flags, "--overwrite", "--learning_rate", "3e-3", "--max_steps", "1"]) == 0
    assert metrics(tmp_path / "run")[0]["learning_rate"] == 3e-3
    assert "0.003 at the peak: as set" in capsys.readouterr().out


def test_what_does_not_touch_the_learning_may_change_on_resume(toy, tmp_path, monkeypatch):
    train_sft.main(arguments(toy, tmp_path / "whole"))
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(arguments(toy, tmp_path / "died", "--save_every", "1", "--eval_data", str(toy / "data.jsonl")))
    other = ("--eval_every", "1", "--eval_items", "2", "--checkpointing", "none", "--micro_tokens", "99999")
    again = arguments(toy, tmp_path / "died", "--eval_data", str(toy / "data.jsonl"), "--resume", *other)
    assert train_sft.main(again) == 0
    assert losses(tmp_path / "died") == pytest.approx(losses(tmp_path / "whole"), rel=1e-5)


def test_another_batch_size_on_resume_counts_for_what_is_left():
    before, after = SFTConfig(batch_size=4, max_steps=10), SFTConfig(batch_size=8, max_steps=10)
    assert plan(before, 100, Progress()) == (40, 10)
    resumed = Progress(samples=20, step=5)
    assert plan(after, 100, resumed) == (20 + 5 * 8, 10)
    assert plan(after, 30, resumed) == (30, 5 + 2)
    assert plan(SFTConfig(batch_size=8), 10, resumed) == (20, 5)  # more than that was seen


@pytest.mark.parametrize(("epochs", "samples"), [(1.1, 110), (1.15, 115), (0.07, 7), (1e-9, 1), (2.001, 201)])
def test_a_part_of_an_epoch_is_not_more_than_was_asked_for(epochs, samples):
    assert plan(SFTConfig(epochs=epochs, batch_size=5), 100, Progress()) == (samples, math.ceil(samples / 5))


def test_help_shows_the_defaults_and_those_for_the_embedded_model(capsys):
    with pytest.raises(SystemExit):
        train_sft.main(["--help"])
    out = " ".join(capsys.readouterr().out.split())
    assert 'Defaults marked "embedded model" apply to models with the embedded model\'s config.json' in out
    assert "trained turns per step / 4) (embedded model: 0.001; LoRA: 0.0001)" in out


def test_the_preset_is_for_models_of_the_embedded_shape_only(toy, tmp_path):
    own = tmp_path / "own"  # as a run on the embedded model leaves it
    own.mkdir()
    shutil.copy(TINY / "config.json", own)
    for flags in ([], ["--data", "x.jsonl"], ["--model", str(TINY)], ["--model", str(own)]):
        config = train_sft.resolve_config(flags)
        assert config.learning_rate == 1e-3 and config.max_length == 1536
    assert train_sft.resolve_config(["--learning_rate", "0.5"]).learning_rate == 0.5
    paper = train_sft.resolve_config(["--model", str(toy / "model")])
    assert asdict(paper) == asdict(train_sft.SFTConfig(model=str(toy / "model")))


def test_the_saved_model_is_readable_as_other_files_are(toy, tmp_path):
    train_sft.main(arguments(toy, tmp_path / "run", "--max_steps", "1"))
    modes = {file.stat().st_mode for file in (tmp_path / "run").iterdir() if file.is_file()}
    assert len(modes) == 1


def test_a_gathered_model_is_a_copy(toy):
    with distributed.process_group() as world:
        model = distributed.load(Llama, toy / "model", world)
        copy = distributed.gather(model, world)
        before = copy.norm.weight.clone()
        torch.nn.init.zeros_(model.norm.weight)
        assert torch.equal(copy.norm.weight, before)


def test_without_pkt_no_token_counts_as_key(toy, tmp_path, capsys):
    train_sft.main(arguments(toy, tmp_path / "run", "--no-pkt", "--dry_run"))
    assert "key tokens          0 " in capsys.readouterr().out
