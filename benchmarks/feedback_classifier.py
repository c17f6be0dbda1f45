"""Precision and recall of `tl.mae.classify_feedback` against the error signals that datasets carry themselves.

    python -m benchmarks.feedback_classifier openai_messages.jsonl.gz
    python -m benchmarks.feedback_classifier openai_messages.jsonl.gz --rotbench clean.json.gz error_strings.jsonl

The first file holds OpenAI messages whose tool messages have a key `error` (true, false or null). RoTBench has no such
key: its errors are the texts of the second file, which were marked by hand. What counts is each distinct text of a
source; "positive" means erroneous.

**Two halves.** Texts are split by tool (SHA-256 of its name; where a source has a single tool, of the program that its
call begins with). The rules were written looking at half A alone; half B was measured once they stood. A text of half A
is left out of half B.

**What is set aside** in the corrected figures (the raw ones keep everything) was fixed before half B was read:

1. `blank`: an error without any text.
2. `both`: a text that its source marks both ways.
3. `no sign`: marked as an error, but the text is a result or a notice like any other.
4. `wrong signal`: marked as fine, but the text says that a program or a server could not do its work. (A shell's exit
   status is that of the last program of a pipeline; ToolBench's signal is its outer `error` field.)

Texts set aside for 3 and 4 were chosen by reading all of InterCode, ToolBench and StableToolBench and the errors of the
others, half B before it was known which texts the rules get wrong; `feedback_set_aside.tsv` names them by hash.
`--list` prints all that is set aside. docs/feedback.md has the figures.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gzip
import hashlib
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tl.mae import ErrorCategory, classify_feedback

SET_ASIDE = Path(__file__).with_name("feedback_set_aside.tsv")

# The rule of the paper's released code: one of these in the text, letters and digits compared alone.
RELEASED = [
    "is not defined", "positional argument", "unexpected keyword", "'related_searches'", "ConnectionError", '"error":',
    "not supported", "Invalid API call", "Response error", "Object of type SerpResults is not JSON serializable",
    "400 Client Error", "'error'", "slice indices must be integers", "connection error",
]  # fmt: skip


@dataclass
class Text:
    """One distinct feedback of a source: how often it is marked as an error (True) or as fine (False), and its half."""

    source: str
    text: str
    half: str
    marks: Counter = field(default_factory=Counter)

    @property
    def sha(self) -> str:
        return hashlib.sha256(f"{self.source}\n{self.text}".encode()).hexdigest()[:12]


def openai_feedback(path: Path) -> Iterator[tuple[str, str, str, str, bool]]:
    """(source, tool, arguments, text, error) of every tool message that has a signal."""
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
        for record in map(json.loads, lines):
            calls = {}
            for message in record["messages"]:
                calls |= {call["id"]: call["function"] for call in message.get("tool_calls") or []}
                if message["role"] == "tool" and message.get("error") is not None:
                    call = calls.get(message["tool_call_id"], {"name": "", "arguments": ""})
                    yield record["source"], call["name"], call["arguments"], message["content"], message["error"]


def rotbench_feedback(path: Path, errors: Path) -> Iterator[tuple[str, str, str, str, bool]]:
    """The same of RoTBench's Third_Turn file; `errors` holds the first 400 characters of each erroneous text."""
    with open(errors, encoding="utf-8") as lines:
        marked = {e["text"] for e in map(json.loads, lines) if e["source"].startswith("rotbench")}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = json.load(file)
    for record in records:
        tool = ""
        for turn in record["conversations"]:
            if turn["from"] == "assistant" and isinstance(turn["value"], str):
                tool = re.search(r"Action: (.*)", turn["value"])[1]
            elif turn["from"] == "function":
                yield "rotbench", tool, "", turn["value"], turn["value"][:400] in marked


