"""Experiments: rows and parts, what is done once, processes, intervals and tables; with a stub for the scripts."""

import json
import os
import re
import shutil
import signal
import sys
import threading
import time
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest
import torch

from tl.__main__ import main as tl_main
from tl.assets import TINY
from tl.calls import Call
from tl.cli import experiments as verb
from tl.cli.rejection import RejectionConfig
from tl.config import parse_config
from tl.evaluation.compare import bootstrap_interval
from tl.experiments import parts, plan
from tl.experiments.ablation import ABLATION, APART, COLUMNS, ROBUSTNESS, SHARED, SWEEPS, VARIANTS, group, groups_of
from tl.experiments.comparison import T_975, Column, cell, markdown_lines, over_items, row_json, t_interval, tables
from tl.experiments.craft import CRAFT, FULL_CRAFT, QUICK_CRAFT, CraftPlan
from tl.experiments.parts import Part, PartError, Stopped, duration, seconds_left
from tl.experiments.plan import FULL, QUICK, Budget, Plan, carry_out
from tl.experiments.results import markdown, resolution, results_json, write
from tl.llama import Llama, ModelConfig, Tokenizer, load_model, save_model
from tl.metrics import Question, questions_of
from tl.prompt import name_ids
from tl.schema import ToolSpec
from tl.synthesis import prompts, synthesize
from tl.synthesis.environments import ENVIRONMENTS

SMALL = Budget(share=0.5, requests=2, episodes=1)
GROUPS = {"a": SHARED, "b": APART}

# Trains by writing down 10 for each of MAE, PKT and IRM, less a point for each further seed; evaluates by scoring that;
# episodes say nothing of answers. The run that the file "trouble" gives the number of ends as that says.
STUB = """
import json, sys
from pathlib import Path

kind, flags, here = Path(sys.argv[0]).stem, sys.argv[1:], Path(sys.argv[0]).parent
value = lambda name: flags[flags.index(name) + 1]
with (here / "asked.jsonl").open("a") as file:
    file.write(json.dumps([kind, flags]) + "\\n")
print(f"{kind}: 1 %\\r{kind}: 99 %\\n")
if kind == "evaluation":
    score = json.loads((Path(value("--model")) / "config.json").read_text()) + 5 * ("--best_of" in flags)
    scores = {"n": 2, "ts": 50 + score, "pi": 40 + score, "cf": 30 + score}
    right = [{"strict": {"ts": id == "a", "pi": False, "cf": False}} for id in "ab"]
    items = [{"id": id, "scores": scored, "reward": 0.5} for id, scored in zip("ab", right, strict=True)]
    suites = flags[flags.index("--suite") + 1 : flags.index("--seed")]
    rows = dict.fromkeys(["strict", "official", "arguments", "executed"], scores)
    found = {suite: {**rows, "irm": {"n": 2, "reward": score - 20.0}, "items": items} for suite in suites}
    if "episodes" in suites:
        shares = {"de": 50 - score, "ce": 9.0, "va": 60 + score, "answer_accuracy": None, "refusal_accuracy": 0.0}
        found["episodes"] = {"n": 1, "items": [{"id": "e", "right": None}]} | shares
    Path(value("--report")).write_text(json.dumps({"suites": found}))
    sys.exit(0)
out = Path(value("--out"))
if kind in ("rejection", "prm"):
    print("drew 1,200 tokens in 40 calls")
if "--pairs" in flags:
    out.touch()
    sys.exit(0)
if kind == "rejection":
    print("drew 300 tokens in 10 calls")  # of the second round
    out = out / "round-2" / "model"
out.mkdir(exist_ok=True, parents=True)
number, status = json.loads((here / "trouble").read_text())
if len((here / "asked.jsonl").read_text().splitlines()) == number:
    sys.exit(status)
score = 10 * (("--mae" in flags) + ("--pkt" in flags)) - int(value("--seed"))
if kind == "ppo":
    score = json.loads((Path(value("--model")) / "config.json").read_text()) + 10
    lines = [{"step": step, "response_length": length} for step, length in ((1, 10.0), (2, 12.5))]
    (out / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines))
(out / "config.json").write_text(json.dumps(score))
"""


