"""Evaluates a model on a suite of plain-text items (see `tl.evaluation.suites.general`)."""

import time
from collections.abc import Callable
from dataclasses import replace

from tl.evaluation.suites.general import TextResult, TextSuite
from tl.llama.model import Llama
from tl.llama.texts import continuation_logprobs, encode_text, write_on
from tl.llama.tokenizer import Tokenizer

ITEMS = 64  # batch size when choices are compared


def limited(suite: TextSuite, limit: int | None) -> TextSuite:
    """The suite with `limit` evenly spaced items, so that every group is represented."""
    n = len(suite.items)
    if limit is None or limit >= n:
        return suite
    return replace(suite, items=tuple(suite.items[i * n // limit] for i in range(limit)))


def evaluate(
    suite: TextSuite,
    model: Llama,
    tokenizer: Tokenizer,
    name: str,
    batch_size: int,
    finished: Callable[[], object] = lambda: None,
) -> TextResult:
    """Evaluates all items and grades the answers; `finished` is called once per item.

    An item that leaves no room for an answer even without shots counts, with an empty answer.
    """
    start = time.perf_counter()
    room = model.config.context_length - max(1, suite.max_new_tokens)
    texts = [item.prompt(lambda text: len(encode_text(tokenizer, text)) <= room) for item in suite.items]
    dropped = sum(n for _, n in texts)
    fits = [i for i, (text, _) in enumerate(texts) if len(encode_text(tokenizer, text)) < model.config.context_length]
    for _ in range(len(texts) - len(fits)):
        finished()
    said, cut = [""] * len(texts), 0
    if suite.max_new_tokens:
        prompts = [texts[i][0] for i in fits]
        limits = suite.max_new_tokens, suite.stops
        written = write_on(model, tokenizer, prompts, *limits, batch_size=batch_size, finished=finished)
        for i, answer in zip(fits, written, strict=True):
            said[i] = answer.text
        cut = sum(answer.cut for answer in written)
    else:
        for at in range(0, len(fits), ITEMS):
            some = fits[at : at + ITEMS]
            choices = [suite.items[i].choices for i in some]
            sums = continuation_logprobs(model, tokenizer, [texts[i][0] for i in some], choices)
            for i, each in zip(some, sums, strict=True):
                said[i] = suite.items[i].choices[max(range(len(each)), key=each.__getitem__)]  # the first one if tied
                finished()
    grades = suite.grade(suite.items, said)
    return TextResult(name, said, grades, cut, dropped, len(texts) - len(fits), time.perf_counter() - start)
