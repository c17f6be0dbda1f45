"""Files from someone else: what they can make the program say, show and do."""

import json
import re
from pathlib import Path

import pytest

import evaluate
from tl.__main__ import main as tl_main
from tl.cli import report as report_cli
from tl.rollout.dialogue import Response, StopReason
from tl.training.run import SETTINGS_FILE

STEERS = "\x1b]0;owned\x07\x1b[2J\u202e\x9b"
ODD = ["NaN", "-Infinity", "1e999", "9" * 5_000, "-" + "9" * 400, "1e300", "-3", "null", '"x"', "[]", "true"]


def report_of(folder, capsys) -> tuple[str, str]:
    """The page of a run's folder, and what its command printed."""
    out = folder.parent / "report.html"
    assert report_cli.main([str(folder), "--out", str(out)]) == 0
    return out.read_text(), capsys.readouterr().out


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:9])
def test_a_page_is_made_of_a_run_whatever_its_numbers_are(tmp_path, capsys, odd):
    run = tmp_path / "run"
    run.mkdir()
    good = '{"step": 1, "loss": 2.5, "reward": 0.5, "tokens": 3}'
    keys = ("step", "loss", "reward", "tokens", "kl", "case/exact")
    lines = [good, *(f'{{"step": 2, "{key}": {odd}}}' for key in keys), f'{{"step": {odd}, "loss": {odd}}}', good]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (run / SETTINGS_FILE).write_text(f'{{"kl_coef": {odd}, "samples": {odd}, "seed": {odd}, "data": {odd}}}')
    scores = f'{{"n": {odd}, "n_cf": {odd}, "ts": {odd}, "pi": {odd}, "cf": {odd}}}'
    intervals = f'{{"strict": {{"ts": [{odd}, {odd}], "pi": {odd}, "cf": [{odd}]}}}}'
    single = f'{{"strict": {scores}, "title": {odd}, "notes": {odd}, "intervals": {intervals}, "items": {odd}}}'
    episodes = f'{{"de": {odd}, "n": {odd}, "n_calls": {odd}, "va": {odd}, "n_servable": 3, "intervals": {odd}}}'
    (run / "report.json").write_text(f'{{"suites": {{"one": {single}, "two": {episodes}}}}}')
    rows = f'[{{"name": "a", "mean": {{"x": {odd}}}, "interval": {{"x": [{odd}, {odd}]}}}}]'
    experiment = f'{{"kind": "ablation", "title": {odd}, "command": 1, "machine": 1, "seeds": [1], "rows": {rows}'
    (run / "ablation.json").write_text(experiment + f', "columns": {odd}, "sweeps": {{"s": {{"x": [{odd}]}}}}}}')
    (run / "rollouts.jsonl").write_text(f'{{"step": {odd}, "id": {odd}, "reward": {odd}, "messages": {odd}}}\n')
    page, said = report_of(run, capsys)
    assert "2.500" in page
    assert "nan" not in page.lower().split("</script>")[-1]
    try:
        is_shown = abs(json.loads(odd) or 0) < 1e15
    except (ValueError, TypeError):
        is_shown = odd in ("[]", '"x"')
    assert ("metrics.jsonl: 8 numbers left out that are NaN, infinite or of 1e+15 and more" in said) != is_shown


def test_a_bad_record_cannot_steer_the_terminal(tmp_path, capsys):
    record = {"messages": [{"role": STEERS, "content": STEERS}], STEERS: 1}
    data = tmp_path / f"{STEERS.replace('/', '')}.jsonl"
    data.write_text(json.dumps(record, ensure_ascii=False) + "\n")
    assert tl_main(["convert", str(data), "--out", str(tmp_path / "out.jsonl")]) == 2
    said = "".join(capsys.readouterr())
    assert "\\x1b]0;owned" in said and not set(STEERS) & set(said) - set("]0;owned[2J")


def test_names_of_tools_cannot_steer_the_terminal(tmp_path, capsys):
    tools = [{"type": "function", "function": {"name": f"{STEERS}get_{n}", "parameters": {}}} for n in "ab"]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "!"}]
    data = tmp_path / "data.jsonl"
    data.write_text(json.dumps({"tools": tools, "messages": messages}) + "\n")
    assert tl_main(["stats", str(data)]) == 0
    said = "".join(capsys.readouterr())
    assert "\\u202e" in said and "get_… (2)" in said and not set(STEERS) & set(said) - set("]0;owned[2J")


def test_ids_of_records_and_titles_in_reports_cannot_steer_the_terminal(tmp_path, capsys, monkeypatch):
    call = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}
    messages = [{"role": "user", "content": "?"}, call]
    records = [{"id": name, "tools": [{"name": "f"}], "messages": messages} for name in ("a", STEERS)]
    data, report = tmp_path / "data.jsonl", tmp_path / "report.json"
    data.write_text("".join(json.dumps(record) + "\n" for record in records))
    said = [Response(("f()",)), Response(note="no answer", stop=StopReason.POLICY)]
    monkeypatch.setattr(evaluate, "make_policy", lambda *_: (lambda dialogues: said[: len(dialogues)], {}))
    flags = ["--data", str(data), "--report", str(report)]
    with pytest.warns(UserWarning, match="no answer"):
        assert evaluate.main(flags) == 1
    found = json.loads(report.read_text())
    found["suites"]["trajectories"]["title"] = STEERS
    report.write_text(json.dumps(found))
    assert evaluate.main(["--compare", str(report), str(report)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("\\x1b]0;owned") == 2 and not set(STEERS) & set(printed) - set("]0;owned[2J")


def test_every_row_of_the_table_names_a_test_that_exists():
    repository = Path(__file__).resolve().parents[2]
    rows = re.findall(r"(?m)^\| .* \|$", (repository / "docs" / "security.md").read_text())[1:]
    named = [re.search(r"`(tests/[\w/]+\.py)::(test_\w+)` \|$", row) for row in rows]
    assert len(rows) > 10 and all(named)
    for file, test in (found.groups() for found in named if found):
        assert f"\ndef {test}(" in (repository / file).read_text(), test
