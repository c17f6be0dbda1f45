"""Sampling from a Llama: many sequences at once, each token processed once.

``generate`` takes prompts and returns new tokens. ``Sampler`` does the work; if it is kept over the turns of an
episode, it only processes the new part of each history.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tl.llama.cache import KVCache, room_for
from tl.llama.model import Llama

MIN_SHARED = 32  # tokens; a shorter common prefix is read again rather than copied
MAX_ROWS = 16  # texts that are continued at a time, where no setting says otherwise
CACHED_TOKENS = 32_768  # upper limit of the cache: 16 GiB of keys and values in a 7B model
MAX_PREFILL = 16_384  # tokens of new prompts in one forward (a longer prompt comes alone); bounds its activations


def rows_at_a_time(rows: int, longest: int) -> int:
    """How many texts a sampler of ``rows`` continues at a time if the longest gets ``longest`` tokens."""
    return min(rows, max(1, CACHED_TOKENS // room_for(longest)))


def cache_size(rows: int, longest: Iterable[int], grows: bool = False) -> int:
    """Peak size in tokens of a KV cache of ``rows``, over calls of ``complete`` whose longest texts get these lengths.
    ``grows``: there are several calls, and while the cache is enlarged, its old keys or values exist beside the new."""
    most = max(rows_at_a_time(rows, n) * room_for(n) for n in longest)
    return most * 3 // 2 if grows else most


@dataclass
class Completion:
    """The drawn ids and, if asked for, the log-probability of each. If ``stopped``, the last id ends the text: an
    action of the model, but no part of the text."""

    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stopped: bool = False

    @property
    def text_ids(self) -> list[int]:
        return self.ids[:-1] if self.stopped else self.ids


def generate(
    model: Llama,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    temperature: float = 0.0,
    *,
    eos_id: int | None = None,
    batch_size: int = 16,
    seeds: Sequence[int] | None = None,
) -> list[list[int]]:
    """Continues each prompt by at most ``max_new_tokens`` ids; see ``Sampler.complete`` for arguments and errors.

    The model's end-of-text ids end a text, and ``eos_id`` if given (-1: nothing ends a text); an output without one of
    them was cut. ``batch_size`` prompts are continued at a time, fewer if they are long; the others wait for a free
    row.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    sampler = Sampler(model, min(batch_size, len(prompts)), eos_id=eos_id)
    return [c.ids for c in sampler.complete(prompts, max_new_tokens, temperature, seeds=seeds)]


@dataclass(eq=False)
class _Sequence:
    """A prompt and its completion so far."""

    prompt: np.ndarray  # [n] int64
    budget: int  # tokens that may be drawn
    rng: random.Random  # its own, so that draws do not depend on the rest of the batch
    completion: Completion
    ends: Callable[[list[int]], bool]
    unread: list[int] = field(default_factory=list)  # tokens that are not in the cache yet: the next forward reads them

    @property
    def done(self) -> bool:
        ids = self.completion.ids
        return self.completion.stopped or len(ids) == self.budget or self.ends(ids)


