"""The ablation: its rows and parts, what is done once, its intervals and tables; with stubs for the trainings."""

import json
from functools import cache, partial
from pathlib import Path

import pytest
import torch

import evaluate
import train_ppo
import train_sft
from tl.assets import TINY
from tl.calls import Call
from tl.experiments import FULL, QUICK, Budget, Lab, Trainer, Workshop, carry_out
from tl.experiments.ablation import APART, COLUMNS, SHARED, SWEEPS, VARIANTS, ablation, group, robustness
from tl.experiments.comparison import T_975, Column, cell, markdown_lines, row_json, t_interval, tables, text_lines
from tl.experiments.parts import Part, Stopped, Store, duration
from tl.experiments.results import results_json, text, write
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model, save_model
from tl.metrics import Question
from tl.prompt import name_ids
from tl.schema import ToolSpec
from tl.synthesis import held_out, prompts, synthesize
from tl.synthesis.environments import ENVIRONMENTS

SMALL = Budget(share=0.5, requests=2, episodes=1)


class Stub:
    """Trainings that write what they were asked for, and evaluations that score it: 10 for each part of a variant, less
    a point for each further seed; episodes say nothing of answers."""

    def __init__(self, base: Path, epochs: float = 2.0) -> None:
        base.mkdir(exist_ok=True)
        (base / "config.json").write_text("{}")
        self.epochs, self.asked, self.stop_at = epochs, [], None
        trainers = [Trainer(f"{kind}.py", self.main(kind), self.settings) for kind in ("sft", "ppo")]
        self.lab = Lab(base, *trainers, self.evaluate)

    def settings(self, flags):
        found = {"epochs": self.epochs, "data": [], "mae": "--mae" in flags, "pkt": "--pkt" in flags, "keep": 2}
        for flag in ("epochs", "seed", "w_max", "model", "max_steps"):
            if f"--{flag}" in flags:
                found[flag] = flags[flags.index(f"--{flag}") + 1]
        return found | ({"data": [flags[flags.index("--data") + 1]]} if "--data" in flags else {})

    def main(self, kind):
        def train(flags):
            self.asked.append((kind, flags))
            out = Path(flags[flags.index("--out") + 1])
            out.mkdir(exist_ok=True)
            if len(self.asked) == self.stop_at:
                return 143
            score = 10 * (("--mae" in flags) + ("--pkt" in flags)) - int(flags[flags.index("--seed") + 1])
            if kind == "ppo":
                score = json.loads((Path(flags[flags.index("--model") + 1]) / "config.json").read_text()) + 10
            (out / "config.json").write_text(json.dumps(score))
            return 0

        return train

    def evaluate(self, model, suites, report):
        self.asked.append(("evaluation", [suite.name for suite in suites]))
        score = json.loads((model / "config.json").read_text())
        single = {"strict": {"n": 2, "ts": 50 + score, "pi": 40 + score, "cf": 30 + score}}
        episodes = {"n": 1, "de": 50 - score, "ce": 9.0, "va": 60 + score, "answer_accuracy": None}
        found = {suite.name: single | {"groups": {SHARED: single}} for suite in suites}
        found["episodes"] = episodes | {"refusal_accuracy": 0.0}
        report.write_text(json.dumps({"suites": found}))

    def kinds(self):
        return [kind for kind, _ in self.asked]


@pytest.fixture
def stub(tmp_path, little_data):
    return Stub(tmp_path / "base")


@pytest.fixture
def little_data(monkeypatch):
    """Data and suites of a few records, made once."""
    monkeypatch.setattr("tl.experiments.synthesize", cache(partial(synthesize, 60)))
    monkeypatch.setattr("tl.experiments.prompts", cache(partial(prompts, 8)))
    monkeypatch.setattr("tl.evaluation.suites.own.held_out", cache(partial(held_out, 4)))
    monkeypatch.setattr("tl.training.held_out.held_out", cache(partial(held_out, 4)))


def run(stub, out, seeds=(0,), sweeps=False, budget=SMALL):
    """The results, as they stand in ablation.json."""
    experiment = ablation(budget, list, sweeps)
    workshop = Workshop(stub.lab, budget, out)
    for complete in carry_out(experiment, workshop, seeds):
        write(results_json(experiment, workshop, complete, command="c"), experiment, out)
    return json.loads((out / "ablation.json").read_text())


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
    flags = [flags for kind, flags in stub.asked if kind == "ppo"][-1]  # of "all"
    assert "sft-mae-pkt-seed0" in flags[flags.index("--model") + 1]
    last = json.loads(Path(flags[flags.index("--data") + 1]).read_text().splitlines()[0])["messages"][-1]
    assert last["role"] == "assistant"


