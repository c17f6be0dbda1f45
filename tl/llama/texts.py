"""Plain text without a prompt format: continuations by a model, and log-probabilities of texts."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from tl.llama.model import Llama
from tl.llama.sampling import MIN_SHARED, Sampler, common_prefix
from tl.llama.tokenizer import Tokenizer

MAX_PACK = 4096  # tokens in one forward of texts that are only read


@dataclass(frozen=True)
class Written:
    """Text written by a model, up to a stop string or end of text; ``cut`` if neither came within the limit."""

    text: str
    cut: bool


def write_on(
    model: Llama,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    max_new_tokens: int,
    stops: Sequence[str] = (),
    *,
    batch_size: int = 16,
    finished: Callable[[], object] = lambda: None,
) -> list[Written]:
    """Continues each prompt greedily until the continuation contains one of ``stops``, which is cut off with the rest.

    Stop strings are searched for in the text, because they can begin or end within a token. ``finished`` is called once
    for each prompt. Raises ValueError as ``Sampler.complete`` does.
    """
    longest = max((len(stop.encode()) for stop in stops), default=1)

    def ends(ids: list[int]) -> bool:
        text = tokenizer.continuation(ids[-longest:])  # a token is a byte at least
        return any(stop in text for stop in stops)

    sampler = Sampler(model, max(1, min(batch_size, len(prompts))))
    ids = [encode_text(tokenizer, prompt) for prompt in prompts]
    written = []
    for completion in sampler.complete(ids, max_new_tokens, ends=ends, finished=finished):
        text = tokenizer.continuation(completion.text_ids)
        end = min((text.find(stop) for stop in stops if stop in text), default=None)
        written.append(Written(text[:end], not completion.stopped and end is None))
    return written


@dataclass(frozen=True)
class _Asked:
    """A continuation to score: the tokens ``ids[start:]`` of a text."""

    place: tuple[int, int]  # number of its context, and its own number among those of the context
    ids: list[int]
    start: int


@torch.no_grad()
def continuation_logprobs(
    model: Llama,
    tokenizer: Tokenizer,
    contexts: Sequence[str],
    continuations: Sequence[Sequence[str]],
) -> list[list[float]]:
    """log p(continuation | context) in nats, summed over its tokens, for each of the continuations of each context.

    Context and continuation are encoded as one text, whose first ``len(encode(context))`` ids are the context: encoded
    alone, a continuation such as " A" may get other ids. Common beginnings of texts are read once, so that all
    continuations of one token take a single forward over their context.
    """
    asked: dict[tuple[int, ...], list[_Asked]] = {}  # by the ids that the model reads: all but the last
    for i, (context, choices) in enumerate(zip(contexts, continuations, strict=True)):
        start = len(encode_text(tokenizer, context))
        for j, choice in enumerate(choices):
            ids = encode_text(tokenizer, context + choice)
            if not 0 < start < len(ids) <= model.config.context_length:
                raise ValueError(
                    f"context {i} has {start} tokens and {len(ids)} with its continuation {choice!r:.20}; both need "
                    f"one at least, and this model takes {model.config.context_length}"
                )
            asked.setdefault(tuple(ids[:-1]), []).append(_Asked((i, j), ids, start))
    sums = [[0.0] * len(choices) for choices in continuations]
    for texts, prefixes in _packs({ids: min(one.start for one in ones) for ids, ones in asked.items()}):
        lengths = [len(ids) - n for ids, n in zip(texts, prefixes, strict=True)]
        fed = torch.tensor([i for ids, n in zip(texts, prefixes, strict=True) for i in ids[n:]])
        hidden = model(fed[None].to(model.lm_head.weight.device), lengths, prefixes, return_hidden=True)[0]  # [N, C]
        for text, end in zip(texts, itertools.accumulate(lengths), strict=True):
            for one in asked[text]:
                due = hidden.new_tensor(one.ids[one.start :], dtype=torch.long)
                logprobs = model.lm_head(hidden[end - len(due) : end]).float().log_softmax(-1)
                i, j = one.place
                sums[i][j] = logprobs.gather(-1, due[:, None]).sum().item()
    return sums


def _packs(starts: dict[tuple[int, ...], int]) -> Iterator[tuple[list[tuple[int, ...]], list[int]]]:
    """Yields the texts to read in one forward, and their prefixes (see ``Llama.forward``). ``starts`` maps each text to
    the place of the first token that is to be predicted."""
    texts: list[tuple[int, ...]] = []
    prefixes: list[int] = []
    fed, first = 0, np.zeros(0, np.int64)
    for ids in sorted(starts):
        array = np.asarray(ids)
        n = min(common_prefix(first, array), starts[ids] - 1)
        n = n if n >= MIN_SHARED else 0
        if texts and fed + len(ids) - n > MAX_PACK:
            yield texts, prefixes
            texts, prefixes, fed, n = [], [], 0, 0
        if not n:
            first = array
        texts.append(ids)
        prefixes.append(n)
        fed += len(ids) - n
    if texts:
        yield texts, prefixes


def encode_text(tokenizer: Tokenizer, text: str) -> list[int]:
    """Ids of a whole text, which begins with `<s>` if the vocabulary has it."""
    return [*tokenizer.start(), *tokenizer.encode(text)]
