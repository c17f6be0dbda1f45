"""Trainings and experiments killed at random instants: what is resumed ends as what nothing happened to, to the bit."""

import json
import random
import signal
import sys
import time
from pathlib import Path

import pytest
import tqdm.std
from ranks import CONTEXT, exit_code
from runs import arguments, assert_same_run

import train_sft
from benchmarks.soak import kill_at_random, toy
from tl.experiments import parts


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    return toy(tmp_path_factory.mktemp("toy"))


@pytest.mark.long
@pytest.mark.parametrize("name", ["SFT", "PPO, step", "PPO, episode"])
def test_a_training_killed_at_three_random_instants_resumes_to_the_same_logs_and_weights(jobs, tmp_path, name):
    counts = kill_at_random(jobs[name], tmp_path, times=3, seed=0)
    assert counts["kills"] == 3 and counts["different"] == 0


SCRIPT = """
import os, pathlib, sys, time
flags = sys.argv[1:]
value = lambda name: pathlib.Path(flags[flags.index(name) + 1])
time.sleep(0.5)
if "--report" in flags:
    file = value("--report")
else:
    file = value("--out") / "config.json"
    value("--out").mkdir(exist_ok=True)
file.with_suffix(".new").write_text((value("--after") / "config.json").read_text() + flags[0])
os.rename(file.with_suffix(".new"), file)
"""


def experiment(folder: Path, out: Path) -> None:
    """Two rows of three parts, each of which adds a letter to what the one before it has made."""
    parts.SCRIPTS = dict.fromkeys(("sft", "ppo", "evaluation"), folder / "script.py")
    for number in range(2):
        before = folder
        for kind in parts.SCRIPTS:
            flags = [f"{kind[0]}{number}", "--after", str(before)]
            part = parts.Part(kind, f"row{number}", flags, {"number": number}, out)
            part.make()
            before = part.model


def made(out: Path) -> dict[str, str]:
    """What the scripts have written, and whether their parts count as finished."""
    written = [*out.glob("*/model/config.json"), *out.glob("*/report.json")]
    finished = {file: str(json.loads(file.read_text())["finished"]) for file in out.glob("*/part.json")}
    texts = {file: file.read_text() for file in written} | finished
    return {str(file.relative_to(out)): text for file, text in texts.items()}


def test_an_experiment_killed_at_three_random_instants_makes_every_part_as_one_that_was_not(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "config.json").write_text("base")
    assert exit_code(experiment, tmp_path, tmp_path / "whole") == 0
    rng = random.Random(0)
    # A part takes half a second at least, and there are six: none of these comes to the end.
    ends = [exit_code(experiment, tmp_path, tmp_path / "out", seconds=rng.uniform(0.1, 0.9)) for _ in range(3)]
    assert ends == [-signal.SIGKILL] * 3
    assert exit_code(experiment, tmp_path, tmp_path / "out") == 0
    assert made(tmp_path / "out") == made(tmp_path / "whole") and "bases0p0e0" in made(tmp_path / "whole").values()


def run_for_ever(started: Path, log: Path) -> None:
    code = f"import os, pathlib, time; pathlib.Path({str(started)!r}).write_text(str(os.getpid())); time.sleep(60)"
    parts.run([sys.executable, "-c", code], log)


def test_the_script_of_an_experiment_that_is_killed_ends_with_it(tmp_path):
    """Else it would go on to write where the resumed experiment starts it again."""
    started = tmp_path / "started"
    process = CONTEXT.Process(target=run_for_ever, args=(started, tmp_path / "log"))
    process.start()
    while not started.exists() or not started.read_text():
        time.sleep(0.02)
    script = Path(f"/proc/{started.read_text()}/cmdline")
    assert b"sleep" in script.read_bytes()
    process.kill()
    process.join()
    deadline = time.monotonic() + 10
    while script.exists() and script.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not script.exists() or not script.read_bytes()


def test_a_clock_that_jumps_changes_nothing(toy_sft, whole, tmp_path, monkeypatch):
    jumps = iter(random.Random(0).choice([-1e9, 0.0, 1e9, 1e12]) for _ in range(10**6))
    for module in (time, tqdm.std):
        monkeypatch.setattr(module, "time", lambda: next(jumps))
    flags = [*arguments(toy_sft, tmp_path / "run"), "--cache", str(whole.parent / ".prepared")]
    assert train_sft.main([*flags, "--save_every", "2"]) == 0
    assert_same_run(whole, tmp_path / "run")
