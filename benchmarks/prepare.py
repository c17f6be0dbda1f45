"""Preparing a large training set: time, the second start, and memory of a process that maps it.

    python -m benchmarks.prepare FILE --size 60000 --vocabulary tokenizer.model

The set repeats the records of FILE, each copy with a number behind its user's messages.
"""

import argparse
import json
import random
import tempfile
import time
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path

from tl.datasets.companions import joined_records
from tl.llama import Tokenizer
from tl.prompt import EncodingOptions
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


def start(data: Path, cache: Path, vocabulary: str) -> None:
    """Loads the set and draws batches; prints what that took."""
    tokenizer, before, began = Tokenizer(vocabulary), anonymous(), time.perf_counter()
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="trajectory file that the data are drawn from")
    parser.add_argument("--size", type=int, nargs="+", default=[60000], help="numbers of trajectories (default: 60000)")
    parser.add_argument("--vocabulary", required=True, help="tokenizer.model or tokenizer.json")
    options = parser.parse_args()
    for size in options.size:
        with tempfile.TemporaryDirectory() as folder:
            data, cache = Path(folder, "data.jsonl"), Path(folder, "cache")
            write(options.file, data, size)
            for _ in ("prepared", "found"):
                process = get_context("spawn").Process(target=start, args=(data, cache, options.vocabulary))
                process.start()
                process.join()


if __name__ == "__main__":
    main()
