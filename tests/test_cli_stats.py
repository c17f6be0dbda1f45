"""`python -m tl` and `python -m tl stats`: the figures of a dataset counted by hand."""

import json

import pytest

from tl.__main__ import VERBS
from tl.__main__ import main as tl_main
from tl.cli import stats
from tl.report.figures import families, spread


def tool(name: str) -> dict:
    parameters = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}
    return {"type": "function", "function": {"name": name, "description": "", "parameters": parameters}}


def record(id: str, *calls: tuple[str, str, str]) -> dict:
    """A trajectory of (tool, arguments, feedback), with two tools that share a prefix beside the built-in ones."""
    messages = [{"role": "user", "content": "Find it."}]
    for n, (name, arguments, feedback) in enumerate(calls):
        function = {"name": name, "arguments": arguments}
        messages.append({"role": "assistant", "tool_calls": [{"id": str(n), "type": "function", "function": function}]})
        messages.append({"role": "tool", "tool_call_id": str(n), "content": feedback})
    return {"id": id, "tools": [tool("search_news"), tool("search_cats")], "messages": messages}


@pytest.fixture
def dataset(tmp_path):
    """Two trajectories with four calls: two right ones, one without its argument, one to a tool that is not there."""
    right = ("search_news", '{"q": "cats"}', '{"error": null}')
    missing = ("search_cats", "{}", "search_cats() missing 1 required positional argument: 'q'")
    unknown = ("search_dogs", '{"q": "x"}', "name 'search_dogs' is not defined")
    path = tmp_path / "two.jsonl"
    lines = [record("a", right), record("b", missing, unknown, right)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def figures(capsys, *argv: str) -> dict:
    assert stats.main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_figures_of_a_dataset_counted_by_hand(dataset, small_tokenizer, capsys):
    found = figures(capsys, str(dataset), "--tokenizer", str(small_tokenizer.path))["two.jsonl"]
    assert found["trajectories"] == 2
    assert found["trajectories with errors"] == {"count": 1, "share": 0.5}
    assert found["calls"] == 4
    assert found["calls in a trajectory"] == {"median": 2, "p95": 3, "max": 3}
    assert found["different tools"] == 4  # two of its own, ask_to_user and finish
    assert found["tools in a trajectory"] == {"median": 4, "p95": 4, "max": 4}
    assert found["turns in a trajectory"] == {"median": 3, "p95": 4, "max": 4}
    assert found["erroneous calls"] == {"count": 2, "share": 0.5}
    errors = {category: n for category, n in found["errors by category"].items() if n}
    assert errors == {"tool hallucination": 1, "parameter missing": 1}
    assert (found["calls trained"], found["calls masked"]) == (2, 2)
    assert found["key tokens in a trained call"] == {"2": 2}  # its first token and the one after "search_"
    assert found["trajectories with a family of tool names"] == {"count": 2, "share": 1.0}
    assert found["families of tool names"] == {"search_": 2}
    assert found["tokens"] > 0 and found["records skipped"] == 0


def test_every_file_has_a_column(dataset, small_tokenizer, tmp_path, capsys):
    other = tmp_path / "one.jsonl"
    other.write_text(dataset.read_text().splitlines()[0])
    found = figures(capsys, str(dataset), str(other), "--tokenizer", str(small_tokenizer.path))
    assert {name: column["calls"] for name, column in found.items()} == {"two.jsonl": 4, "one.jsonl": 1}


def test_files_of_the_same_name_are_told_apart(dataset, small_tokenizer, tmp_path, capsys):
    paths = [tmp_path / folder / "train.jsonl" for folder in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(dataset.read_text())
    found = figures(capsys, *map(str, paths), "--tokenizer", str(small_tokenizer.path))
    assert list(found) == ["a/train.jsonl", "b/train.jsonl"]


def test_feedback_cannot_be_cut_to_nothing(dataset, capsys):
    with pytest.raises(SystemExit):
        stats.main([str(dataset), "--max_feedback_tokens", "1"])
    assert "must be at least 2" in capsys.readouterr().err


def test_the_table_shows_counts_shares_and_spreads(dataset, small_tokenizer, capsys):
    assert stats.main([str(dataset), "--tokenizer", str(small_tokenizer.path)]) == 0
    rows = {line[:40].strip(): line[40:].strip() for line in capsys.readouterr().out.splitlines()}
    assert rows["trajectories with errors"] == "1 (50.0 %)"
    assert rows["calls in a trajectory"] == "2 / 3 / 3"
    assert rows["parameter missing"] == "1"
    assert rows["families of tool names"] == "search_… (2)"


def test_a_bad_record_is_named_and_skipped_or_stops(dataset, small_tokenizer, capsys):
    dataset.write_text(dataset.read_text() + '{"messages": []}\n')
    argv = [str(dataset), "--tokenizer", str(small_tokenizer.path)]
    assert figures(capsys, *argv)["two.jsonl"]["records skipped"] == 1
    assert stats.main(argv) == 0
    assert "two.jsonl, line 3" in capsys.readouterr().err
    assert tl_main(["stats", *argv, "--on_bad_data", "error"]) == 2
    assert "line 3" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["file", "tokenizer"])
def test_what_cannot_be_read_is_one_message_and_status_2(flag, dataset, small_tokenizer, tmp_path, capsys):
    nowhere = str(tmp_path / "nowhere")
    file, tokenizer = (nowhere, small_tokenizer.path) if flag == "file" else (dataset, nowhere)
    assert tl_main(["stats", str(file), "--tokenizer", str(tokenizer)]) == 2
    assert "nowhere" in capsys.readouterr().err


def test_a_share_is_refused_since_statistics_are_of_whole_files(dataset, capsys):
    assert tl_main(["stats", f"{dataset}:0.5"]) == 2 and "leave out the share" in capsys.readouterr().err


def test_a_flag_about_files_is_refused_without_files(capsys):
    assert tl_main(["stats", "--data_format", "openai"]) == 2 and "needs files" in capsys.readouterr().err


def test_a_spread_is_median_95th_percentile_and_maximum():
    assert spread(range(1, 101)) == {"median": 50.5, "p95": 95, "max": 100}
    assert spread([7]) == {"median": 7, "p95": 7, "max": 7}
    assert spread([]) == {"median": 0, "p95": 0, "max": 0}


def test_a_family_shares_its_first_token(small_tokenizer):
    assert families(["search_news", "search_cats", "finish", "zebra"], small_tokenizer) == {"search_": 2}


def test_names_that_share_nothing_but_a_bare_word_mark_are_no_family(small_tokenizer):
    names = ["get_news", "get_cats", "add_news"]
    assert {small_tokenizer.piece(small_tokenizer.encode(name)[0]) for name in names} == {"▁"}
    assert families(names, small_tokenizer) == {"get_": 2}


def test_without_a_verb_the_verbs_are_listed(capsys):
    assert tl_main([]) == 0
    listed = capsys.readouterr().out
    assert all(verb in listed for verb in VERBS)
    assert tl_main(["dance"]) == 2
    assert "'dance'" in capsys.readouterr().err
