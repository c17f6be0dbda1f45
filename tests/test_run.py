"""What the training scripts and the evaluation know of run directories."""

import json
import os

import pytest

from tl.run import SETTINGS_FILE, STATES, newest_run
from tl.weights import CONFIG_FILE


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


def test_a_setting_tells_runs_of_one_script_from_those_of_another(run, tmp_path):
    sft, ppo = run("sft", 20, learning_rate=1e-3), run("ppo", 10, actor_lr=1e-4)
    assert newest_run(tmp_path / "runs", setting="learning_rate") == sft
    assert newest_run(tmp_path / "runs", setting="actor_lr") == ppo


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
    sft = run("sft", 20, learning_rate=1e-3)
    (run("broken", 10) / SETTINGS_FILE).write_bytes(b'{"out": \xff')
    assert newest_run(tmp_path / "runs", setting="learning_rate") == sft
