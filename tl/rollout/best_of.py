"""Best of N: samples several answers for a turn and chooses one; only the chosen call is executed."""

import random
from collections.abc import Callable, Sequence

import torch

from tl.calls import Call, CallSyntaxError, parse_call, same_value
from tl.llama.model import Critic, Llama
from tl.llama.sampling import Completion
from tl.llama.tokenizer import Tokenizer
from tl.rollout.policy import LlamaPolicy

Choose = Callable[[Sequence[int], Sequence[Completion]], Completion]  # (prompt, answers) -> chosen answer


class BestOfPolicy(LlamaPolicy):
    """A LlamaPolicy that samples ``samples`` answers for each turn at temperature 1, of which ``choose`` takes one. The
    samples depend only on ``seed`` and the prompt."""

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        batch_size: int,
        max_new_tokens: int,
        samples: int,
        choose: Choose,
        seed: int,
    ) -> None:
        super().__init__(model, tokenizer, batch_size, max_new_tokens)
        self.samples, self.choose, self.seed = samples, choose, seed

    def complete(self, prompts: Sequence[Sequence[int]]) -> list[Completion]:
        many = [prompt for prompt in prompts for _ in range(self.samples)]
        seeds = [random.Random(f"{self.seed} {n % self.samples} {list(p)}").getrandbits(62) for n, p in enumerate(many)]
        drawn = self.sampler.complete(many, self.max_new_tokens, 1.0, seeds=seeds)
        first = range(0, len(many), self.samples)
        return [self.choose(p, drawn[n : n + self.samples]) for n, p in zip(first, prompts, strict=True)]


def first(prompt: Sequence[int], answers: Sequence[Completion]) -> Completion:
    """The first answer, as a baseline."""
    return answers[0]


def majority(read: Callable[[Completion], Sequence[str]]) -> Choose:
    """Chooses the answer whose calls are the most frequent (self-consistency, arXiv 2203.11171), the first on a tie.
    Calls are compared as in the metrics, and text that is not a call has no vote. ``read`` gives the texts of an
    answer's calls."""

    def calls_of(answer: Completion) -> list[Call] | None:
        try:
            return [parse_call(text) for text in read(answer)] if answer.stopped else None
        except CallSyntaxError:
            return None

    def choose(prompt: Sequence[int], answers: Sequence[Completion]) -> Completion:
        called = [calls_of(answer) for answer in answers]
        votes = [sum(_equal(mine, other) for other in called) for mine in called]
        return answers[votes.index(max(votes))]

    return choose


def _equal(a: list[Call] | None, b: list[Call] | None) -> bool:
    if a is None or b is None or len(a) != len(b):
        return False
    return all(x.name == y.name and same_value(x.arguments, y.arguments) for x, y in zip(a, b, strict=True))


def most_valued(prm: Critic) -> Choose:
    """Chooses the answer with the highest value at its end, by a process reward model. Answers that were cut only count
    if all were."""

    @torch.no_grad()
    def choose(prompt: Sequence[int], answers: Sequence[Completion]) -> Completion:
        ended = [answer for answer in answers if answer.stopped] or answers
        shared = len(prompt) - 1  # prompt tokens that are read once for all answers
        texts = [answer.text_ids for answer in ended]
        read = [[*prompt, *texts[0]], *([prompt[-1], *text] for text in texts[1:])]
        lengths = torch.tensor([len(ids) for ids in read])
        flat, ends = torch.tensor([[id for ids in read for id in ids]]), lengths.cumsum(0) - 1
        device = prm.embed_tokens.weight.device
        prefixes = [0, *[shared] * (len(read) - 1)]
        values = prm(flat.to(device), lengths.tolist(), prefixes, at=ends.to(device))[0]
        return ended[int(values.argmax())]

    return choose