class Stub:
    """Scripts that take no time, and a base model that is nothing but its shape."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.base = folder, folder / "base"
        self.base.mkdir()
        shutil.copy(TINY / "config.json", self.base)
        self.scripts = {kind: folder / f"{kind}.py" for kind in ("sft", "ppo", "evaluation", "rejection", "dpo", "prm")}
        for script in self.scripts.values():
            script.write_text(STUB)
        self.trouble(0, 0)
        self.forget()

    def trouble(self, number, status):
        (self.folder / "trouble").write_text(json.dumps([number, status]))

    def forget(self):
        (self.folder / "asked.jsonl").write_text("")

    @property
    def asked(self):
        return [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]

    def kinds(self):
        return [kind for kind, _ in self.asked]

    def flags(self, kind, flag):
        """The values of a flag of all runs of a kind that have it."""
        return [flags[flags.index(flag) + 1] for asked, flags in self.asked if asked == kind and flag in flags]


@pytest.fixture
def stub(tmp_path, little_data, monkeypatch):
    (tmp_path / "stub").mkdir()
    stub = Stub(tmp_path / "stub")
    monkeypatch.setattr(parts, "SCRIPTS", stub.scripts)
    monkeypatch.setattr("tl.experiments.ablation.groups_of", lambda *_: GROUPS)
    return stub


@pytest.fixture
def little_data(monkeypatch):
    """Data of a few records, made once."""
    monkeypatch.setattr(plan, "synthesize", cache(partial(synthesize, 60)))
    monkeypatch.setattr(plan, "prompts", cache(partial(prompts, 8)))


def run(stub, out, seeds=(0,), sweeps=False, budget=SMALL, experiment=ABLATION):
    """The results, as they stand in the JSON file."""
    experiment = replace(experiment, sweeps=SWEEPS if sweeps else ())
    planned = Plan(out, budget, stub.base)
    for complete in carry_out(experiment, planned, seeds):
        write(results_json(experiment, planned, complete, command="c"), experiment, out)
    return json.loads((out / f"{experiment.kind}.json").read_text())


# ---- rows and parts


def test_the_rows_are_all_combinations_of_the_three_parts(stub, tmp_path):
    results = run(stub, tmp_path / "out")
    assert [row["name"] for row in results["rows"]] == [
        *("none", "MAE", "PKT", "IRM", "MAE + PKT", "MAE + IRM", "PKT + IRM", "all")
    ]
    assert len({tuple(row["parts"]) for row in results["rows"]}) == 8
    scores = [row["values"]["held-out.ts"] for row in results["rows"]]
    assert scores == [[50], [60], [60], [60], [70], [70], [70], [80]]  # each row has the model of its variant


def test_four_fine_tunings_a_seed_serve_all_rows(stub, tmp_path):
    run(stub, tmp_path / "out", seeds=(0, 1))
    assert {kind: stub.kinds().count(kind) for kind in stub.kinds()} == {"sft": 8, "ppo": 8, "evaluation": 16}


def test_ppo_starts_from_the_fine_tuning_of_its_row_and_gets_prompts(stub, tmp_path):
    run(stub, tmp_path / "out")
    assert "sft-mae-pkt-seed0" in stub.flags("ppo", "--model")[-1]  # of "all"
    last = json.loads(Path(stub.flags("ppo", "--data")[-1]).read_text().splitlines()[0])["messages"][-1]
    assert last["role"] == "assistant"


def test_rows_of_a_seed_share_data_and_other_seeds_have_other(stub, tmp_path):
    run(stub, tmp_path / "out", seeds=(0, 1))
    data = stub.flags("sft", "--data")
    assert len(set(data)) == 2 and data[:4] == data[:1] * 4


def test_sweeps_add_only_what_the_rows_do_not_have(stub, tmp_path):
    results = run(stub, tmp_path / "out", sweeps=True)
    assert stub.kinds().count("sft") == 4 + 2 + 3  # w_max 3 and 27; no errors, and 40 % without and with MAE
    sweep = results["sweeps"]["errors"]
    assert sweep["x"] == [0, 17, 40] and [curve["name"] for curve in sweep["curves"]] == ["none", "MAE"]
    assert [p["values"]["held-out.cf"] for p in sweep["curves"][1]["points"]] == [[30], [40], [40]]
    assert sorted(set(stub.flags("sft", "--w_max"))) == ["27", "3", "9"]


def test_requests_of_the_sweep_have_the_share_of_errors_that_they_say(stub, tmp_path):
    """A trajectory's id names the kind of each of its requests."""
    planned = Plan(tmp_path / "out", SMALL, stub.base)
    for errors in (0, 17, 40):
        lines = planned.trajectories(0, errors).read_text().splitlines()
        requests = [request for line in lines for request in json.loads(line)["id"].split("+")]
        wrong = sum("error" in request.split("/") for request in requests)
        assert wrong == pytest.approx(errors / 100 * len(requests), abs=1)


