"""Preparing a large training set: time, the second start, and memory of processes that map it.

    python -m benchmarks.prepare FILE --size 60000 --vocabulary tokenizer.model
    python -m benchmarks.prepare FILE --size 400 12000 --ranks 2     train_sft.py on the embedded model, two steps

The set repeats the records of FILE, each copy with a number behind its user's messages. Each work is done twice: the
first time the set is prepared, the second time it is found.
"""

import argparse
import json
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import train_sft
from tl.datasets.companions import joined_records
from tl.llama import Tokenizer
from tl.prompt import EncodingOptions
from tl.training import distributed
from tl.training.batching import collate
from tl.training.data import load_training_data

DRAWN = 500  # examples that a rank batches, four at a time


def write(source: Path, out: Path, size: int) -> None:
    records = [record for _, record in joined_records(source)]
    with out.open("w") as file:
        for number, record in enumerate(islice(cycle(records), size)):
            messages = [
                m | {"content": f"{m['content']} ({number})"} if m["role"] == "user" else m for m in record["messages"]
            ]
            file.write(json.dumps(record | {"id": str(number), "messages": messages}) + "\n")


def anonymous() -> float:
    """MB of this process's own memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def start(data: Path, folder: Path, vocabulary: str) -> None:
    """Loads the set and draws batches; prints what that took."""
    tokenizer, before, began = Tokenizer(vocabulary), anonymous(), time.perf_counter()
    cache = folder / "cache"
    found = load_training_data([str(data)], tokenizer, EncodingOptions(), "skip", progress=False, cache=cache)
    loaded = time.perf_counter() - began
    indices = random.Random(0).sample(range(len(found.examples)), min(DRAWN, len(found.examples)))
    began = time.perf_counter()
    for at in range(0, len(indices), 4):
        collate([found.examples[i] for i in indices[at : at + 4]])
    drawn = (time.perf_counter() - began) / len(indices)
    print(
        f"{len(found.examples):,} examples, {found.statistics.tokens:,} tokens: loaded in {loaded:.1f} s, "
        f"an example drawn in {drawn * 1e3:.2f} ms, {anonymous() - before:.0f} MB of memory of its own",
        flush=True,
    )


def learn(data: Path, folder: Path, rank: int, ranks: int, port: int) -> None:
    """One rank of ``train_sft.py``; prints when data, model and steps were there, and its own memory then."""
    place = {"RANK": rank, "WORLD_SIZE": ranks, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in place.items()})

    def told(what: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            result = function(*arguments, **options)
            print(f"  rank {rank}: {what} {time.perf_counter() - began:.1f} s, {anonymous():.0f} MB", flush=True)
            return result

        return run

    fixed = "--max_length 2048 --max_steps 2 --batch_size 4 --on_bad_data skip --learning_rate 1e-5"
    paths = ["--data", str(data), "--cache", str(folder / "cache"), "--out", str(folder / "run"), "--overwrite"]
    with (
        patch.object(train_sft, "load_data", told("data", train_sft.load_data)),
        patch.object(distributed, "load", told("model", distributed.load)),
        patch.object(train_sft, "train_step", told("step", train_sft.train_step)),
        patch.object(train_sft, "show", lambda *_: None),
    ):
        train_sft.main([*fixed.split(), *paths])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--size", type=int, nargs="+", default=[60000])
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--vocabulary")
    work.add_argument("--ranks", type=int)
    options = parser.parse_args()
    for size in options.size:
        with tempfile.TemporaryDirectory() as name:
            folder, data = Path(name), Path(name, "data.jsonl")
            write(options.file, data, size)
            for state in ("prepared", "found"):
                print(f"{size:,} records, {state}", flush=True)
                jobs: list[tuple] = [(start, data, folder, options.vocabulary)]
                if options.ranks:
                    with socket.create_server(("127.0.0.1", 0)) as server:
                        port = server.getsockname()[1]
                    jobs = [(learn, data, folder, rank, options.ranks, port) for rank in range(options.ranks)]
                processes = [get_context("spawn").Process(target=job, args=arguments) for job, *arguments in jobs]
                for process in processes:
                    process.start()
                for process in processes:
                    process.join()


if __name__ == "__main__":
    main()
