"""The training set on disk: prepared once, by several processes, and mapped by every rank; the same to the bit."""

import contextlib
import errno
import json
import os
import re
import shutil
import time
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest
import torch
from runs import arguments, assert_same_run, record
from torch.distributed.distributed_c10d import _set_pg_timeout

import train_sft
from tl.datasets import DataError, read
from tl.datasets.companions import Companions
from tl.llama import Tokenizer
from tl.prompt import EncodingOptions, Example, encode_trajectory
from tl.training import prepared
from tl.training.config import RunError
from tl.training.data import TrainingData, load_training_data
from tl.training.distributed import TIMEOUT, RankError, World, propagate_errors
from tl.training.statistics import ExampleStatistics


@pytest.fixture
def data(tmp_path) -> Path:
    """Thirty trajectories, a bad record and one with every call masked."""
    masked = record(2) | {"id": "masked", "messages": [*record(2)["messages"][:3]]}
    lines = [*map(record, range(20)), {"messages": []}, masked, *map(record, range(20, 30))]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def load(paths: str | list[str], tokenizer: Tokenizer, cache: Path | None = None, **options) -> TrainingData:
    paths = [paths] if isinstance(paths, str) else paths
    return load_training_data(paths, tokenizer, EncodingOptions(**options), "skip", progress=False, cache=cache)


def assert_equal(one: Example, other: Example) -> None:
    assert (one.id, one.turns, one.turns_cut) == (other.id, other.turns, other.turns_cut)
    for name in ("input_ids", "targets", "weights", "turn_index"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype and torch.equal(a, b), name


def test_nothing_is_generated_where_there_are_files(data, small_tokenizer, monkeypatch):
    monkeypatch.setattr(prepared, "synthesize", lambda **_: pytest.fail("data were generated"))
    assert len(load(str(data), small_tokenizer).examples) == 30


def test_what_several_processes_prepare_is_what_one_encodes(data, small_tokenizer, monkeypatch):
    monkeypatch.setattr(prepared, "CHUNK", 8)  # raw records: four chunks
    monkeypatch.setattr(prepared, "FEW", 2)
    monkeypatch.setattr(prepared, "synthesize", None)  # where there are files, nothing else is made
    options = EncodingOptions(max_length=620, w_max=3.0)
    found = load(str(data), small_tokenizer, max_length=620, w_max=3.0)
    trajectories, report = read(data, "skip")
    encoded = [encode_trajectory(t, small_tokenizer, options) for t in trajectories]
    expected = [example for example in encoded if example and example.trained_turns]
    assert len(found.examples) == len(expected) == 30
    for one, other in zip(found.examples, expected, strict=True):
        assert_equal(one, other)
    counts = ExampleStatistics()
    for example in encoded:
        counts.add(example)
    assert found.statistics == counts and found.statistics.turns_cut > 0 and found.untrainable == 1
    assert found.examples.lengths() == list(map(len, expected))
    assert found.report == report and found.report.read == 31


def killed(path: str, records: list) -> None:
    os._exit(9)


def test_a_process_that_is_killed_is_told_in_a_line(data, small_tokenizer, monkeypatch):
    monkeypatch.setattr(prepared, "CHUNK", 8)
    monkeypatch.setattr(prepared, "FEW", 2)
    monkeypatch.setattr(prepared, "_work", killed)
    with pytest.raises(DataError, match="a process that read the data has ended without an answer"):
        load(str(data), small_tokenizer)


def test_a_second_start_reads_no_record(data, small_tokenizer, tmp_path, monkeypatch):
    first = load(str(data), small_tokenizer, tmp_path / "cache")
    monkeypatch.setattr(prepared, "_write", None)
    again = load(str(data), small_tokenizer, tmp_path / "cache")
    assert again.fingerprint == first.fingerprint and again.lines() == first.lines()
    with pytest.raises(DataError, match="line 21"):  # bad records are known, whatever is to be done about them
        load_training_data([str(data)], small_tokenizer, EncodingOptions(), cache=tmp_path / "cache")


def test_other_files_options_and_companions_are_prepared_anew(data, small_tokenizer, tmp_path):
    cache = tmp_path / "cache"
    prints = [load(str(data), small_tokenizer, cache, w_max=w_max).fingerprint for w_max in (2.0, 3.0)]
    tools = tmp_path / "data_tools.json"
    tools.write_text("[]")
    prints.append(load(str(data), small_tokenizer, cache).fingerprint)
    data.write_text(data.read_text().replace("cats", "dogs"))
    prints.append(load(str(data), small_tokenizer, cache).fingerprint)
    assert len(set(prints)) == len(list(cache.iterdir())) == 4
    assert Companions(data).files() == [tools]


def test_another_version_of_the_library_of_the_tokenizer_prepares_anew(data, small_tokenizer, tmp_path, monkeypatch):
    load(str(data), small_tokenizer, tmp_path / "cache")
    monkeypatch.setattr(prepared, "version", lambda name: f"the next {name}")
    load(str(data), small_tokenizer, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_shares_are_drawn_from_what_is_prepared_without_them(data, small_tokenizer, tmp_path, monkeypatch):
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(record(n) | {"id": f"other {n}"}) + "\n" for n in range(9)))
    shares = [f"{data}:0.4", f"{other}:0.6"]
    load([str(data), str(other)], small_tokenizer, tmp_path / "cache")
    monkeypatch.setattr(prepared, "_write", None)
    found = load(shares, small_tokenizer, tmp_path / "cache")
    drawn = [t.id for t in read(shares, "skip")[0] if t.id != "masked"]
    assert [example.id for example in found.examples] == drawn and found.statistics.trajectories == 15