def test_rows_of_a_seed_share_data_and_other_seeds_have_other(stub, tmp_path):
    run(stub, tmp_path / "out", seeds=(0, 1))
    data = [flags[flags.index("--data") + 1] for kind, flags in stub.asked if kind == "sft"]
    assert len(set(data)) == 2 and data[:4] == data[:1] * 4


def test_sweeps_add_only_what_the_rows_do_not_have(stub, tmp_path):
    results = run(stub, tmp_path / "out", sweeps=True)
    assert stub.kinds().count("sft") == 4 + 2 + 3  # w_max 3 and 27; no errors, and 40 % without and with MAE
    sweep = results["sweeps"]["errors"]
    assert sweep["x"] == [0, 17, 40] and [curve["name"] for curve in sweep["curves"]] == ["none", "MAE"]
    assert [p["values"]["held-out.cf"] for p in sweep["curves"][1]["points"]] == [[30], [40], [40]]
    flags = [flags for kind, flags in stub.asked if kind == "sft"]
    assert sorted({flags[flags.index("--w_max") + 1] for flags in flags}) == ["27", "3", "9"]


def test_requests_of_the_sweep_have_the_share_of_errors_that_they_say(stub, tmp_path):
    """A trajectory's id names the kind of each of its requests."""
    workshop = Workshop(stub.lab, SMALL, tmp_path / "out")
    for errors in (0, 17, 40):
        lines = workshop.trajectories(0, errors).read_text().splitlines()
        requests = [request for line in lines for request in json.loads(line)["id"].split("+")]
        wrong = sum("error" in request.split("/") for request in requests)
        assert wrong == pytest.approx(errors / 100 * len(requests), abs=1)


def test_the_sweeps_pass_through_rows_of_the_table():
    points = {point for sweep in SWEEPS for curve in sweep.curves.values() for point in curve}
    assert len(points & set(VARIANTS)) == 3 and all(len(c) == len(s.x) for s in SWEEPS for c in s.curves.values())


# ---- the budget


def test_quick_is_one_seed_a_fifth_of_the_training_and_fifty_episodes():
    config = evaluate.EvaluationConfig(ablation=True, quick=True)
    assert config.n_seeds == 1 and config.budget is QUICK and QUICK.episodes == 50 and QUICK.share == 0.2
    assert QUICK.flags(epochs=2.0) == ["--epochs", "0.4"] and FULL.flags(epochs=3.0) == ["--epochs", "3"]
    full = evaluate.EvaluationConfig(ablation=True)
    assert full.n_seeds == 3 and full.folder != config.folder  # a quick table never replaces a whole one


def test_trainings_get_the_share_of_their_own_epochs(stub, tmp_path):
    run(stub, tmp_path / "out")
    assert {flags[flags.index("--epochs") + 1] for kind, flags in stub.asked if kind != "evaluation"} == {"1"}


def test_suites_are_cut_to_the_budget(stub):
    held_out, unseen, episodes = ablation(SMALL, list).suites(0)
    assert [len(held_out.questions), len(unseen.questions), len(episodes.requests)] == [2, 2, 1]


@pytest.mark.parametrize("settings", [train_sft.resolve_config, train_ppo.resolve_config])
def test_the_scripts_know_the_flags_that_they_get(settings, tmp_path):
    flags = [*VARIANTS[-1].flags()] if settings is train_sft.resolve_config else ["--model", str(evaluate.TINY)]
    config = settings([*flags, *FULL.flags(2.0), "--data", "d", "--seed", "1", "--out", "o", "--resume"])
    assert config.seed == 1 and config.epochs == 2.0


# ---- doing things once


def test_a_second_run_does_nothing_and_gives_the_same(stub, tmp_path):
    first = run(stub, tmp_path / "out", seeds=(0, 1))
    stub.asked.clear()
    assert run(stub, tmp_path / "out", seeds=(0, 1)) == first and stub.asked == []


