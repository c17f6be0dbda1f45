"""What the training scripts and the evaluation know of run directories."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tl.llama.weights import CONFIG_FILE
from tl.training.checkpoint import load_state, newest_state, save_state
from tl.training.config import RunError
from tl.training.distributed import process_group
from tl.training.loop import StopSignals, resume_command
from tl.training.run import SETTINGS_FILE, STATES, newest_run

REPO = Path(__file__).resolve().parent.parent


@pytest.fixture
def run(tmp_path):
    """Makes a run under tmp_path/runs whose model was saved ``age`` seconds ago, None: not yet."""

    def make(name, age, **settings):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / SETTINGS_FILE).write_text(json.dumps({"out": str(folder)} | settings))
        if age is not None:
            (folder / CONFIG_FILE).write_text("{}")
            os.utime(folder / CONFIG_FILE, (1e9 - age, 1e9 - age))
        return folder

    return make


def test_the_newest_run_is_the_one_whose_model_was_saved_last(run, tmp_path):
    run("b", 30)
    newest = run("a", 10)
    run("c", 20)
    assert newest_run(tmp_path / "runs") == newest


def test_the_newest_run_of_one_script(run, tmp_path):
    sft, ppo = run("sft", 20, script="train_sft.py"), run("ppo", 10, script="train_ppo.py")
    assert newest_run(tmp_path / "runs", "train_sft.py") == sft
    assert newest_run(tmp_path / "runs", "train_ppo.py") == newest_run(tmp_path / "runs") == ppo


def test_runs_without_a_model_or_with_states_to_resume_from_are_not_finished(run, tmp_path):
    run("begun", None)
    (run("stopped", 10) / STATES).mkdir()
    assert newest_run(tmp_path / "runs") is None


def test_a_model_that_no_run_left_and_a_missing_folder_are_no_runs(tmp_path):
    (tmp_path / "runs" / "downloaded").mkdir(parents=True)
    (tmp_path / "runs" / "downloaded" / CONFIG_FILE).write_text("{}")
    assert newest_run(tmp_path / "runs") is None
    assert newest_run(tmp_path / "elsewhere") is None


def test_damaged_settings_of_one_run_do_not_hide_another(run, tmp_path):
    sft = run("sft", 20, script="train_sft.py")
    for name, text in (("broken", b'{"out": \xff'), ("list", b"[]")):
        (run(name, 10) / SETTINGS_FILE).write_bytes(text)
    assert newest_run(tmp_path / "runs", "train_sft.py") == sft


def test_a_resumed_optimizer_has_its_moments_from_the_state_and_its_settings_from_the_call(tmp_path):
    def made(**settings):
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.AdamW(model.parameters(), **settings)
        return model, optimizer

    with process_group() as world:
        model, optimizer = made(lr=0.01, betas=(0.9, 0.95), weight_decay=0.0)
        model(torch.ones(2)).sum().backward()
        optimizer.step()
        save_state(tmp_path, 1, model, optimizer, {}, world, keep=1)
        other, resumed = made(lr=1e-5, betas=(0.9, 0.999), weight_decay=0.1)
        load_state(newest_state(tmp_path, world), other, resumed)
    assert torch.equal(other.weight, model.weight)
    assert torch.equal(resumed.state[other.weight]["exp_avg_sq"], optimizer.state[model.weight]["exp_avg_sq"])
    [group] = resumed.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-5, (0.9, 0.999), 0.1)


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (torch.nn.Linear(2, 2), r"bias is not in the state and \[2\] in the model"),
        (torch.nn.Linear(2, 3, bias=False), r"weight is \[2, 2\] in the state and \[3, 2\] in the model"),
        (
            torch.nn.Linear(2, 2, bias=False).requires_grad_(False),
            r"weight is \[2, 2\] in the state and not in the model",
        ),
    ],
)
def test_a_state_of_other_weights_is_not_read(tmp_path, other, difference):
    model = torch.nn.Linear(2, 2, bias=False)
    first, second = (torch.optim.AdamW(made.parameters()) for made in (model, other))
    with process_group() as world:
        save_state(tmp_path, 1, model, first, {}, world, keep=1)
        with pytest.raises(RunError, match=f"step-00000001 holds other trained weights: {difference}"):
            load_state(newest_state(tmp_path, world), other, second)


@pytest.mark.parametrize(
    ("argv", "command"),
    [
        (["train_sft.py", "--out", "a b", "--overwrite"], "python train_sft.py --out 'a b' --resume"),
        (["/home/tl/__main__.py", "dpo", "--out", "a"], "python -m tl dpo --out a --resume"),
    ],
)
def test_the_command_that_resumes_a_run_is_the_one_that_started_it(monkeypatch, argv, command):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(sys, "argv", argv)
    assert resume_command() == command


def test_a_signal_says_what_it_does_and_the_second_one_how_to_go_on(capfd, monkeypatch):
    ends = []
    monkeypatch.setattr(os, "_exit", ends.append)
    monkeypatch.setattr("tl.training.loop.SAME_REQUEST", -1.0)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.received is signal.SIGINT and "Stopping after the current step" in capfd.readouterr().err
        os.kill(os.getpid(), signal.SIGTERM)
    assert ends == [128 + signal.SIGTERM] and "--resume" in capfd.readouterr().err


def test_a_signal_is_heard_where_nobody_reads_what_is_said(monkeypatch):
    def gone(*_):
        raise BrokenPipeError

    monkeypatch.setattr(os, "write", gone)
    with StopSignals() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.received is signal.SIGTERM


RANK = """
import atexit, os, sys
from tl.training.config import RunError
from tl.training.loop import run_script

class Finalized:
    def __del__(self):
        os.write(1, b" finalized")

kept = Finalized()
atexit.register(print, "at exit", end="")

def main():
    print("work", end=" ")
    if "fail" in sys.argv:
        raise RunError("broken")
    return 3

run_script(main)
"""


def as_a_rank(ranks: int, *arguments: str) -> tuple[str, str, int]:
    """Output, messages and status of one of ``ranks`` ranks."""
    command, environment = [sys.executable, "-c", RANK, *arguments], os.environ | {"WORLD_SIZE": str(ranks)}
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True)
    return done.stdout, done.stderr, done.returncode


@pytest.mark.parametrize(("ranks", "ends"), [(1, "work at exit finalized"), (2, "work at exit")])
def test_one_of_several_ranks_ends_without_finalization(ranks, ends):
    """A thread of gloo that wakes up in it would abort the process. Output, exit handlers and status are kept."""
    assert as_a_rank(ranks) == (ends, "", 3)


def test_a_rank_that_fails_ends_so_too():
    assert as_a_rank(2, "fail") == ("work at exit", "error: broken\n", 1)