def test_an_interrupted_preparation_leaves_nothing_that_is_read(data, small_tokenizer, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    whole = load(str(data), small_tokenizer)

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(prepared.Worker, "work", interrupt)
        load(str(data), small_tokenizer, cache)
    (lock,) = cache.iterdir()
    killed = lock.with_suffix(".new")
    killed.mkdir()
    (killed / "rows.bin").write_bytes(b"half")
    assert load(str(data), small_tokenizer, cache).fingerprint == whole.fingerprint
    assert [path.name for path in cache.iterdir()] == [lock.stem]


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("tokens.bin", lambda content: content[:-4]),
        ("tokens.bin", lambda content: content[:-1]),
        ("report.json", lambda content: b""),
        ("turns.bin", None),
    ],
)
def test_a_damaged_folder_is_named(data, small_tokenizer, tmp_path, file, damage):
    load(str(data), small_tokenizer, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    if damage is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(damage((folder / file).read_bytes()))
    with pytest.raises(DataError, match=f"{folder}: .* delete this folder"):
        load(str(data), small_tokenizer, tmp_path / "cache")


@pytest.mark.parametrize("path", [".", "/"])
def test_a_folder_in_place_of_a_file_is_named(path, small_tokenizer):
    with pytest.raises(DataError, match=f"^{re.escape(path)}: cannot be read: Is a directory"):
        load(path, small_tokenizer)


@pytest.mark.parametrize("file", ["tokens.bin", "keys.bin", "rows.bin"])
def test_an_example_that_is_not_the_prepared_one_is_not_trained_on(data, small_tokenizer, tmp_path, file):
    load(str(data), small_tokenizer, tmp_path / "cache")
    (folder,) = (tmp_path / "cache").iterdir()
    content = bytearray((folder / file).read_bytes())
    content[prepared.ROW.fields["digest"][1] if file == "rows.bin" else 0] ^= 1
    (folder / file).write_bytes(content)
    examples = load(str(data), small_tokenizer, tmp_path / "cache").examples
    assert len(examples[len(examples) - 1])
    with pytest.raises(DataError, match=f"{folder}: .* delete this folder"):
        list(examples)


def test_where_nothing_fits_it_says_what_would(data, small_tokenizer):
    whole = load(str(data), small_tokenizer)
    ends = sorted(example.turns[0].end for example in whole.examples)
    with pytest.raises(DataError, match=f"--max_length {ends[0]:,} at least"):
        load(str(data), small_tokenizer, max_length=ends[0] - 1)


def test_kept_prepared_or_not_a_run_learns_the_same(toy_sft, tmp_path):
    for out, flags in {"none": ["--cache", "none"], "first": [], "second": []}.items():
        train_sft.main(arguments(toy_sft, tmp_path / out, "--max_steps", "2", *flags))
        assert (tmp_path / ".prepared").exists() == (out != "none")
    assert_same_run(tmp_path / "none", tmp_path / "first")
    assert_same_run(tmp_path / "none", tmp_path / "second")


def fingerprint(world: World, flags: list[str]) -> str:
    config = train_sft.resolve_config(flags)
    data = train_sft.load_data(config, Tokenizer(config.model), world)
    assert len(data.examples[0]) == data.examples.lengths()[0]  # although the folder is gone
    return data.fingerprint


@pytest.mark.parametrize("cache", [[], ["--cache", "none"]])
def test_two_ranks_map_one_folder(toy_sft, tmp_path, two_ranks, cache):
    flags = arguments(toy_sft, tmp_path / "run", *cache)
    one, other = two_ranks.run(fingerprint, flags)
    assert one == other == load(str(toy_sft / "data.jsonl"), Tokenizer(toy_sft / "model"), max_length=4096).fingerprint
    assert len(list(tmp_path.glob(".prepared/*"))) == (not cache)


def prepared_slowly(world: World, flags: list[str]) -> str:
    """As ``fingerprint``, in a group that waits for a second only, with data whose preparation takes two."""
    original = prepared._write

    def slow(*arguments) -> None:
        time.sleep(2)
        original(*arguments)

    with mock.patch.object(prepared, "_write", slow):
        _set_pg_timeout(timedelta(seconds=1))
        try:
            return fingerprint(world, flags)
        finally:
            _set_pg_timeout(TIMEOUT)


def test_a_rank_waits_for_the_data_longer_than_the_process_group_would(toy_sft, tmp_path, two_ranks):
    one, other = two_ranks.run(prepared_slowly, arguments(toy_sft, tmp_path / "run"))
    assert isinstance(one, str) and one == other


def on_a_node_of_its_own(world: World, nodes: Path, flags: list[str]) -> str:
    with contextlib.chdir(nodes / str(world.rank)):
        return fingerprint(world, flags)


@pytest.mark.parametrize("cache", [[], ["--cache", "none"]])
def test_nodes_without_a_shared_folder_prepare_each_for_itself(toy_sft, tmp_path, two_ranks, cache):
    """Relative paths in two folders stand for those of two machines."""
    nodes = [tmp_path / "0", tmp_path / "1"]
    for node in nodes:
        shutil.copytree(toy_sft, node)
    flags = [*["--model", "model", "--data", "data.jsonl", "--out", "runs/a", "--max_length", "4096"], *cache]
    one, other = two_ranks.run(on_a_node_of_its_own, tmp_path, flags)
    assert isinstance(one, str) and one == other
    assert [len(list(node.glob("runs/.prepared/*"))) for node in nodes] == [not cache] * 2
    (nodes[1] / "data.jsonl").write_text(json.dumps(record(1)))
    one, other = two_ranks.run(on_a_node_of_its_own, tmp_path, flags)
    assert isinstance(one, RunError) and "differ between nodes" in str(one)


@pytest.mark.parametrize(("place", "code"), [("fcntl.flock", errno.ENOLCK), ("_write", errno.ENOSPC)])
def test_a_cache_that_cannot_be_locked_or_filled_is_named(data, small_tokenizer, tmp_path, monkeypatch, place, code):
    def fail(*_) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(f"tl.training.prepared.{place}", fail)
    with pytest.raises(DataError, match=f"{tmp_path / 'cache'}: .*{os.strerror(code)}.* another --cache"):
        load(str(data), small_tokenizer, tmp_path / "cache")


def fail(world: World, reasons: list[str]) -> None:
    with propagate_errors(world):
        raise DataError(reasons[world.rank])


def test_of_ranks_that_fail_alike_the_first_one_says_why(two_ranks):
    first, second = two_ranks.run(fail, ["no such file", "no such file"])
    assert isinstance(first, DataError) and isinstance(second, RankError)
    first, second = two_ranks.run(fail, ["no such file", "cut off"])
    assert isinstance(first, DataError) and isinstance(second, DataError)