def test_another_seed_reuses_the_finished_ones(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.asked.clear()
    assert run(stub, tmp_path / "out", seeds=(0, 1))["seeds"] == [0, 1]
    assert len(stub.asked) == 16


def test_a_stopped_training_is_gone_on_with(stub, tmp_path):
    stub.stop_at = 5  # two rows are trained and evaluated; the fifth is PKT's training
    with pytest.raises(Stopped, match="sft-pkt-seed0"):
        run(stub, tmp_path / "out")
    stub.asked.clear()
    stub.stop_at = None
    run(stub, tmp_path / "out")
    kind, flags = stub.asked[0]
    assert kind == "sft" and "--pkt" in flags and flags[-1] == "--resume"
    assert len(stub.asked) == 16 - 4 and all("--resume" not in flags for _, flags in stub.asked[1:])


def test_a_training_that_was_killed_after_its_last_step_is_not_asked_again(stub, tmp_path):
    run(stub, tmp_path / "out")
    for record in (tmp_path / "out").glob("parts/sft-*/part.json"):
        record.unlink()
    stub.asked.clear()
    run(stub, tmp_path / "out")
    assert stub.asked == []


@pytest.mark.parametrize("change", ["epochs", "base", "budget"])
def test_nothing_is_reused_with_another_setting_base_or_budget(stub, tmp_path, change):
    run(stub, tmp_path / "out")
    stub.asked.clear()
    if change == "epochs":
        stub.epochs = 4.0  # such as a changed preset
    elif change == "base":
        (stub.lab.base / "config.json").write_text("{ }")
    budget = Budget(share=0.25, requests=2, episodes=1) if change == "budget" else SMALL
    run(stub, tmp_path / "out", budget=budget)
    assert len(stub.asked) == 16


def test_other_items_are_evaluated_again_without_training_again(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.asked.clear()
    run(stub, tmp_path / "out", budget=Budget(share=0.5, requests=3, episodes=1))
    assert stub.kinds() == ["evaluation"] * 8


def test_robustness_takes_the_models_of_the_ablation(stub, tmp_path):
    run(stub, tmp_path / "out")
    stub.asked.clear()
    workshop, experiment = Workshop(stub.lab, SMALL, tmp_path / "out"), robustness(SMALL)
    [complete] = carry_out(experiment, workshop, [0])
    results = results_json(experiment, workshop, complete, command="c")
    assert stub.kinds() == ["evaluation"] * 2 and [row["name"] for row in results["rows"]] == ["none", "all"]
    assert [c["table"] for c in results["columns"][::3]] == [f"Environment: {e}" for e in ENVIRONMENTS]
    assert results["rows"][1]["difference"]["held-out-union.cf"]["mean"] == 30


def test_time_left_is_the_mean_of_a_kind_for_each_that_is_not_done(tmp_path):
    parts = [Part(kind, "p", {"n": n}, lambda _: None) for n, kind in enumerate(["sft", "sft", "sft", "ppo"])]
    store = Store(tmp_path)
    assert store.seconds_left(parts) is None
    for part, seconds in zip(parts, (10.0, 20.0), strict=False):
        folder = store.folder(part)
        folder.mkdir()
        (folder / "part.json").write_text(json.dumps({"finished": True, "seconds": seconds}))
    assert store.seconds_left(parts) == 15 + 15  # PPO is not known yet: the mean of all
    assert [duration(s) for s in (45, 700, 7500)] == ["45 s", "12 min", "2 h 05 min"]


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


def test_a_metric_without_items_has_no_mean():
    row = row_json("x", {"k": [1.0, None]}, {"k": [1.0, 2.0]})
    assert row["mean"]["k"] is None and row["difference"]["k"] == {"mean": None, "interval": None}
    assert cell(row, "k") == "–"


def test_a_table_shows_mean_and_difference_with_interval():
    column = Column("T", "DE", "s", "de", higher_is_better=False)
    rows = [row_json("none", {"s.de": [1.0, 3.0]}, None), row_json("MAE", {"s.de": [2.0, 4.0]}, {"s.de": [1.0, 3.0]})]
    found = tables([column], rows)
    assert found == {"T": [["", "DE ↓"], ["none", "2.0"], ["MAE", "3.0 (+1.0 [+1.0, +1.0])"]]}
    assert text_lines(found)[2:4] == ["  none  2.0", "  MAE   3.0 (+1.0 [+1.0, +1.0])"]
    assert markdown_lines(found)[2:5] == ["|  | DE ↓ |", "| --- | --- |", "| none | 2.0 |"]


def test_a_column_is_found_in_a_report():
    report = {
        "suites": {
            "s": {"strict": {"n": 4, "ts": 75.0}, "groups": {"g": {"strict": {"n": 1, "ts": 0.0}}}},
            "episodes": {"n": 3, "de": 1.5},
        }
    }
    assert Column("", "", "s", "ts").value(report) == 75 and Column("", "", "s", "ts").items(report) == 4
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
    printed = "\n".join(text(results, ablation(SMALL, list)))
    assert "paired over the seeds" in printed and "DE ↓" in printed and "79.0 (+30.0 [+30.0, +30.0])" in printed
    assert "21.0 (-30.0 [-30.0, -30.0])" in printed and "–" in printed  # nothing to count for answers
    markdown = (tmp_path / "out" / "ablation.md").read_text()
    assert "| 4.84 | 77.75 |" in markdown  # the paper's row
    assert "| all | 79.0 (+30.0 [+30.0, +30.0]) |" in markdown


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


def test_names_that_share_nothing_but_a_bare_word_mark_are_apart():
    tokenizer = Tokenizer(TINY)
    names = ["get_a", "add_b"]
    assert [tokenizer.piece(tokenizer.encode(name)[0]) for name in names] == ["▁", "▁"]
    question = Question("q", tuple(map(tool, names)), (), ((Call("get_a", {}),),))
    assert group(question, partial(name_ids, tokenizer=tokenizer)) == APART


def test_both_groups_are_in_the_default_sets():
    held_out, unseen, _ = ablation(
        Budget(requests=100, episodes=1), partial(name_ids, tokenizer=Tokenizer(TINY))
    ).suites(0)
    for suite in (held_out, unseen):
        shared = sum(question.group == SHARED for question in suite.questions)
        assert 10 < shared < 90


# ---- the command line


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--quick"], "go with --ablation"),
        (["--sweeps", "--robustness"], "--sweeps goes with --ablation"),
        (["--ablation", "--seeds", "0"], "at least 1"),
        (["--ablation", "--model", "m"], "--model"),
        (["--robustness", "--suite", "bfcl", "--limit", "3"], "--suite, --limit: "),
    ],
)
def test_flags_that_do_not_go_with_experiments_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        evaluate.main(flags)