class Sampler:
    """A KV cache of ``rows`` texts and the loop that continues them. Make a new one when the model's weights change.

    There are fewer rows if ``rows`` of the longest texts would exceed CACHED_TOKENS.

    Each forward reads the unread tokens of every running row (the prompt of a new row, otherwise the token drawn last)
    and draws one token for each row. The running rows are the first rows of the cache. A finished row keeps its tokens
    until another prompt needs it. A new prompt takes over the row whose text it continues (the next turn of an
    episode), or copies the longest prefix that it shares with a row (the same tool documentation).

    Nothing here waits for other ranks: under FSDP make and use a sampler within ``tl.training.distributed.unsharded``.
    """

    def __init__(self, model: Llama, rows: int, *, eos_id: int | None = None) -> None:
        weight, config = model.lm_head.weight, model.config
        self.model = model
        own = (config.eos_token_id, *config.other_eos_token_ids)
        self.eos_ids = own if eos_id is None else (eos_id, *own) if eos_id >= 0 else ()
        self.rows = rows
        self.cache = KVCache(config, 0, 0, weight.dtype, weight.device)
        self.held: list[np.ndarray] = []  # token ids in each row of the cache; of a running row, those of its prompt
        self.running: list[_Sequence] = []  # the sequences of the first rows

    @torch.no_grad()
    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        temperature: float = 0.0,
        *,
        seeds: Sequence[int] | None = None,
        logprobs: bool = False,
        ends: Callable[[list[int]], bool] = lambda ids: False,
        finished: Callable[[], object] = lambda: None,
    ) -> list[Completion]:
        """Continues each prompt until an end-of-text id, ``max_new_tokens`` or the model's ``context_length``.

        Args:
            temperature: 0 is greedy decoding.
            seeds: one per prompt (default: from torch's generator); up to rounding, its draws depend on it alone.
            logprobs: return log-probabilities, of softmax(logits / temperature) (greedy: of softmax(logits)).
            ends: called with the ids drawn so far after each token; True ends the text, for example at a stop string.
            finished: called once for each completed prompt.

        Raises ValueError for a setting out of range, and for a prompt that is empty or leaves no room for a token.
        """
        if temperature < 0:
            raise ValueError(f"temperature is {temperature}; it must be at least 0")
        if seeds is None:  # greedy decoding leaves torch's generator alone
            seeds = torch.randint(2**62, (len(prompts),)).tolist() if temperature > 0 else [0] * len(prompts)
        sequences = self._sequences(prompts, max_new_tokens, seeds, ends)
        self._reserve(len(sequences), max((len(s.prompt) + s.budget for s in sequences), default=1))
        waiting = self._order(sequences)
        try:
            while waiting or self.running:
                self._admit(waiting)
                self._draw(self._forward(), temperature, logprobs)
                for _ in range(self._retire()):
                    finished()
        except BaseException:  # the cache and its records may disagree now: use neither
            self.running.clear()
            self.held = [held[:0] for held in self.held]
            raise
        return [s.completion for s in sequences]

    def _sequences(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int,
        seeds: Sequence[int],
        ends: Callable[[list[int]], bool],
    ) -> list[_Sequence]:
        if len(seeds) != len(prompts):
            raise ValueError(f"{len(seeds)} seeds for {len(prompts)} prompts")
        limit = self.model.config.context_length
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {max_new_tokens}; it must be at least 1")
        for i, prompt in enumerate(prompts):
            if not 0 < len(prompt) < limit:
                raise ValueError(f"prompt {i} has {len(prompt)} tokens; this model takes 1 to {limit - 1}")
        return [
            _Sequence(
                np.asarray(prompt, dtype=np.int64),
                min(max_new_tokens, limit - len(prompt)),
                random.Random(seed),
                Completion(),
                ends,
            )
            for prompt, seed in zip(prompts, seeds, strict=True)
        ]

    def _reserve(self, n: int, longest: int) -> None:
        """Makes room for n texts of up to ``longest`` tokens. Rows keep what fits, and everything if there is room."""
        rows = rows_at_a_time(self.rows, longest)
        if min(n, rows) <= len(self.held) and longest <= self.cache.capacity:
            return
        self.cache.reserve(rows, longest)
        lost = [np.zeros(0, dtype=np.int64)] * len(self.cache.lengths)
        self.held = [ids[:n] for ids, n in zip([*self.held, *lost], self.cache.lengths, strict=False)]

    def _order(self, sequences: list[_Sequence]) -> list[_Sequence]:
        """First those that continue a row, before another prompt takes it; sorted, so that common prefixes adjoin."""

        def key(sequence: _Sequence) -> tuple[bool, list[int]]:
            prompt = sequence.prompt
            continues = any(len(held) and common_prefix(held, prompt) == len(held) for held in self.held)
            return not continues, prompt.tolist()

        return sorted(sequences, key=key)

    def _admit(self, waiting: list[_Sequence]) -> None:
        """Gives free rows to waiting sequences and removes these from the list."""
        ready = len(self.running)  # rows that start now are not in the cache yet: nothing can be copied from them
        unread = 0
        for sequence in list(waiting):
            if len(self.running) == len(self.held):
                return
            # The last token of a prompt is always read: the first draw is from its logits.
            shared = [min(common_prefix(held, sequence.prompt), len(sequence.prompt) - 1) for held in self.held]
            sources = [row for row in range(len(shared)) if not ready <= row < len(self.running)]
            source = max(sources, key=shared.__getitem__)
            if max(shared) >= shared[source] + MIN_SHARED:
                continue  # another prompt is about to read the same prefix
            length = shared[source] if shared[source] >= MIN_SHARED else 0
            if unread and unread + len(sequence.prompt) - length > MAX_PREFILL:
                return
            self._start(sequence, source, length)
            waiting.remove(sequence)
            unread += len(sequence.unread)

    def _start(self, sequence: _Sequence, source: int, length: int) -> None:
        """Starts a sequence in a free row, with the first ``length`` tokens of row ``source`` as its beginning."""
        end = len(self.running)
        continued = source >= end and len(self.held[source]) == length
        row = source if continued else min(range(end, len(self.held)), key=lambda r: len(self.held[r]))
        self.cache.copy_prefix(source, row, length)
        self.held[row] = sequence.prompt
        sequence.unread = sequence.prompt[length:].tolist()
        self._swap(row, end)
        self.running.append(sequence)

    def _forward(self) -> Tensor:
        """Reads the unread tokens of every running row. Returns the logits [n, V] after the last one of each."""
        unread = [s.unread for s in self.running]
        lengths = [len(ids) for ids in unread]
        ids = torch.tensor([i for row in unread for i in row], device=self.cache.keys.device)
        free = [0] * (len(self.held) - len(lengths))
        if len(ids) == len(unread):
            shape, last = (-1, 1), None
        else:
            shape, last = (1, -1), torch.tensor(lengths, device=ids.device).cumsum(0) - 1
        return self.model(ids.view(shape), lengths=lengths + free, cache=self.cache, at=last).flatten(0, 1)

    def _draw(self, logits: Tensor, temperature: float, logprobs: bool) -> None:
        """Draws the next token of every running row from logits [n, V]."""
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if temperature > 0:
            logits = logits / temperature
            uniform = torch.tensor([s.rng.random() for s in self.running], dtype=torch.float64, device=logits.device)
            ids = sample(logits.softmax(-1), uniform)
        else:
            ids = logits.argmax(-1)
        if logprobs:
            chosen = logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0].tolist()
            for sequence, logprob in zip(self.running, chosen, strict=True):
                sequence.completion.logprobs.append(logprob)
        for sequence, drawn in zip(self.running, ids.tolist(), strict=True):
            sequence.completion.ids.append(drawn)
            sequence.completion.stopped = drawn in self.eos_ids
            sequence.unread = [drawn]

    def _retire(self) -> int:
        """Moves finished sequences behind the running rows and returns their number. The cache does not hold their last
        token, which was drawn but not read."""
        running = len(self.running)
        for row in reversed(range(len(self.running))):
            sequence = self.running[row]
            if sequence.done:
                self.held[row] = np.concatenate((sequence.prompt, np.array(sequence.completion.ids[:-1], np.int64)))
                last = len(self.running) - 1
                self.running[row] = self.running[last]
                self._swap(row, last)
                self.running.pop()
        return running - len(self.running)

    def _swap(self, a: int, b: int) -> None:
        self.cache.swap(a, b)
        self.held[a], self.held[b] = self.held[b], self.held[a]


def sample(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Ids [n] drawn from probabilities [n, V] by inverting the cumulative distribution at ``uniform`` [n] (float64, in
    [0, 1)).

    Raises FloatingPointError if probabilities are NaN.
    """
    cumulative = probabilities.double().cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True)
    if (drawn == probabilities.shape[-1]).any():
        raise FloatingPointError("the model's probabilities are not finite: its weights have diverged")
    return drawn[:, 0]


def common_prefix(a: np.ndarray, b: np.ndarray) -> int:
    """Number of leading elements that are equal."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    return int(differs.argmax()) if differs.any() else n
