"""Faults while training: whatever happens, a resumed run ends with the weights of one that nothing happened to."""

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import resource
import signal
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from ranks import exit_code
from runs import Crash, arguments, assert_same_run, before_step, crash_at, digest, evaluations, losses, metrics
from safetensors import SafetensorError

import train_sft
from tl.cli.rejection import RejectionConfig, write_kept
from tl.datasets import DataError
from tl.files import open_alone
from tl.llama import stored
from tl.synthesis.teacher import write_taught
from tl.training import checkpoint
from tl.training.config import RunError, SFTConfig
from tl.training.distributed import process_group
from tl.training.lock import LOCK_FILE, folder_lock
from tl.training.run import METRICS_FILE, SETTINGS_FILE

FAULT_POINTS = range(1, 7)  # all that tl/training/checkpoint.py calls reached() with


def run_until(point: int, flags: list[str]) -> None:
    """Trains, and dies in the second save when it reaches the fault point."""
    saves = 0

    def reached(n: int) -> None:
        nonlocal saves
        saves += n == 1
        if saves == 2 and n == point:
            os.kill(os.getpid(), signal.SIGKILL)

    checkpoint.reached = reached
    train_sft.main(flags)


def test_the_fault_points_are_all_there_are():
    source = Path(checkpoint.__file__).read_text()
    assert {n for n in range(20) if f"reached({n})" in source} == set(FAULT_POINTS)


@pytest.mark.long
@pytest.mark.parametrize("point", FAULT_POINTS)
def test_a_run_killed_anywhere_in_a_save_resumes_to_the_same_weights(toy_sft, whole, tmp_path, point):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    assert exit_code(run_until, point, flags) == -signal.SIGKILL
    states = {path.name for path in (tmp_path / "run" / "states").iterdir()}
    assert "step-00000001" in states  # the first state survives what happens to the second
    assert ("step-00000002" in states) == (point >= 5)
    assert train_sft.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "run")


def test_a_stop_signal_saves_skips_the_evaluation_and_the_resumed_run_makes_up_for_it(toy_sft, tmp_path, monkeypatch):
    def flags(out: str) -> list[str]:
        held_out = ["--eval_data", str(toy_sft / "data.jsonl"), "--eval_every", "2", "--eval_items", "2"]
        return arguments(toy_sft, tmp_path / out, "--max_steps", "3", *held_out)

    scores = {"eval_loss": 1.0, "ts": 0.0, "pi": 0.0, "cf": 0.0}
    monkeypatch.setattr(train_sft, "evaluate", lambda *_: scores)
    train_sft.main(flags("whole"))
    with monkeypatch.context() as patch:
        before_step(2, patch, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert train_sft.main(flags("stopped")) == 143
    assert [path.name for path in (tmp_path / "stopped" / "states").iterdir()] == ["step-00000002"]
    assert evaluations(tmp_path / "stopped") == []
    assert train_sft.main([*flags("stopped"), "--resume"]) == 0
    assert [(line["step"], "loss" in line) for line in metrics(tmp_path / "stopped")] == [
        (line["step"], "loss" in line) for line in metrics(tmp_path / "whole")
    ]
    assert digest(tmp_path / "stopped") == digest(tmp_path / "whole")


def test_a_run_that_died_in_its_last_evaluation_has_lost_nothing(toy_sft, whole, tmp_path, monkeypatch):
    flags = arguments(toy_sft, tmp_path / "run", "--eval_data", str(toy_sft / "data.jsonl"))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(train_sft, "evaluate", Mock(side_effect=KeyboardInterrupt))
        train_sft.main(flags)
    assert digest(tmp_path / "run") == digest(whole), "the model was saved before"
    monkeypatch.setattr(train_sft, "evaluate", lambda *_: {"eval_loss": 1.0, "ts": 0.0, "pi": 0.0, "cf": 0.0})
    monkeypatch.setattr(train_sft, "train_step", lambda *_: pytest.fail("all steps were made before"))
    assert train_sft.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "run")