def test_experiments_are_refused_under_torchrun(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="without torchrun"):
        evaluate.main(["--ablation"])


@pytest.fixture
def toy_base(tmp_path, monkeypatch):
    """A random model of one small block in the place of the embedded one, with its vocabulary."""
    torch.manual_seed(0)
    tokenizer = evaluate.Tokenizer(evaluate.TINY)
    model = Llama(ModelConfig(tokenizer.vocab_size, 16, 24, 1, 2, 2, 8, 2048, tie_word_embeddings=True))
    save_model(model, tmp_path / "base", tokenizer.path)
    for script in (evaluate, train_sft, train_ppo):
        monkeypatch.setattr(script, "TINY", tmp_path / "base")


@pytest.mark.long
def test_a_step_of_everything_for_real(toy_base, little_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tl.experiments.QUICK", Budget(0.01, requests=1, episodes=1, max_steps=1))
    monkeypatch.setattr("tl.experiments.ablation.VARIANTS", (VARIANTS[0], VARIANTS[-1]))
    assert evaluate.main(["--ablation", "--robustness", "--quick", "--out", str(tmp_path / "out")]) == 0
    results = json.loads((tmp_path / "out" / "ablation.json").read_text())
    assert [len(row["values"]) for row in results["rows"]] == [len(COLUMNS)] * 2
    assert all(0 <= row["mean"]["held-out.ts"] <= 100 for row in results["rows"])
    assert results["command"] == "python evaluate.py --ablation --robustness --quick"
    assert (tmp_path / "out" / "robustness.md").exists() and "Seen toolkits" in capsys.readouterr().out
    base, *trained = [
        load_model(folder).state_dict() for folder in [tmp_path / "base", *sorted(tmp_path.glob("out/parts/*/model"))]
    ]
    assert len(trained) == 3 and all(not torch.equal(base["norm.weight"], one["norm.weight"]) for one in trained)
