"""`python -m tl report`: what is in a run directory is in the page, what is not is said; data stays data."""

import html.parser
import json
import re
import shutil

import pytest
from test_cli_stats import record

from tl.__main__ import main as tl_main
from tl.cli import report as verb
from tl.experiments.comparison import Column
from tl.irm import RewardCase
from tl.metrics import score_episodes
from tl.report import page as report_page
from tl.report.datasets import DataColumn, data_columns
from tl.report.page import report
from tl.report.runs import NoRunError, names, read_run, read_runs
from tl.rl.log import case_key
from tl.training.run import VALUES_SCRIPT

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\x1b[2J\u202e{{sections}}\"' onclick='x"
VOID = {"meta", "br", "img"}
OPTIONAL = {"tr", "td", "th", "thead", "tbody", "li", "p"}  # elements that HTML lets end by themselves


class Page(html.parser.HTMLParser):
    """Tags, text and attributes of a page; fails where an element is closed that is not open."""

    def __init__(self, source: str):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(source)
        assert [tag for tag in self.open if tag not in OPTIONAL] == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        while self.open[-1] != tag:
            assert self.open.pop() in OPTIONAL, f"</{tag}> closes nothing"
        self.open.pop()

    def handle_data(self, data):
        self.text += data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(autouse=True)
def without_charts(monkeypatch):
    """Charts take most of the time that a report takes; one test draws them."""
    monkeypatch.setattr(report_page, "has_charts", lambda: False)


def write_lines(path, lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture
def sft(tmp_path):
    folder = tmp_path / "sft"
    folder.mkdir()
    write_lines(tmp_path / "data.jsonl", [record(f"id {EVIL}", ("search_news", "{}", "search_news() missing"))])
    settings = {"data": [str(tmp_path / "data.jsonl")], "pkt": True, "w_max": 9.0, "learning_rate": 0.002}
    (folder / "run_config.json").write_text(json.dumps(settings))
    steps = [{"step": n, "loss": 1 / n, "tokens_per_second": 100.0} for n in range(1, 80)]
    write_lines(folder / "metrics.jsonl", [*steps, {"step": 80, "loss": None, "ts": 71.25}])
    return folder


@pytest.fixture
def ppo(tmp_path):
    folder = tmp_path / "ppo"
    folder.mkdir()
    (folder / "run_config.json").write_text(json.dumps({"kl_coef": 0.4, "learning_rate": 0.001}))
    shares = {case_key(case): 0.0 for case in RewardCase}
    shares[case_key(RewardCase.ALL_RIGHT)] = 1.0
    write_lines(folder / "metrics.jsonl", [{"step": n, "reward": 0.5 * n, "kl": 0.1} | shares for n in (1, 2)])
    right = {"text": 'f(a="1")', "reward": 1.0, "case": "all right", "golden": 'f(a="1")', "feedback": None}
    wrong = {"text": f"g({EVIL})", "reward": -2.0, "case": "tool hallucination", "golden": EVIL, "feedback": EVIL}
    calls = [{"step": 2, "id": "a", "prompt": EVIL, "calls": [wrong, right]}]
    calls += [{"step": 2, "id": EVIL, "prompt": "p", "calls": [right]}]
    write_lines(folder / "rollouts.jsonl", calls)
    return folder


@pytest.fixture
def evaluation(tmp_path):
    folder = tmp_path / "evaluation"
    folder.mkdir()
    item = {"id": EVIL, "prediction": EVIL, "answers": [[EVIL]], "reason": EVIL}
    single = {"title": "ToolAlpaca", "strict": {"n": 4, "ts": 75.0, "pi": 50.0, "cf": 25.0}, "notes": [EVIL]}
    single |= {"scorings": ["strict"], "intervals": {"strict": {"ts": [30, 95], "pi": [15, 85], "cf": [5, 70]}}}
    single["items"] = [item | {"scores": {"strict": {"ts": True, "pi": False, "cf": False}}}]
    messages = [{"role": "user", "content": EVIL}, {"role": "assistant", "content": EVIL}]
    trajectory = {"id": "e", "tools": [], "messages": messages}
    episodes = {"title": EVIL, "n": 1, **score_episodes([])._asdict(), "de": 0.0, "n_calls": 3}
    episodes["items"] = [{"id": "e", "valid": True, "right": False, "truth": EVIL, "trajectory": trajectory}]
    suites = {"toolalpaca": single, "own": episodes}
    (folder / "report.json").write_text(json.dumps({"suites": suites}))
    return folder


@pytest.fixture
def experiments(tmp_path):
    folder = tmp_path / "experiments"
    folder.mkdir()
    for kind, tables in (("ablation", ["Seen toolkits"]), ("robustness", ["Environment: clean", "Environment: heavy"])):
        columns = [Column(name, "CF", name, "cf").to_json() for name in tables]

        def row(name, mean, difference, columns=columns):
            keys = [column["key"] for column in columns]
            of = {"mean": mean, "interval": [mean - 2, mean + 2]}
            row = {"name": name} | {what: dict.fromkeys(keys, value) for what, value in of.items()}
            return row | {"difference": difference and dict.fromkeys(keys, difference)}

        rows = [row("none", 40.0, None), row("MAE", 43.5, {"mean": 3.5, "interval": [-1.0, 8.0]})]
        sweep = {"title": "w_max", "x": [1, 9], "curves": [{"name": "PKT", "points": rows}]}
        found = {"kind": kind, "title": f"The {kind}", "seeds": [0, 1, 2], "columns": columns, "rows": rows}
        found |= {"command": "c", "machine": "m"}
        found["sweeps"] = {"w_max": sweep} if kind == "ablation" else {}
        (folder / f"{kind}.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
def every(sft, ppo, evaluation, experiments):
    return [str(folder) for folder in (sft, ppo, evaluation, experiments)]


def write(folders, out, *flags) -> str:
    assert verb.main([*folders, "--out", str(out), *flags]) == 0
    return out.read_text(encoding="utf-8")


def section(source: str, name: str) -> str:
    return source[source.index(f'<section id="{name}">') :].partition("</section>")[0] + "</section>"


def test_data_never_becomes_markup(every, tmp_path):
    source = write(every, tmp_path / "out.html")
    page = Page(source)
    assert len(page.of("script")) == 1 and not page.of("img")
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert EVIL[:40] in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", source)


def test_the_page_needs_nothing_from_elsewhere(every, tmp_path):
    page = Page(write(every, tmp_path / "out.html"))
    assert not any("src" in attributes for _, attributes in page.tags)
    assert all(attributes.get("href", "#").startswith("#") for _, attributes in page.tags)
    assert not any("://" in str(value) for _, attributes in page.tags for value in attributes.values())
    policy = next(a["content"] for a in page.of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def test_articles_carry_what_they_are_filtered_by_and_each_choice_has_some(every, tmp_path):
    page = Page(write(every, tmp_path / "out.html"))
    articles = page.of("article")
    assert len(articles) == 1 + 2 + 2  # a sample, two rollouts, two answers
    assert {a["data-runs"] for a in articles} == {"sft", "ppo", "evaluation"}
    assert [a["data-categories"] for a in articles if a["data-runs"] == "ppo"] == [
        "all right",
        "all right\ntool hallucination",
    ]
    entries = {entry for a in articles for name in a if name.startswith("data-") for entry in a[name].split("\n")}
    assert {option["value"] for option in page.of("option")} - {"", "weight", "none"} == entries - {""}


def test_the_evaluation_stands_beside_the_papers_rows_of_that_benchmark(evaluation, tmp_path):
    text = Page(section(write([str(evaluation)], tmp_path / "out.html"), "Evaluation")).text
    assert "75.0 [30, 95]" in text
    assert "paper: TL-CodeLLaMA-2 7B87.7278.0757.89" in text


def test_rows_of_other_items_are_said_not_to_be_comparable(evaluation, tmp_path):
    report = json.loads((evaluation / "report.json").read_text())
    other = json.loads(json.dumps(report))
    other["suites"]["toolalpaca"]["items"][0]["id"] = "another"
    for name, of_run in (("same", report), ("other", other)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(of_run))
    told = "the rows are not of the same items, of which they share 0"
    for name, times in (("same", 0), ("other", 1)):
        page = write([str(evaluation), str(tmp_path / name)], tmp_path / f"{name}.html")
        assert page.count(told) == times


def test_an_experiment_is_a_table_of_means_with_differences(experiments, tmp_path):
    text = Page(section(write([str(experiments)], tmp_path / "out.html"), "Experiments")).text
    assert "none40.0MAE43.5 (+3.5 [-1.0, +8.0])" in text


def test_settings_that_differ_come_first(sft, ppo, tmp_path):
    text = Page(section(write([str(sft), str(ppo)], tmp_path / "out.html"), "Runs")).text
    assert "learning_rate0.0020.001" in text


def test_a_repeated_step_counts_once_with_its_later_rollouts(ppo):
    again = {"step": 2, "id": "a", "prompt": "p", "calls": []}
    with (ppo / "rollouts.jsonl").open("a") as file:
        file.write(json.dumps(again) + "\n")
    assert [rollout["calls"] for rollout in read_run(ppo, "ppo").rollouts if rollout["id"] == "a"] == [[]]


def test_what_is_missing_or_damaged_is_said_and_the_rest_is_shown(ppo, tmp_path):
    with (ppo / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "rew')
    (ppo / "report.json").write_text("[1")
    (ppo / "rollouts.jsonl").unlink()
    text = Page(write([str(ppo)], tmp_path / "out.html")).text
    assert "metrics.jsonl: 1 damaged line left out" in text
    assert "report.json cannot be read and was left out" in text
    assert "no rollouts.jsonl" in text and "no config.json: no model yet" in text
    assert "+1.00" in text  # the last reward


def test_a_missing_evaluation_comes_with_its_command_where_there_can_be_one(tmp_path):
    for name, settings in (("a run", {"label_smoothing": 0.0}), ("prm", {"script": VALUES_SCRIPT})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run_config.json").write_text(json.dumps(settings))
    command = f"python evaluate.py --model '{tmp_path}/a run' --report '{tmp_path}/a run/report.json' makes one"
    assert f"no report.json: {command}" in read_run(tmp_path / "a run", "run").notes
    assert not any("report.json" in note for note in read_run(tmp_path / "prm", "prm").notes)


def test_reports_of_other_commands_are_named_and_not_called_damaged(tmp_path):
    of_intercode = {"suites": {"intercode": {"title": "InterCode-bash", "items": [{"id": "2/0", "reward": 1.0}]}}}
    (tmp_path / "report.json").write_text(json.dumps(of_intercode))
    assert read_run(tmp_path, "run").notes == [
        "report.json: intercode: not from evaluate.py, or from an older version of it: evaluate again"
    ]
    assert "damaged" not in Page(write([str(tmp_path)], tmp_path / "out.html")).text


def test_runs_that_encode_the_same_data_in_another_way_have_columns_of_their_own(sft, tmp_path):
    write_lines(tmp_path / "data.jsonl", [record("a", *[("search_news", '{"q": "x"}', "cats " * 50)] * 2)])
    settings = json.loads((sft / "run_config.json").read_text())
    runs = [settings, settings | {"learning_rate": 1.0}, settings | {"max_feedback_tokens": 2}]
    for number, of_run in enumerate(runs):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "run_config.json").write_text(json.dumps(of_run))
    columns = data_columns(read_runs([str(tmp_path / str(number)) for number in range(3)]), 0)
    assert [column.name for column in columns] == ["0", "2"]
    assert columns[0].figures["tokens"] > columns[1].figures["tokens"]


def test_data_that_has_gone_is_said(sft, tmp_path):
    (tmp_path / "data.jsonl").unlink()
    assert "its data cannot be looked at" in Page(write([str(sft)], tmp_path / "out.html")).text


@pytest.mark.parametrize("damaged", [{"max_length": None}, {"max_feedback_tokens": "9"}, {"model": 7}, {"data": 7}])
def test_settings_of_another_type_are_said_to_be_damaged(sft, tmp_path, damaged):
    settings = json.loads((sft / "run_config.json").read_text())
    (sft / "run_config.json").write_text(json.dumps(settings | damaged))
    assert "run_config.json is damaged: its data" in Page(write([str(sft)], tmp_path / "out.html")).text


def test_rubbish_in_the_right_files_breaks_nothing(tmp_path):
    rubbish = [
        None,
        3,
        [],
        {"columns": [3], "rows": [3, {"name": 1}]},
        {"suites": {"a": {"de": "x", "items": [3, {}]}}},
    ]
    for i, value in enumerate(rubbish):
        folder = tmp_path / str(i)
        folder.mkdir()
        for file in ("report.json", "ablation.json", "robustness.json", "metrics.jsonl", "rollouts.jsonl"):
            (folder / file).write_text(json.dumps(value))
        text = Page(write([str(folder)], tmp_path / f"{i}.html")).text
        assert "left out" in text or value is None


def test_a_directory_that_is_no_run_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert tl_main(["report", str(tmp_path / "empty")]) == 2
    assert "empty contains no run: it has none of metrics.jsonl" in capsys.readouterr().err
    with pytest.raises(NoRunError, match="is not a folder"):
        read_runs([str(tmp_path / "none")])


def test_an_existing_page_is_kept_unless_it_may_be_replaced(ppo, tmp_path, capsys):
    out = tmp_path / "out.html"
    out.write_text("mine")
    assert tl_main(["report", str(ppo), "--out", str(out)]) == 2
    assert "add --overwrite" in capsys.readouterr().err
    assert out.read_text() == "mine"
    write([str(ppo)], out, "--overwrite")
    assert tl_main(["report", str(ppo), "--out", str(ppo / "metrics.jsonl"), "--overwrite"]) == 2
    assert "one of the files to read" in capsys.readouterr().err


def test_runs_are_named_by_the_shortest_ends_that_tell_them_apart():
    assert names(["/a/x/sft", "/a/y/sft", "/a/ppo"]) == ["x/sft", "y/sft", "ppo"]


def test_without_matplotlib_one_line_says_what_to_install(every, tmp_path):
    page = Page(write(every, tmp_path / "out.html"))
    assert page.text.count("pip install matplotlib") == 1
    assert not page.of("svg") and page.of("table") and page.of("article")


def test_charts_show_curves_bars_and_environments_in_the_colours_of_the_page(every, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib", reason="charts need matplotlib")
    monkeypatch.setattr(report_page, "has_charts", lambda: True)
    source = write(every, tmp_path / "out.html")
    page = Page(source)
    titles = [a["aria-label"] for a in page.of("svg")]
    assert {"Loss", "Mean reward of a rollout", "Calls by case of the reward: ppo", "CF, %"} <= set(titles)
    assert {"Seen toolkits: CF ↑", "w_max: Seen toolkits, CF"} <= set(titles)
    assert len(page.of("figcaption")) == len(titles) and all(title in page.text for title in titles)
    assert "var(--c1)" in source and "#fe0" not in source
    identifiers = re.findall(r'\bid="([^"]+)"', source)
    assert len(identifiers) == len(set(identifiers))


@pytest.mark.long
def test_in_a_browser_filters_work_and_nothing_complains(every, tmp_path):
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("needs chromium or google-chrome")
    write(every, tmp_path / "out.html")
    complaints = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: (complaints.append("a dialog"), dialog.dismiss()))
        page.goto((tmp_path / "out.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        shown = page.locator("article:visible")
        assert shown.count() == 5
        page.select_option('[data-filter="categories"]', "tool hallucination")
        assert shown.count() == 1 and page.text_content("#shown") == "1"
        page.select_option('[data-filter="runs"]', "sft")
        assert shown.count() == 0 and page.is_visible("#empty")
        browser.close()
    assert complaints == []


def test_a_page_of_nothing_but_settings_is_whole(tmp_path):
    (tmp_path / "run_config.json").write_text('{"data": ["gone.jsonl"]}')
    Page(report([read_run(tmp_path, "run")], [], "title", 1))
    assert DataColumn("a", {}).views == []
