"""Pairs of answers as tokens, for DPO. The model reads the history of a pair once: the rejected answer attends to the
history in front of the chosen one (see the picture in ``tl/rl/prefix_groups.py``).

P counts the pairs of a micro-batch, M its targets: the tokens of both answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tl.datasets import DataError, OnBadData, ReadReport
from tl.datasets.preferences import Pair, read_pairs
from tl.llama.tokenizer import Tokenizer
from tl.prompt import EncodingOptions, Example, digest, encode_trajectory, make_example
from tl.templates import template_of
from tl.training.batching import MicroBatch, collate, micro_batch_indices
from tl.training.distributed import World


@dataclass(frozen=True)
class TokenPair:
    """Two answers to one history. Targets are the assistant's turns after it, all with weight 1, including erroneous
    calls and text."""

    chosen: Example
    rejected: Example
    history: int  # tokens read once for both: all before the one that predicts the first target

    def __len__(self) -> int:
        """Number of tokens that a model reads."""
        return len(self.chosen) + len(self.rejected) - self.history

    @property
    def targets(self) -> list[int]:
        """Number of targets of the chosen and of the rejected answer."""
        return [int(side.weights.count_nonzero()) for side in (self.chosen, self.rejected)]


@dataclass(frozen=True)
class PairData:
    """The pairs of a run, and what was left out."""

    pairs: list[TokenPair]
    too_long: int
    report: ReadReport

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that training sees of the pairs, in order."""
        sides = (side for pair in self.pairs for side in (pair.chosen, pair.rejected))
        return digest(tensor for side in sides for tensor in (side.input_ids, side.weights)).hex()

    def lines(self) -> list[str]:
        read = sum(map(len, self.pairs))
        whole = sum(len(pair.chosen) + len(pair.rejected) for pair in self.pairs)
        chosen, rejected = (sum(n) / len(self.pairs) for n in zip(*(p.targets for p in self.pairs), strict=True))
        return [
            f"pairs               {len(self.pairs):,}",
            f"tokens an answer    {chosen:,.0f} chosen, {rejected:,.0f} rejected, on average",
            f"tokens read         {read:,}; {whole:,} without sharing the histories",
            f"dropped             {len(self.report.bad):,} bad records, {self.too_long:,} pairs too long",
            *(f"notes               {line}" for line in self.report.note_lines()),
        ]


def load_pairs(
    paths: Sequence[str],
    tokenizer: Tokenizer,
    max_length: int,
    max_feedback_tokens: int,
    on_bad: OnBadData = "error",
) -> PairData:
    """Reads and tokenises the pairs in preference files. Raises DataError for bad records, or if no pair is left."""
    options = EncodingOptions(mae=False, pkt=False, max_length=max_length, max_feedback_tokens=max_feedback_tokens)
    encoded: list[TokenPair | None] = []
    _, report = read_pairs(paths, on_bad, lambda pair: encoded.append(encode_pair(pair, tokenizer, options)))
    report.warn()
    pairs = [pair for pair in encoded if pair is not None]
    if not pairs:
        raise DataError(
            f"no pair is left to train on: {len(report.bad)} bad, {len(encoded)} of more than --max_length {max_length}"
        )
    return PairData(pairs, len(encoded) - len(pairs), report)


def encode_pair(pair: Pair, tokenizer: Tokenizer, options: EncodingOptions) -> TokenPair | None:
    """The pair as tokens; None if a side is longer than ``options.max_length``."""
    common = sum(message.role == "assistant" for message in pair.chosen.messages[: pair.history])
    sides = []
    for trajectory in pair:
        example = encode_trajectory(trajectory, tokenizer, options)
        if example is None or example.turns_cut:
            return None
        said = [message.trained for message in trajectory.messages if message.role == "assistant"]
        turns = [replace(turn, trained=number >= common and said[number]) for number, turn in enumerate(example.turns)]
        sides.append(make_example(example.id, example.input_ids, turns, 0, template_of(tokenizer).end_id))
    chosen, rejected = sides
    return TokenPair(chosen, rejected, chosen.turns[common].start - 1)


def micro_batches(
    pairs: Sequence[TokenPair], micro_tokens: int, world: World
) -> Iterator[tuple[list[int], MicroBatch, Tensor]]:
    """This rank's share of a batch in micro-batches of whole pairs. Yields (indices of the pairs, the model's input,
    the number of each target's answer [M]: 0 for the first pair's chosen answer, 1 for its rejected one, 2 …)."""
    for indices in micro_batch_indices(list(map(len, pairs)), micro_tokens, world.rank, world.size):
        mine = [pairs[i] for i in indices]
        examples = [side for pair in mine for side in (pair.chosen, pair.rejected)]
        micro = collate(examples, [n for pair in mine for n in (0, pair.history)])
        counts = torch.tensor([n for pair in mine for n in pair.targets], dtype=torch.long)
        yield indices, micro.to(world.device), torch.arange(len(counts)).repeat_interleave(counts).to(world.device)


def answer_logp(logp: Tensor, answer: Tensor, pairs: int) -> tuple[Tensor, Tensor]:
    """log p of the chosen and of the rejected answers, both [P]. ``logp`` [M] is that of each target and ``answer`` the
    number of its answer, from ``micro_batches``."""
    chosen, rejected = logp.new_zeros(2 * pairs).index_add(0, answer, logp).view(pairs, 2).unbind(1)
    return chosen, rejected