def test_an_evaluation_that_fails_is_a_warning(toy_sft, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(train_sft, "evaluate", Mock(side_effect=RuntimeError("out of memory")))
    flags = arguments(toy_sft, tmp_path / "run", "--eval_data", str(toy_sft / "data.jsonl"), "--eval_every", "3")
    with pytest.warns(UserWarning, match="the evaluation failed, RuntimeError: out of memory") as warned:
        assert train_sft.main(flags) == 0
    assert [str(warning.message)[:7] for warning in warned] == ["step 3:", "step 4:"]
    assert evaluations(tmp_path / "run") == []
    assert_same_run(whole, tmp_path / "run")


def test_a_full_disk_keeps_the_state_before(toy_sft, whole, tmp_path, monkeypatch):
    """No file may grow beyond 16 kB while the second state is saved, so that the system refuses the write."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="could not save a state at step 2"):
        before_step(2, patch, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, limits[1])))
        crash_at(3, patch)
        try:
            with pytest.raises(Crash):
                train_sft.main(flags)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert train_sft.main([*flags, "--resume"]) == 0
    assert losses(tmp_path / "run")[:1] == losses(whole)[:1]
    assert_same_run(whole, tmp_path / "run")


def test_a_log_that_cannot_be_written_does_not_end_the_run(toy_sft, whole, tmp_path, monkeypatch):
    log = tmp_path / "run" / METRICS_FILE
    before_step(1, monkeypatch, lambda: log.symlink_to("/dev/full"))
    with pytest.warns(UserWarning, match="could not log metrics: .*No space left"):
        assert train_sft.main(arguments(toy_sft, tmp_path / "run")) == 0
    assert digest(tmp_path / "run") == digest(whole)


@pytest.mark.parametrize("fault", ["nan", "inf"])
def test_a_step_that_is_not_finite_leaves_no_trace_and_three_in_a_row_are_never_saved(
    toy_sft, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(train_sft, "weighted_cross_entropy", lambda nll, *_: nll.sum() * float(fault))
    with (
        pytest.warns(UserWarning, match="step 1: skipped.*trajectories"),
        pytest.raises(RunError, match="3 steps in a row"),
    ):
        train_sft.main(arguments(toy_sft, tmp_path / "run", "--save_every", "3"))
    assert not list((tmp_path / "run" / "states").glob("*"))


def test_a_state_saved_before_the_first_update_changes_no_later_one(toy_sft, tmp_path, monkeypatch):
    def run(*flags: str) -> list[float]:
        original, calls = train_sft.weighted_cross_entropy, []

        def first_is_nan(nll, *args):
            calls.append(None)
            return nll.sum() * float("nan") if len(calls) == 1 else original(nll, *args)

        with monkeypatch.context() as patch, pytest.warns(UserWarning, match="step 1: skipped"):
            patch.setattr(train_sft, "weighted_cross_entropy", first_is_nan)
            train_sft.main(arguments(toy_sft, tmp_path / "run", "--overwrite", *flags))
        return losses(tmp_path / "run")

    assert run("--save_every", "1") == run("--save_every", "0")


def test_a_state_that_failed_leaves_no_remains(toy_sft, tmp_path, monkeypatch):
    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoint, "_digests", fail)
    with pytest.warns(UserWarning, match="could not save a state at step 1: no space left"):
        train_sft.main(arguments(toy_sft, tmp_path / "run", "--save_every", "1"))
    assert not list((tmp_path / "run").glob("**/*.partial"))


def model_fits_after(failures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first saves of a model fail as on a full disk, as safetensors tells it."""
    save_file, calls = stored.save_file, []

    def save(*args: Any, **kwargs: Any) -> None:
        calls.append(None)
        if len(calls) <= failures:
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save_file(*args, **kwargs)

    monkeypatch.setattr(stored, "save_file", save)


def test_a_model_that_does_not_fit_takes_the_room_of_older_states(toy_sft, whole, tmp_path, monkeypatch):
    model_fits_after(1, monkeypatch)
    assert train_sft.main(arguments(toy_sft, tmp_path / "run", "--save_every", "1")) == 0
    assert_same_run(whole, tmp_path / "run")


def test_a_model_that_does_not_fit_into_its_folder_is_saved_elsewhere(toy_sft, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model_fits_after(2, monkeypatch)
    with pytest.raises(RunError, match="No space left on device.* It was saved in .*tl-model-.* instead"):
        train_sft.main(arguments(toy_sft, tmp_path / "run"))
    [elsewhere] = tmp_path.glob("tl-model-*")
    assert digest(elsewhere) == digest(whole)


def test_a_model_that_fits_nowhere_leaves_the_newest_state_to_go_on_from(toy_sft, whole, tmp_path, monkeypatch):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with monkeypatch.context() as patch:
        model_fits_after(3, patch)
        with pytest.raises(RunError, match="Free some space and continue from the newest state with --resume"):
            train_sft.main(flags)
    assert train_sft.main([*flags, "--resume"]) == 0
    assert digest(tmp_path / "run") == digest(whole)


def test_a_model_with_adapters_that_fits_nowhere_leaves_nothing_elsewhere(toy_sft, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model_fits_after(3, monkeypatch)
    with pytest.raises(RunError, match="Free some space and continue from the newest state with --resume"):
        train_sft.main(arguments(toy_sft, tmp_path / "run", "--save_every", "1", "--lora_rank", "2"))
    assert not list(tmp_path.glob("tl-model-*"))


def test_adapters_that_do_not_fit_take_the_room_of_older_states_as_well(toy_sft, tmp_path, monkeypatch):
    model_fits_after(1, monkeypatch)
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1", "--lora_rank", "2")
    assert train_sft.main(flags) == 0
    assert (tmp_path / "run" / "adapter" / "adapter_config.json").exists() and digest(tmp_path / "run")


def test_where_nothing_can_be_kept_beside_the_run_the_data_are_prepared_elsewhere(
    toy_sft, whole, tmp_path, monkeypatch
):
    monkeypatch.setattr("tl.training.data.unwritable", lambda folder: folder)
    assert train_sft.main(arguments(toy_sft, tmp_path / "run")) == 0
    assert not (tmp_path / ".prepared").exists()
    assert_same_run(whole, tmp_path / "run")


def hold_lock(out: Path, ready: Path) -> None:
    config = SFTConfig(out=str(out))
    with process_group() as world, folder_lock(config, world):
        ready.touch()
        time.sleep(60)


@pytest.mark.parametrize("flag", ["--resume", "--overwrite"])
def test_a_second_run_in_the_same_folder_is_refused_by_process_and_host(toy_sft, tmp_path, flag):
    out, ready = tmp_path / "run", tmp_path / "ready"
    first = multiprocessing.get_context("spawn").Process(target=hold_lock, args=(out, ready))
    first.start()
    try:
        while not ready.exists():
            time.sleep(0.02)
        with pytest.raises(RunError, match=rf"in use by another run \(process {first.pid} on \S+\)"):
            train_sft.main(arguments(toy_sft, out, flag))
    finally:
        first.kill()
        first.join()
    assert train_sft.main(arguments(toy_sft, out)) == 0, "the lock dies with its process"
    assert not (out / LOCK_FILE).exists()


@pytest.mark.parametrize(
    "command",
    [
        lambda out: write_kept(RejectionConfig(model="", out=str(out)), [], Mock(), Mock(), Mock()),
        lambda out: write_taught(out, [], Mock(), None),
    ],
    ids=["rejection", "synthesis"],
)
def test_a_second_command_that_appends_to_the_same_file_is_refused(tmp_path, command):
    out = tmp_path / "kept.jsonl"
    with open_alone(out) as first:
        first.write('{"id": "half a li')
        first.flush()
        with pytest.raises(OSError, match="kept.jsonl is being written by another process: choose another --out"):
            command(out)
        assert out.read_text() == '{"id": "half a li'
    command(out)
    assert out.read_text() == "", "the first has died: its half line goes"


def test_a_run_that_is_refused_leaves_no_folder(toy_sft, tmp_path):
    with pytest.raises(DataError):
        train_sft.main(arguments(toy_sft, tmp_path / "run", "--data", str(tmp_path / "missing.jsonl")))
    assert not (tmp_path / "run").exists()


def test_overwrite_deletes_what_the_run_made_and_nothing_else(toy_sft, tmp_path):
    out = tmp_path / "run"
    crashed = arguments(toy_sft, out, "--save_every", "1")
    train_sft.main(crashed)
    (out / "notes.txt").write_text("mine")
    train_sft.main([*crashed, "--overwrite"])
    assert (out / "notes.txt").read_text() == "mine"
    assert len(losses(out)) == 4


def test_an_interrupted_overwrite_can_be_repeated(toy_sft, tmp_path, monkeypatch):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(flags)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("tl.training.run.shutil.rmtree", Mock(side_effect=KeyboardInterrupt))
        train_sft.main([*flags, "--overwrite"])
    assert train_sft.main([*flags, "--overwrite"]) == 0


@pytest.mark.parametrize("name", [METRICS_FILE, SETTINGS_FILE])
def test_a_full_disk_keeps_log_and_settings_when_a_run_is_resumed(toy_sft, whole, tmp_path, monkeypatch, name):
    """No file may grow to half of what the named one has, while the run is opened."""
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(4, patch)
        train_sft.main(flags)
    before = (tmp_path / "run" / name).read_bytes()
    limits, original = resource.getrlimit(resource.RLIMIT_FSIZE), train_sft.open_run

    def open_run(*arguments):
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        try:
            return original(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="File too large"):
        patch.setattr(train_sft, "open_run", open_run)
        train_sft.main([*flags, "--resume"])
    assert (tmp_path / "run" / name).read_bytes() == before
    assert train_sft.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "run")


def test_damaged_lines_of_the_log_do_not_forbid_to_resume(toy_sft, whole, tmp_path, monkeypatch):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(flags)
    log = tmp_path / "run" / METRICS_FILE
    first, second = log.read_text().splitlines()
    log.write_text("\n".join([first, '{"loss": 1.0}', "[]", "{" * 9, '{"step": "3"}', second]) + "\n")
    with pytest.warns(UserWarning, match="dropped a damaged line"):
        assert train_sft.main([*flags, "--resume"]) == 0
    assert_same_run(whole, tmp_path / "run")


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: manifest | {"files": {}},
        lambda manifest: manifest | {"files": [1]},
        lambda manifest: manifest | {"record": None},
        lambda manifest: {"files": manifest["files"]},
        lambda manifest: [],
    ],
)
def test_an_odd_manifest_is_no_state(toy_sft, tmp_path, monkeypatch, change):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(flags)
    manifest = tmp_path / "run" / "states" / "step-00000002" / "manifest.json"
    manifest.write_text(json.dumps(change(json.loads(manifest.read_text()))))
    with pytest.warns(UserWarning, match="step-00000002: .*using the previous state instead"):
        assert train_sft.main([*flags, "--resume"]) == 0


