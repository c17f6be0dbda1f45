"""InterCode-bash's reward (Yang et al., 2023, arXiv 2306.14898): 0.01 and three parts of 0.33, for the changes of the
file system, the content of what was added, and the output."""

import math
import re
from collections import Counter
from collections.abc import Collection, Mapping

from tl.evaluation.suites.intercode.shell import Change

ADDED = ("??", "A", "C")  # states of files whose content is compared; modified files are never compared
_WORD = re.compile(r"\b\w\w+\b")


def changes_part(ours: Collection[Change], golden: Collection[Change]) -> float:
    """0.33 (1 - erf(n)) for n changes that only one side made: 0.33, 0.05, 0 for 0, 1, 2."""
    return round(0.33 * (1 - math.erf(len(set(ours) ^ set(golden)))), 2)


def content_part(ours: Mapping[Change, str], golden: Mapping[Change, str]) -> float:
    """0.33 times the share of equal digests among the files that both sides added."""
    common = ours.keys() & golden.keys()
    return round(0.33 * sum(ours[c] == golden[c] for c in common) / len(common), 2) if common else 0.33


def output_part(ours: str, golden: str) -> float:
    """0.33 times the similarity of two outputs."""
    return round(0.33 * similarity(ours, golden), 2)


def similarity(a: str, b: str) -> float:
    """Cosine of the tf-idf vectors of two texts, fitted on these alone: lower-case words of at least two characters,
    idf = ln(3 / (1 + df)) + 1. For texts without such words: whether they are equal."""
    counts = [Counter(_WORD.findall(text.lower())) for text in (a, b)]
    words = counts[0].keys() | counts[1].keys()
    if not words:
        return float(a == b)
    idf = {word: math.log(3 / (1 + (word in counts[0]) + (word in counts[1]))) + 1 for word in words}
    vectors = [{word: n * idf[word] for word, n in count.items()} for count in counts]
    norms = [math.sqrt(sum(x * x for x in vector.values())) for vector in vectors]
    dot = sum(x * vectors[1].get(word, 0.0) for word, x in vectors[0].items())
    return dot / (norms[0] * norms[1]) if all(norms) else 0.0