def test_the_sweeps_pass_through_rows_of_the_table():
    points = {point for sweep in SWEEPS for curve in sweep.curves.values() for point in curve}
    assert len(points & set(VARIANTS)) == 3 and all(len(c) == len(s.x) for s in SWEEPS for c in s.curves.values())


# ---- the budget


def test_quick_is_one_seed_a_fifth_of_the_training_and_fifty_episodes(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert verb.main(["robustness", "--quick"]) == 0
    assert json.loads(Path("runs/ablation-quick/robustness.json").read_text())["seeds"] == [0]
    assert stub.flags("sft", "--epochs") == ["0.2"] * 2 and stub.flags("ppo", "--epochs") == ["0.2"]
    assert stub.flags("evaluation", "--limit") == ["100"] * 2 and stub.flags("evaluation", "--episodes") == ["50"] * 2
    assert verb.main(["robustness"]) == 0  # a quick table never replaces a whole one
    assert json.loads(Path("runs/ablation/robustness.json").read_text())["seeds"] == [0, 1, 2]
    assert FULL.share == 1 and QUICK.requests < FULL.requests


def test_trainings_get_the_share_of_their_own_epochs(stub, tmp_path):
    run(stub, tmp_path / "out")
    assert {*stub.flags("sft", "--epochs"), *stub.flags("ppo", "--epochs")} == {"0.5"}


def test_evaluations_get_the_budget_and_the_seed(stub, tmp_path):
    run(stub, tmp_path / "out", seeds=(3,))
    assert {(*stub.flags("evaluation", "--limit"), *stub.flags("evaluation", "--episodes"))} == {
        ("2",) * 8 + ("1",) * 8
    }
    assert set(stub.flags("evaluation", "--seed")) == {"3"}


# ---- a model of one's own


def test_a_model_of_ones_own_is_trained_on_its_data_and_evaluated_on_the_benchmarks(stub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = synthesize(4)
    (tmp_path / "mine.jsonl").write_text("".join(trajectory.to_line() for trajectory in made))
    (tmp_path / "official").mkdir()
    monkeypatch.setattr(verb, "read_suites", lambda *_, **__: [])  # the folder is empty
    flags = ["--model", str(stub.base), "--data", "mine.jsonl", "official", "--suite", "rotbench", "toolalpaca", "bfcl"]
    assert verb.main(["ablation", "--quick", *flags]) == 0
    out = tmp_path / "runs/ablation-base-quick"
    results = json.loads((out / "ablation.json").read_text())
    assert [row["name"] for row in results["rows"]] == [variant.name for variant in VARIANTS]
    assert [c["table"] for c in results["columns"][::3]] == [
        "rotbench, official",
        "toolalpaca, arguments",
        "bfcl, executed",
    ]
    assert set(stub.flags("evaluation", "--data")) == {str(tmp_path / "official")}
    [data] = set(stub.flags("sft", "--data"))
    assert len(Path(data).read_text().splitlines()) == 4
    [prompts_file] = set(stub.flags("ppo", "--data"))
    assert len(Path(prompts_file).read_text().splitlines()) == sum(len(questions_of(t)) for t in made)
    stub.forget()
    assert verb.main(["ablation", "--quick", *flags]) == 0 and stub.asked == []


def test_what_three_seeds_can_tell():
    assert "3 seeds leaves out 0 where the mean difference is more than 2.5 times" in resolution(3)  # 4.303 / √3
    assert "more than 9.0 times" in resolution(2)


# ---- doing things once


def test_a_second_run_does_nothing_and_gives_the_same(stub, tmp_path):
    first = run(stub, tmp_path / "out", seeds=(0, 1))
    stub.forget()
    assert run(stub, tmp_path / "out", seeds=(0, 1)) == first and stub.asked == []


def test_another_seed_reuses_the_finished_ones(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.forget()
    assert run(stub, tmp_path / "out", seeds=(0, 1))["seeds"] == [0, 1]
    assert len(stub.asked) == 16


def test_a_stopped_training_is_gone_on_with(stub, tmp_path):
    stub.trouble(5, 143)  # two rows are trained and evaluated; the fifth is PKT's training
    with pytest.raises(Stopped, match="sft-pkt-seed0"):
        run(stub, tmp_path / "out")
    stub.forget()
    stub.trouble(0, 0)
    run(stub, tmp_path / "out")
    kind, flags = stub.asked[0]
    assert kind == "sft" and "--pkt" in flags and flags[-1] == "--resume"
    assert len(stub.asked) == 16 - 4 and all("--resume" not in flags for _, flags in stub.asked[1:])


def test_a_training_that_was_killed_after_its_last_step_is_not_asked_again(stub, tmp_path):
    run(stub, tmp_path / "out")
    for record in (tmp_path / "out").glob("parts/sft-*/part.json"):
        record.unlink()
    stub.forget()
    run(stub, tmp_path / "out")
    assert stub.asked == []


@pytest.mark.parametrize("change", ["preset", "base", "budget"])
def test_nothing_is_reused_with_another_setting_base_or_budget(stub, tmp_path, change, monkeypatch):
    run(stub, tmp_path / "out")
    stub.forget()
    if change == "preset":
        resolve = plan.RESOLVE["sft"]
        monkeypatch.setitem(plan.RESOLVE, "sft", lambda argv: replace(resolve(argv), beta2=0.9))
    elif change == "base":
        (stub.base / "config.json").write_text((stub.base / "config.json").read_text() + " ")
    budget = Budget(share=0.25, requests=2, episodes=1) if change == "budget" else SMALL
    run(stub, tmp_path / "out", budget=budget)
    assert len(stub.asked) == 16


def test_other_items_are_evaluated_again_without_training_again(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.forget()
    run(stub, tmp_path / "out", budget=Budget(share=0.5, requests=3, episodes=1))
    assert stub.kinds() == ["evaluation"] * 8


def test_robustness_takes_the_models_of_the_ablation(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.forget()
    results = run(stub, tmp_path / "out", experiment=ROBUSTNESS)
    assert stub.kinds() == ["evaluation"] * 2 and [row["name"] for row in results["rows"]] == ["none", "all"]
    assert [c["table"] for c in results["columns"][::3]] == [f"Environment: {e}" for e in ENVIRONMENTS]
    assert results["rows"][1]["difference"]["held-out:union.cf"]["mean"] == 30


def test_time_left_is_the_mean_of_a_kind_for_each_that_is_not_done(tmp_path):
    made = [Part(kind, "p", [], {"n": n}, tmp_path) for n, kind in enumerate(["sft", "sft", "sft", "ppo"])]
    assert seconds_left(made) is None
    for part, seconds in zip(made, (10.0, 20.0), strict=False):
        part.folder.mkdir()
        (part.folder / "part.json").write_text(json.dumps({"finished": True, "seconds": seconds}))
    assert seconds_left(made) == 15 + 15  # PPO is not known yet: the mean of all
    assert [duration(s) for s in (45, 700, 7500)] == ["45 s", "12 min", "2 h 05 min"]


# ---- processes


def test_what_a_script_prints_is_in_its_log_and_not_on_the_terminal(stub, tmp_path, capfd):
    run(stub, tmp_path / "out")
    logs = list((tmp_path / "out").glob("parts/*/log.txt"))
    assert len(logs) == 16 and all("99 %" in log.read_text() for log in logs)
    out, err = capfd.readouterr()
    assert "99 %" not in out + err and "16/16 parts" in err


def test_a_part_that_fails_shows_the_end_of_its_log_and_is_done_again(stub, tmp_path):
    stub.trouble(1, 3)
    with pytest.raises(
        PartError, match=r"sft-none-seed0-\w+/log.txt: the script failed with status 3:\n(.*\n)*sft: 99 %"
    ):
        run(stub, tmp_path / "out")
    stub.trouble(0, 0)
    run(stub, tmp_path / "out")
    assert stub.kinds().count("sft") == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_go_to_the_script_which_ends_as_it_sees_fit(number, tmp_path):
    started = tmp_path / "started"
    code = f"""
import pathlib, signal, sys, time
signal.signal({number.value}, lambda *_: (print("saving"), sys.exit(143)))
pathlib.Path({str(started)!r}).touch()
time.sleep(60)
"""

    def send():
        while not started.exists():
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    threading.Thread(target=send).start()
    assert parts.run([sys.executable, "-c", code], tmp_path / "log.txt") == (143, True)
    assert "saving" in (tmp_path / "log.txt").read_text() and signal.getsignal(number) is before


def test_a_stopped_experiment_says_how_to_resume(stub, tmp_path, capsys):
    stub.trouble(1, 143)
    flags = ["robustness", "--quick", "--out", str(tmp_path / "out")]
    assert verb.main(flags) == 1
    assert "run the same command again to resume" in capsys.readouterr().err
    stub.trouble(0, 0)
    assert verb.main(flags) == 0


# ---- intervals and tables


def test_t_interval_by_hand():
    low, high = t_interval([1.0, 2.0, 3.0])  # s = 1, so 2 ± 4.303 / √3
    assert (low, high) == (pytest.approx(-0.48434, abs=1e-4), pytest.approx(4.48434, abs=1e-4))
    assert t_interval([0.0, 2.0]) == (pytest.approx(1 - 12.706), pytest.approx(1 + 12.706))  # s = √2, n = 2
    assert t_interval([5.0]) is None and t_interval([4.0, 4.0, 4.0]) == (4.0, 4.0)


def test_quantiles_fall_towards_the_normal_one():
    assert len(T_975) == 30 and list(T_975) == sorted(T_975, reverse=True) and T_975[-1] > 1.96


def test_differences_are_paired_over_seeds():
    reference, better = {"k": [10.0, 50.0, 90.0]}, {"k": [12.0, 51.0, 93.0]}  # by 2, 1 and 3
    difference = row_json("x", better, reference)["difference"]["k"]
    assert difference["mean"] == 2 and difference["interval"] == t_interval([2.0, 1.0, 3.0])
    low, high = row_json("x", better, reference)["interval"]["k"]
    assert high - low > 100  # the rows themselves are spread far more


def test_differences_are_paired_over_seeds_and_items():
    def report(*right):
        items = [{"id": str(n), "scores": {"strict": {"ts": True, "pi": True, "cf": cf}}} for n, cf in enumerate(right)]
        return {"suites": {"s": {"items": items}}}

    column, before, after = Column("T", "CF", "s", "cf"), report(False, True), report(True, True)  # better, and equal
    one = over_items(column, [after], [before])
    assert one == bootstrap_interval([(1, 1), (0, 1)]) == (0, 100)  # each with 1 in 4
    four = over_items(column, [report(*[True] * 4)] * 2, [report(*[False] * 2, *[True] * 2)] * 2)
    assert four == (12.5, 87.5)  # 8 draws of 0 or 1: none is 1 in 0.4 %, at most one in 3.5 %
    # All items of one seed are better and none of the other's: what is drawn is 0, 1 or 2 of the better seed.
    assert over_items(column, [report(True), report(True)], [report(False), report(True)]) == (0, 100)
    assert over_items(column, [None, after], [before] * 2) is None  # a seed was left out
    for other in (replace(column, metric="de"), replace(column, group=SHARED)):
        assert over_items(other, [after], [before]) is None


def test_rewards_are_paired_item_by_item():
    def report(*rewards: float) -> dict:
        return {"suites": {"s": {"items": [{"id": str(n), "reward": r} for n, r in enumerate(rewards)]}}}

    column = Column("T", "100 R", "s", "reward", scoring="irm")
    assert column.pairs(report(1.0, -2.0), report(-0.25, -2.0)) == [[(-0.25, 1.0)], [(-2.0, -2.0)]]
    assert over_items(column, [report(1.0, -1.5)], [report(0.5, -2.0)]) == (50, 50)


def test_one_seed_shows_the_interval_over_items_and_several_both(stub, tmp_path):
    two = run(stub, tmp_path / "out", seeds=(0, 1))
    one = results_json(ABLATION, Plan(tmp_path / "out", SMALL, stub.base), [0], command="c")
    assert one["rows"][1]["difference"]["held-out.ts"] == {"mean": 10, "interval": None, "items": (0, 0)}  # the stub's
    printed = markdown(one, ABLATION)
    assert "60.0 (+10.0 [+0.0, +0.0])" in printed and "over the requests" in printed
    assert "over seeds and items" not in printed
    *_, table = markdown(two, ABLATION).partition("### Differences, with intervals over seeds and items")
    assert "| Seen toolkits: TS ↑ " in table and "| all       | +30.0 [+0.0, +0.0] " in table
    assert two["rows"][1]["difference"]["held-out.ts"]["interval"] == [10, 10]


def test_a_metric_without_items_has_no_mean():
    row = row_json("x", {"k": [1.0, None]}, {"k": [1.0, 2.0]})
    assert row["mean"]["k"] is None and row["difference"]["k"] == {"mean": None, "interval": None}
    assert cell(row, "k") == "–"


def test_a_table_shows_mean_and_difference_with_interval():
    column = Column("T", "DE", "s", "de", higher_is_better=False)
    rows = [row_json("none", {"s.de": [1.0, 3.0]}, None), row_json("MAE", {"s.de": [2.0, 4.0]}, {"s.de": [1.0, 3.0]})]
    found = tables([column], rows)
    assert found == {"T": [["", "DE ↓"], ["none", "2.0"], ["MAE", "3.0 (+1.0 [+1.0, +1.0])"]]}
    assert markdown_lines(found) == [
        "### T",
        "",
        "|      | DE ↓                    |",
        "| ---- | ----------------------- |",
        "| none | 2.0                     |",
        "| MAE  | 3.0 (+1.0 [+1.0, +1.0]) |",
        "",
    ]


def test_a_column_is_found_in_a_report():
    report = {
        "suites": {
            "s": {
                "strict": {"n": 4, "ts": 75.0},
                "irm": {"n": 4, "reward": -30.5},
                "groups": {"g": {"strict": {"n": 1, "ts": 0.0}}},
            },
            "episodes": {"n": 3, "de": 1.5},
        }
    }
    assert Column("", "", "s", "ts").value(report) == 75 and Column("", "", "s", "ts").items(report) == 4
    assert Column("", "", "s", "reward", scoring="irm").value(report) == -30.5
    assert Column("", "", "s", "ts", "g").value(report) == 0
    assert Column("", "", "s", "ts", "none of these").value(report) is None
    assert Column("", "", "episodes", "de").value(report) == 1.5


def test_results_say_how_they_were_made_and_are_printed_with_what_got_worse(stub, tmp_path):
    results = run(stub, tmp_path / "out", seeds=(0, 1, 2))
    assert (
        results["seeds"] == [0, 1, 2]
        and results["command"] == "c"
        and set(results["seconds"]) == {*("sft", "ppo", "evaluation")}
    )
    assert results["rows"][0]["values"]["held-out.ts"] == [50, 49, 48] and results["rows"][0]["difference"] is None
    printed = markdown(results, ABLATION)
    assert "paired over the seeds" in printed and "DE ↓" in printed and "79.0 (+30.0 [+30.0, +30.0])" in printed
    assert "21.0 (-30.0 [-30.0, -30.0])" in printed and "–" in printed  # nothing to count for answers
    assert printed == (tmp_path / "out" / "ablation.md").read_text()
    assert "| 4.84  | 77.75 |" in printed  # the paper's row
    assert "| all       | 79.0 (+30.0 [+30.0, +30.0]) |" in printed


# ---- families of names


def tool(name):
    return ToolSpec(name, "", {}, ())


@pytest.mark.parametrize(
    ("names", "called", "expected"),
    [
        (["get_a", "get_b"], "get_a", SHARED),
        (["get_a", "find"], "get_a", APART),
        (["get", "get_b"], "get", SHARED),
        (["get_a", "get_b", "finish"], "finish", APART),
    ],
)
def test_requests_are_grouped_by_whether_the_called_name_parts_from_another(names, called, expected):
    question = Question("q", tuple(map(tool, names)), (), ((Call(called, {}),),))
    assert group(question, lambda name: name.replace("_", " _").split()) == expected


def test_names_that_share_nothing_but_a_bare_word_mark_are_apart(small_tokenizer):
    names = ["get_a", "add_b"]
    assert [small_tokenizer.piece(small_tokenizer.encode(name)[0]) for name in names] == ["▁", "▁"]
    question = Question("q", tuple(map(tool, names)), (), ((Call("get_a", {}),),))
    assert group(question, partial(name_ids, tokenizer=small_tokenizer)) == APART


def test_columns_of_a_group_count_its_items_alone(stub, tmp_path):
    results = run(stub, tmp_path / "out")
    assert results["rows"][0]["values"][f"held-out.{SHARED}.ts"] == [100]  # of "a", which is right; "b" is not
    [column] = [c for c in results["columns"] if c["key"] == f"held-out.{SHARED}.ts"]
    assert column["n"] == [1]


def test_both_groups_are_in_the_default_sets():
    for suite in ("held-out", "unseen-tools"):
        groups = [*groups_of(suite, 0, TINY).values()]
        assert len(groups) == 400 and 10 < groups[:100].count(SHARED) < 90


# ---- ways on from a short fine-tuning


def craft(stub, folder, status=0):
    """The results of the quick form, which ends with this exit status."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(folder)
        monkeypatch.setattr(parts, "SCRIPTS", stub.scripts)
        monkeypatch.setattr(plan, "synthesize", partial(synthesize, 4))
        monkeypatch.setattr(plan, "prompts", partial(prompts, 2))
        assert verb.main(["craft", "--quick"]) == status
    return json.loads((folder / "runs/craft-quick/craft.json").read_text())


@pytest.fixture(scope="module")
def ways(tmp_path_factory):
    """(stub, working folder, results) of an experiment that is carried out once."""
    folder = tmp_path_factory.mktemp("craft")
    (folder / "stub").mkdir()
    stub = Stub(folder / "stub")
    return stub, folder, craft(stub, folder)


def test_all_ways_start_from_one_checkpoint_of_a_seed(ways):
    stub, _, _ = ways
    assert [stub.kinds().count(k) for k in ("sft", "rejection", "dpo", "ppo", "prm", "evaluation")] == [
        *(1 + 1, 2, 1, 6, 1, 12)
    ]
    starts = {
        (flags[flags.index("--seed") + 1], flags[flags.index("--model") + 1])
        for kind, flags in stub.asked
        if kind in ("rejection", "dpo", "ppo", "prm")
    }
    [(seed, start)] = starts
    assert seed == "0" and "/sft-" in start and stub.flags("sft", "--model") == [str(TINY), start]


def test_every_way_gets_the_same_number_of_calls(ways):
    """Of 256 calls, 3 an episode and 24 a task of prm."""
    stub, _, results = ways
    assert results["budget"]["calls"] == QUICK_CRAFT.calls == 256 and FULL_CRAFT.calls == 8 * 256
    assert stub.flags("rejection", "--size") == ["5", "10"]  # 256 / (3 · 8 samples · 2 rounds), and in one round
    assert stub.flags("prm", "--size") == ["10"]
    assert stub.flags("ppo", "--max_steps") == ["8"] * 4 + ["2"] * 2 and {*stub.flags("ppo", "--batch_size")} == {"32"}
    assert {*stub.flags("ppo", "--samples_per_prompt"), str(RejectionConfig().samples)} == {"8"}
    assert stub.flags("sft", "--max_steps") == ["64"]


def test_the_flags_of_rejection_are_valid(ways):
    stub, _, _ = ways
    rounds, pairs = [parse_config(RejectionConfig, flags) for kind, flags in stub.asked if kind == "rejection"]
    assert rounds.rounds == 2 and "--learning_rate 1e-4" in rounds.train and not rounds.pairs
    assert pairs.pairs == stub.flags("dpo", "--data")[0] and not pairs.rounds


def test_best_of_8_asks_the_start_itself(ways):
    stub, _, results = ways
    start, *others = stub.flags("evaluation", "--model")
    assert [number for number, model in enumerate(others, 1) if model == start] == [10, 11]
    assert stub.flags("evaluation", "--select") == ["vote", "prm"]
    assert "/prm-" in stub.flags("evaluation", "--prm")[0]
    values = {row["name"]: row["values"]["held-out.ts"] for row in results["rows"]}
    assert values["start"] == [70] and values["best of 8, vote"] == values["best of 8, prm"] == [
        75
    ]  # the stub's scores
    [rloo] = [row["difference"]["held-out.ts"] for row in results["rows"] if row["name"] == "PPO, rloo"]
    assert values["PPO, rloo"] == [80] and rloo["mean"] == 10


def test_a_part_is_the_same_wherever_the_experiment_lies(tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "synthesize", partial(synthesize, 4))
    monkeypatch.setattr(plan, "prompts", partial(prompts, 2))
    here, there = ([part.digest for part in CraftPlan(tmp_path / at, QUICK_CRAFT).parts(CRAFT, 0)] for at in "ab")
    assert here == there and len(here) == 24


def test_other_official_files_are_another_evaluation(tmp_path):
    def folders() -> set[str]:
        planned = Plan(tmp_path / "out", QUICK, official=tmp_path / "official")
        return {planned.evaluation(ABLATION, VARIANTS[0], 0).folder.name, planned.sft(VARIANTS[0], 0).folder.name}

    file = tmp_path / "official" / "Data" / "clean.json"
    file.parent.mkdir(parents=True)
    file.write_text("[1]")
    before = folders()
    assert folders() == before
    file.write_text("[2]")
    assert len(folders() - before) == 1  # the training does not depend on them


def test_costs_are_what_a_way_adds(ways):
    _, _, results = ways
    sampled = {row["name"]: row["costs"]["sampled tokens"] for row in results["rows"]}
    assert sampled["start"] == sampled["more SFT"] == sampled["best of 8, vote"] == [0]
    assert sampled["rejection, 2 rounds"] == [1500] and sampled["DPO"] == sampled["best of 8, prm"] == [1200]
    assert sampled["PPO, gae"] == [32 * 10 + 32 * 12.5]
    cpu = [row["costs"]["CPU seconds of training"][0] for row in results["rows"]]
    assert cpu[10] == 0 and all(0 < seconds < 5 for number, seconds in enumerate(cpu) if number != 10)  # 10: by vote
    lines = markdown(results, CRAFT).splitlines()
    assert "### Costs" in lines and any(line.startswith("| DPO") and " 1,200 " in line for line in lines)
    assert "256 calls sampled by each way" in "".join(lines)


def test_a_way_that_fails_is_a_row_that_says_why_and_is_tried_again(stub, tmp_path):
    stub.trouble(5, 2)  # after start and more SFT, with their evaluations: rejection
    results = craft(stub, tmp_path, status=1)
    assert len(results["rows"]) == 12
    row = results["rows"][2]
    assert row["errors"] == ["drew 300 tokens in 10 calls"]  # the last line that the stub printed
    assert {*row["mean"].values()} == {None} and row["costs"]["sampled tokens"] == [None]
    assert [other["errors"] for other in results["rows"] if other is not row] == [[None]] * 11
    printed = (tmp_path / "runs/craft-quick/craft.md").read_text()
    assert "- rejection, 2 rounds, seed 0, is left out: drew 300 tokens" in printed
    assert re.search(r"\| rejection, 2 rounds +\| – +\| – ", printed)
    stub.trouble(0, 0)
    stub.forget()
    assert craft(stub, tmp_path)["rows"][2]["errors"] == [None] and stub.kinds() == ["rejection", "evaluation"]


def test_without_the_start_there_is_nothing_to_compare_with(stub, tmp_path):
    stub.trouble(1, 2)
    with pytest.raises(FileNotFoundError, match="craft.json"):
        craft(stub, tmp_path, status=1)


def test_craft_does_nothing_twice_and_rejection_goes_on_by_itself(ways):
    stub, folder, results = ways
    stub.forget()
    for record in folder.glob("runs/craft-quick/parts/rejection-pairs-*/part.json"):
        record.unlink()
    assert craft(stub, folder)["rows"][0] == results["rows"][0]
    [(kind, flags)] = stub.asked
    assert kind == "rejection" and "--pairs" in flags and "--resume" not in flags


# ---- the command line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "name at least one experiment: ablation, robustness"),
        (["ablations"], "name at least one experiment: ablation, robustness"),
        (["robustness", "--sweeps"], "--sweeps only applies to ablation"),
        (["robustness", "--suite", "bfcl"], "--suite only applies to ablation"),
        (["ablation", "--suite", "nonsense"], "unknown suite nonsense; choose from"),
        (["ablation", "--sweeps", "--data", "mine.jsonl"], "--sweeps generates its data"),
        (["craft", "--model", "mine"], "leave --model and --data out"),
        (["ablation", "--model", "mine"], "mine: no such folder"),
        (["ablation", "--suite", "held-out", "rotbench:heavy"], "ablation: --suite rotbench:heavy needs the folder"),
        (["ablation", "--data", "/"], "ablation evaluates on generated requests: leave the folder / out"),
        (["ablation", "robustness", "--suite", "bfcl", "--data", "/"], "robustness evaluates on generated requests"),
        (["ablation", "--data", "mine.jsonl"], "mine.jsonl: cannot be read: No such file or directory\n"),
        (["ablation", "--suite", "held-out", "rotbench", "--data", "/"], "/: no rotbench/First_Turn/clean.json"),
    ],
)
def test_flags_that_cannot_be_meant_are_refused(flags, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert tl_main(["experiments", *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and "resume" not in error and not [*tmp_path.iterdir()]


@pytest.mark.long
def test_a_step_of_everything_for_real(little_data, tmp_path):
    """From a random model of one small block with the embedded vocabulary."""
    torch.manual_seed(0)
    tokenizer, base = Tokenizer(TINY), tmp_path / "base"
    save_model(Llama(ModelConfig(tokenizer.vocab_size, 16, 24, 1, 2, 2, 8, 9216)), base, tokenizer.path)
    both = replace(ABLATION, variants=(VARIANTS[0], VARIANTS[-1]))
    planned = Plan(tmp_path / "out", Budget(0.01, requests=1, episodes=1, max_steps=1), base)
    for experiment in (both, ROBUSTNESS):
        [seeds] = carry_out(experiment, planned, [0])
        write(results_json(experiment, planned, seeds, command="c"), experiment, tmp_path / "out")
    results = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert [len(row["values"]) for row in results["rows"]] == [len(COLUMNS)] * 2
    assert all(0 <= row["mean"]["held-out.ts"] <= 100 for row in results["rows"])
    assert "Environment: union" in (tmp_path / "out" / "robustness.md").read_text()
    trained = [load_model(folder).state_dict() for folder in sorted(tmp_path.glob("out/parts/*/model"))]
    norm = load_model(base).state_dict()["norm.weight"]
    assert len(trained) == 3 and all(not torch.equal(norm, one["norm.weight"]) for one in trained)