class Evil:
    """Pickled, it makes a file when it is read."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple:
        return Path.touch, (self.file,)


def test_a_state_that_someone_else_has_prepared_runs_no_code(toy_sft, tmp_path, monkeypatch):
    flags = arguments(toy_sft, tmp_path / "run", "--save_every", "1")
    with monkeypatch.context() as patch, pytest.raises(Crash):
        crash_at(3, patch)
        train_sft.main(flags)
    state, made = tmp_path / "run" / "states" / "step-00000002", tmp_path / "made"
    (state / ".metadata").write_bytes(pickle.dumps(Evil(made)))
    manifest = json.loads((state / "manifest.json").read_text())
    manifest["files"][".metadata"] = hashlib.sha256((state / ".metadata").read_bytes()).hexdigest()
    (state / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match=r"was not written by this program \(it names pathlib"):
        train_sft.main([*flags, "--resume"])
    assert not made.exists()


def test_pickles_within_a_state_run_no_code(tmp_path):
    value = io.BytesIO()
    torch.save(Evil(tmp_path / "made"), value)
    value.seek(0)
    with pytest.raises(pickle.UnpicklingError):
        checkpoint._WeightsPlanner().load_bytes(None, value)  # type: ignore[arg-type]
    assert not (tmp_path / "made").exists()


def test_a_run_whose_steps_were_all_skipped_saves_no_model(toy_sft, tmp_path, monkeypatch):
    monkeypatch.setattr(train_sft, "weighted_cross_entropy", lambda nll, *_: nll.sum() * float("nan"))
    with pytest.warns(UserWarning, match="skipped"), pytest.raises(RunError, match="no step was without trouble"):
        train_sft.main([*arguments(toy_sft, tmp_path / "run"), "--max_steps", "2"])
    assert not (tmp_path / "run" / "config.json").exists()
