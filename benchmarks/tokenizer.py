"""Byte-level vocabularies under random texts, and what encoding segment by segment changes on real records.

    python -m benchmarks.tokenizer FOLDER …                       # a million random texts each
    python -m benchmarks.tokenizer FOLDER … --records FILE.jsonl  # and OpenAI-style records, plain or .gz

FOLDER is a checkpoint's, with tokenizer.json. A text passes where decoding gives it back as the vocabulary normalises
it, where no control token comes of it, and where the library, told to treat control tokens as text, gives the same ids.
"""

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from tl.datasets import read
from tl.llama.tokenizer import Tokenizer
from tl.templates.table13 import Table13

PROMPT = (
    "\nAssistant:",
    "\nOutput: ",
    "\nUser: ",
    'get_papers(topic="',
    '")',
    '", limit=',
    '{"id": ',
    "}]",
    "\n\n",
    "'s",
)
RANGES = (  # of code points, from which letters are drawn
    (0x20, 0x7E),
    (0x00, 0x1F),
    (0x80, 0x24F),
    (0x300, 0x36F),  # marks that NFC joins to the letter before them
    (0x370, 0x6FF),
    (0x1100, 0x11FF),  # Hangul letters that NFC joins to syllables
    (0x2000, 0x206F),
    (0x2581, 0x2581),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),  # letters that NFC replaces
    (0x1F300, 0x1FAFF),
    (0xE000, 0x10FFFF),
)


def random_text(rng: random.Random, control: Sequence[str]) -> str:
    """Words of a prompt, spellings of control tokens, white space, digits, and letters from anywhere in Unicode."""
    parts = []
    for _ in range(rng.randint(0, 12)):
        kind = rng.randrange(6)
        if kind == 0:
            parts.append(rng.choice(PROMPT))
        elif kind == 1 and control:
            token = rng.choice(control)
            parts.append(token[: rng.randint(1, len(token))] if rng.random() < 0.3 else token)
        elif kind == 2:
            parts.append(rng.choice((" ", "\n", "\t", "\r\n", "\u00a0")) * rng.randint(1, 9))
        elif kind == 3:
            parts.append(str(rng.randrange(10 ** rng.randint(1, 12))))
        else:
            low, high = rng.choice(RANGES)
            parts.append("".join(chr(rng.randint(low, high)) for _ in range(rng.randint(1, 8))))
    return "".join(parts)


def failures(tokenizer: Tokenizer, library: Any, texts: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(what is wrong, text) of those that do not keep the contract; ``library`` as `read_library` gives it."""
    control = set(tokenizer.vocabulary.control_ids.values())
    for text in texts:
        ids, kept = tokenizer.encode(text), tokenizer.normalise(text)
        if tokenizer.decode(ids) != kept:
            yield "decodes to another text", text
        if not control.isdisjoint(ids):
            yield "has a control token", text
        if library.encode(text, add_special_tokens=False).ids != ids:
            yield "other ids than the library's", text


def read_library(path: Path) -> Any:
    """The vocabulary as the library reads it whole, with control tokens as text."""
    from tokenizers import Tokenizer as Library

    content = json.loads(path.read_text(encoding="utf-8"))
    for token in content["added_tokens"]:
        token["special"] = True
    library = Library.from_str(json.dumps(content))
    library.encode_special_tokens = True
    return library


def fuzz(tokenizer: Tokenizer, count: int, seed: int) -> str:
    """A line of what came of ``count`` random texts."""
    control, rng = list(tokenizer.vocabulary.control_ids), random.Random(seed)
    library, start = read_library(tokenizer.path), time.perf_counter()
    found: Counter[str] = Counter()
    changed = 0
    for _ in tqdm(range(count), str(tokenizer.path.parent), leave=False, mininterval=5):
        text = random_text(rng, control)
        changed += tokenizer.normalise(text) != text
        for problem, _ in failures(tokenizer, library, [text]):
            found[problem] += 1
            tqdm.write(f"{problem}: {text!r}")
    seconds = time.perf_counter() - start
    return f"{count:,} random texts, {found.total():,} failures, {changed:,} normalised, {seconds:,.0f} s"


def compare_records(tokenizer: Tokenizer, paths: Sequence[str]) -> str:
    """Where the ids of the whole text are not those of its segments, by the text of the token across the seam.

    As Table 13 has it: the space before a turn belongs to the turn where the vocabulary adds none.
    """
    records = tokens = seams = changed = 0
    across: dict[str, Counter[str]] = {"before a turn": Counter(), "after a turn": Counter()}
    for trajectory in read(paths, "skip")[0]:
        parts = Table13(tokenizer).segments(trajectory.tools, trajectory.messages)
        segments = [part.text for part in parts]
        for before, after, part in zip(segments, segments[1:], parts, strict=False):
            seams += 1
            tail, head = before[-40:], after[:40]
            whole = tokenizer.encode(tail + head)
            if whole != [*tokenizer.encode(tail), *tokenizer.encode(head)]:
                token = straddling(tokenizer, whole, len(tokenizer.normalise(tail).encode()))
                across["before a turn" if part.turn is None else "after a turn"][token] += 1
        records += 1
        tokens += sum(len(tokenizer.encode(segment)) for segment in segments)
        changed += any(tokenizer.normalise(segment) != segment for segment in segments)
    lines = [f"{records:,} records, {tokens:,} tokens, {seams:,} seams; {changed:,} records normalised"]
    for place, counts in across.items():
        most = ", ".join(f"{count:,} {token!r}" for token, count in counts.most_common(6))
        lines.append(f"    a token across the seam {place}: {counts.total():,}" + f" ({most})" * bool(counts))
    return "\n".join(lines)


def straddling(tokenizer: Tokenizer, ids: Sequence[int], seam: int) -> str:
    """The text of the token that lies across byte ``seam``; empty where the cut only moves other tokens."""
    at = 0
    for id in ids:
        end = at + len(tokenizer.bytes_of(id))
        if at < seam < end:
            return tokenizer.bytes_of(id).decode(errors="replace")
        at = end
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", metavar="FOLDER", help="folders with a tokenizer.json")
    parser.add_argument("--texts", type=int, default=1_000_000, help="random texts to compare (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the texts (default: %(default)s)")
    parser.add_argument(
        "--records", nargs="*", default=[], metavar="FILE", help="trajectory files to compare on as well"
    )
    options = parser.parse_args()
    for folder in options.folders:
        tokenizer = Tokenizer(folder)
        print(f"{tokenizer.path}: {tokenizer.vocab_size:,} ids")
        if options.texts:
            print(f"  {fuzz(tokenizer, options.texts, options.seed)}", flush=True)
        if options.records:
            print(f"  {compare_records(tokenizer, options.records)}", flush=True)


if __name__ == "__main__":
    main()
