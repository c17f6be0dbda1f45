"""Training data, read and tokenised once by parallel processes into arrays that all ranks map.

A folder of the cache holds one set of files for one vocabulary and one set of options. Its name is a hash of these and
of this program and the tokenizer's library. It is written under another name and renamed when it is complete. The first
process that needs it writes it, while a file lock makes the others wait; machines without a common cache each write
their own.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import shutil
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import cache
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import tl
from tl.datasets import DataError, ReadReport, of_records
from tl.datasets.companions import Companions, joined_records
from tl.executor.pool import all_cores
from tl.files import sha256
from tl.llama.tokenizer import Tokenizer
from tl.mae import ErrorCategory
from tl.prompt import EncodingOptions, Example, Turn, digest, encode_trajectory, make_example
from tl.synthesis import synthesize
from tl.templates import template_of
from tl.training.statistics import N_COUNTS, ExampleStatistics
from tl.trajectory import Trajectory

MANY = 2**62  # tokens; no trajectory is longer
CHUNK = 64  # raw records that a process gets at a time
FEW = 8  # up to this many chunks take less time than starting several processes
REPORT_FILE = "report.json"
CATEGORIES = tuple(ErrorCategory)

# A row for each trajectory, in the order of the files. It holds the end of the trajectory's part in the other arrays;
# a trajectory that does not fit has no part.
ENDS = ("tokens", "turns", "keys", "id")
ROW = np.dtype(
    [
        *((name, np.int64) for name in ENDS),
        ("turns_cut", np.int64),
        ("needed", np.int64),  # if it does not fit, its tokens up to the end of its first turn; 0 if it has no turn
        ("normalised", np.bool_),  # the tokenizer changes its messages (Tokenizer.normalise)
        ("digest", "S32"),  # SHA-256 of its example's tensors
        ("counts", np.int64, N_COUNTS),  # ExampleStatistics.row
    ]
)
TURN = np.dtype(
    [
        ("start", np.int32),
        ("end", np.int32),
        ("is_call", np.bool_),
        ("category", np.uint8),  # index in CATEGORIES
        ("n_keys", np.int32),
        ("trained", np.bool_),
    ]
)
ARRAYS = {"rows": ROW, "tokens": np.dtype(np.int32), "turns": TURN, "keys": np.dtype(np.int32), "id": np.dtype("u1")}

Arrays = dict[str, np.ndarray]


class Prepared:
    """A folder of prepared trajectories, mapped into memory.

    Attributes:
        rows: [trajectories], see ``ROW``.
        report: what was done with the files' records.
        sizes: number of trajectories in each file.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, options: EncodingOptions) -> None:
        self._damage = f"{folder}: the prepared data is damaged: delete this folder"
        try:
            said = json.loads((folder / REPORT_FILE).read_bytes())
            self._arrays = {name: _map(folder / f"{name}.bin", kind) for name, kind in ARRAYS.items()}
        except (FileNotFoundError, ValueError) as error:
            raise DataError(self._damage) from error
        self.report, self.sizes = ReadReport.of_json(said["report"]), said["sizes"]
        self.rows = self._arrays["rows"]
        if any(len(self._arrays[name]) != self.rows[name][-1:].sum() for name in ENDS):
            raise DataError(self._damage)
        self._end_id, self._w_max = template_of(tokenizer).end_id, options.w_max

    def example(self, number: int) -> Example:
        """The example of a trajectory that fits. Raises DataError if it is not the one that was prepared."""
        part = {name: self._part(name, number) for name in ENDS}
        keys, turns = iter(part["keys"].tolist()), []
        for start, end, is_call, category, n_keys, trained in part["turns"].tolist():
            turns.append(Turn(start, end, is_call, CATEGORIES[category], tuple(islice(keys, n_keys)), trained))
        input_ids = torch.from_numpy(part["tokens"].astype(np.int64))
        cut = int(self.rows["turns_cut"][number])
        example = make_example(part["id"].tobytes().decode(), input_ids, turns, cut, self._end_id, self._w_max)
        if _seen(example).rstrip(b"\0") != self.rows["digest"][number]:  # numpy leaves zeros at the end out
            raise DataError(self._damage)
        return example

    def _part(self, name: str, number: int) -> np.ndarray:
        ends = self.rows[name]
        return self._arrays[name][ends[number - 1] if number else 0 : ends[number]]