def distinct_texts(rows: list[tuple[str, str, str, str, bool]]) -> list[Text]:
    """The distinct texts of each source with their marks; a text that occurs in both halves belongs to A."""
    tools = defaultdict(set)
    for source, tool, *_ in rows:
        tools[source].add(tool)
    texts: dict[tuple[str, str], Text] = {}
    for source, tool, arguments, text, error in rows:
        key = tool if len(tools[source]) > 1 else program(arguments)
        half = "AB"[hashlib.sha256(key.encode()).digest()[0] % 2]
        entry = texts.setdefault((source, text), Text(source, text, half))
        entry.half = min(entry.half, half)
        entry.marks[error] += 1
    return list(texts.values())


def program(arguments: str) -> str:
    """The first word of a shell command."""
    with contextlib.suppress(ValueError, AttributeError, StopIteration):
        arguments = str(next(iter(json.loads(arguments).values())))
    word = re.search(r"[A-Za-z_][\w.-]*", arguments)
    return word[0] if word else ""


def reason_to_set_aside(text: Text, by_hand: dict[str, str]) -> str | None:
    if len(text.marks) > 1:
        return "both"
    if text.marks[True] and not text.text.strip():
        return "blank"
    return by_hand.get(text.sha)


def released_rule(text: str) -> bool:
    def letters(s: str) -> str:
        return re.sub(r"[^a-z0-9]", "", s.lower())

    plain = letters(text)
    return any(letters(sign) in plain for sign in RELEASED)


def ours(text: str) -> bool:
    return classify_feedback(text) is not ErrorCategory.ALL_RIGHT


def figures(texts: list[Text], rule: Callable[[str], bool]) -> str:
    """Precision and recall, as `0.987 0.975 (tp 78, fp 1, fn 2)`. A text marked both ways is an error."""
    found = Counter((rule(text.text), True in text.marks) for text in texts)
    tp, fp, fn = found[True, True], found[True, False], found[False, True]

    def ratio(of: int, total: int) -> str:
        return f"{of / total:.3f}" if total else "    –"

    return f"{ratio(tp, tp + fp)} {ratio(tp, tp + fn)} (tp {tp}, fp {fp}, fn {fn})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="OpenAI messages as JSON lines, plain or gzipped")
    parser.add_argument(
        "--rotbench", type=Path, nargs=2, metavar=("CLEAN", "ERRORS"), help="RotBench files to test on, described above"
    )
    parser.add_argument("--list", action="store_true", help="print the texts that are excluded")
    parser.add_argument("--mistakes", choices=["A", "B"], help="print the misclassified texts of this half")
    arguments = parser.parse_args()

    rows = list(openai_feedback(arguments.data))
    if arguments.rotbench:
        rows += rotbench_feedback(*arguments.rotbench)
    texts = distinct_texts(rows)
    with open(SET_ASIDE, encoding="utf-8", newline="") as file:
        by_hand = {row["sha"]: row["reason"] for row in csv.DictReader(file, delimiter="\t")}
    aside = {text.sha: reason for text in texts if (reason := reason_to_set_aside(text, by_hand))}

    print("precision and recall of 'erroneous' on distinct texts")
    for source in sorted({text.source for text in texts}):
        for half in "AB":
            raw = [text for text in texts if (text.source, text.half) == (source, half)]
            kept = [text for text in raw if text.sha not in aside]
            print(f"{source} {half}: {len(raw)} texts, {sum(True in t.marks for t in raw)} errors")
            print(f"    released rule  {figures(raw, released_rule)}")
            print(f"    raw            {figures(raw, ours)}")
            print(f"    corrected      {figures(kept, ours)}, {len(raw) - len(kept)} set aside")
    for text in texts:
        wrong = ours(text.text) != (True in text.marks) and text.half == arguments.mistakes and text.sha not in aside
        if wrong or (arguments.list and text.sha in aside):
            why = aside.get(text.sha, "wrong")
            print(f"{text.sha} {text.source} {text.half} {dict(text.marks)} {why}: {text.text[:300]!r}")


if __name__ == "__main__":
    main()