def _seen(example: Example) -> bytes:
    """SHA-256 over everything that training sees of an example."""
    return digest((example.input_ids, example.targets, example.weights, example.turn_index))


def _map(path: Path, kind: np.dtype) -> np.ndarray:
    if not path.stat().st_size:
        return np.zeros(0, kind)  # an empty file cannot be mapped
    return np.asarray(np.memmap(path, kind, "r"))


def prepare(
    cache: Path,
    paths: Sequence[str],
    tokenizer: Tokenizer,
    options: EncodingOptions,
    data_format: str,
    seed: int,
    progress: bool,
) -> Prepared:
    """The trajectories in ``paths`` or, without paths, those made with the tool library and ``seed``: from the cache,
    after adding them if they are missing. Raises DataError for a file that cannot be read."""
    folder = cache / _key(paths, tokenizer, options, data_format, seed)

    def write(unfinished: Path) -> None:
        worker = Worker(tokenizer.path, tokenizer.template, options, data_format)
        _write(unfinished, paths, worker, seed, progress)

    try:
        _write_once(folder, write)
    except OSError as error:
        raise DataError(
            f"{cache}: data cannot be prepared there ({error.strerror or error}): make room, or choose another --cache"
        ) from error
    return Prepared(folder, tokenizer, options)


def _write_once(folder: Path, write: Callable[[Path], object]) -> None:
    """Writes the folder if it does not exist, while other processes that need it wait. They wait for a file lock, so no
    time-out of a process group applies."""
    if folder.exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_suffix(".lock")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not folder.exists():
            unfinished = folder.with_suffix(".new")
            shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed process
            try:
                write(unfinished)
                unfinished.rename(folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
            lock.unlink()


def _key(paths: Sequence[str], tokenizer: Tokenizer, options: EncodingOptions, data_format: str, seed: int) -> str:
    """A hash of everything that the prepared data depends on."""
    files = [[path, *map(_digest, (Path(path), *Companions(Path(path)).files()))] for path in paths]
    program = Path(tl.__file__).parent
    sources = [*program.rglob("*.py"), *(program.parent / "tools").rglob("*.py")]
    library = version("tokenizers" if tokenizer.path.suffix == ".json" else "sentencepiece")
    vocabulary = [_digest(tokenizer.path), library, tokenizer.eos_id, tokenizer.template, tokenizer.chat_template]
    content = [files or seed, vocabulary, asdict(options), data_format, [_digest(path) for path in sorted(sources)]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _digest(path: Path) -> str:
    try:
        return sha256(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error


def _write(folder: Path, paths: Sequence[str], worker: "Worker", seed: int, progress: bool) -> None:
    folder.mkdir()
    report, sizes = ReadReport(), [0] * len(paths)
    totals = dict.fromkeys(ENDS, 0)
    bar = tqdm(desc="read and tokenise", unit=" trajectories", disable=not progress, leave=False)
    with bar, ExitStack() as stack:
        files = {name: stack.enter_context((folder / f"{name}.bin").open("wb")) for name in ARRAYS}
        results = _in_parallel(worker, paths) if paths else _generated(worker, seed)
        for number, arrays, read in results:
            rows = arrays["rows"]
            for name in ENDS:
                rows[name] = totals[name] + rows[name].cumsum()
                totals[name] += len(arrays[name])
            for name, file in files.items():
                file.write(arrays[name].tobytes())
            if paths:
                report.merge(read)
                sizes[number] += len(rows)
            bar.update(len(rows))
    (folder / REPORT_FILE).write_text(json.dumps({"report": report.to_json(), "sizes": sizes}))


def _generated(worker: "Worker", seed: int) -> Iterator[tuple[int, Arrays, ReadReport]]:
    """The tool library's data, encoded by the worker, in the form of ``_in_parallel``."""
    for chunk in _chunks(iter(synthesize(seed=seed))):
        yield 0, worker.encode(chunk), ReadReport()


def _in_parallel(worker: "Worker", paths: Sequence[str]) -> Iterator[tuple[int, Arrays, ReadReport]]:
    """Each chunk of each file, encoded by the worker, in order: (number of the file, arrays, report)."""
    chunks = ((n, path, chunk) for n, path in enumerate(paths) for chunk in _chunks(joined_records(Path(path))))
    first = list(islice(chunks, FEW))
    if len(first) < FEW:
        yield from ((n, *worker.work(path, chunk)) for n, path, chunk in first)
        return
    cpus = all_cores()  # the other ranks wait
    context = multiprocessing.get_context("forkserver")  # a fork could inherit locks held by this process's threads
    context.set_forkserver_preload([__name__])
    waiting: deque[tuple[int, Future]] = deque()
    try:
        with ProcessPoolExecutor(cpus, context, _start, worker.arguments) as pool:
            for n, path, chunk in chain(first, chunks):
                waiting.append((n, pool.submit(_work, path, chunk)))
                if len(waiting) > 2 * cpus:  # limits how much of the files is in memory
                    done, future = waiting.popleft()
                    yield done, *future.result()
            for done, future in waiting:
                yield done, *future.result()
    except BrokenProcessPool as error:
        raise DataError(
            "a process that read the data has ended without an answer. The system may have killed it for lack of "
            'memory. If this is a script of your own, it needs `if __name__ == "__main__":` around what it does'
        ) from error


def _chunks(records: Iterator[Any]) -> Iterator[list]:
    return iter(lambda: list(islice(records, CHUNK)), [])


class Worker:
    """Reads and tokenises records."""

    def __init__(self, vocabulary: Path, template: str, options: EncodingOptions, data_format: str) -> None:
        self.arguments = (vocabulary, template, options, data_format)
        self.tokenizer, self.options, self.data_format = Tokenizer(vocabulary, template), options, data_format
        self.companions = cache(Companions)  # once per file

    def work(self, path: str, records: list) -> tuple[Arrays, ReadReport]:
        """Encodes raw records of a file. Returns the arrays of their trajectories, and the report on the records."""
        report = ReadReport()
        companions = self.companions(Path(path))
        arrays = self.encode(of_records(records, companions, report, data_format=self.data_format))
        report.read = len(arrays["rows"])
        return arrays, report

    def encode(self, trajectories: Iterable[Trajectory]) -> Arrays:
        """The arrays of some trajectories; rows hold lengths instead of ends."""
        rows, tokens, turns, ids = [], [np.zeros(0, np.int32)], [], bytearray()
        keys: list[int] = []
        for trajectory in trajectories:
            example = encode_trajectory(trajectory, self.tokenizer, self.options)
            if example is None:
                whole = encode_trajectory(trajectory, self.tokenizer, replace(self.options, max_length=MANY))
                rows.append((0, 0, 0, 0, 0, whole.turns[0].end if whole else 0, False, b"", [0] * N_COUNTS))
                continue
            statistics, id = ExampleStatistics(), trajectory.id.encode()
            statistics.add(example)
            changed = any(self.tokenizer.normalise(m.content) != m.content for m in trajectory.messages)
            tokens.append(example.input_ids.numpy().astype(np.int32))
            for turn in example.turns:
                category, n_keys = CATEGORIES.index(turn.category), len(turn.key_positions)
                turns.append((turn.start, turn.end, turn.is_call, category, n_keys, turn.trained))
                keys += turn.key_positions
            ids += id
            n_keys = sum(len(turn.key_positions) for turn in example.turns)
            lengths = (len(example), len(example.turns), n_keys, len(id))
            rows.append((*lengths, example.turns_cut, 0, changed, _seen(example), statistics.row()))
        parts = (rows, np.concatenate(tokens), turns, keys, np.frombuffer(ids, np.uint8))
        return {name: np.array(part, kind) for (name, kind), part in zip(ARRAYS.items(), parts, strict=True)}


_worker: Worker  # of this process, if it is one of the parallel ones


def _start(*arguments: Any) -> None:
    global _worker
    _worker = Worker(*arguments)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(path: str, records: list) -> tuple[Arrays, ReadReport]:
    return _worker.work(path, records)
