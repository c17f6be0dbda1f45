"""A local model as a `tl.rollout.dialogue.Policy`: greedy for evaluation, sampling for PPO."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tl.llama.model import Llama
from tl.llama.sampling import Completion, Sampler
from tl.llama.tokenizer import Tokenizer
from tl.prompt import encode_feedback, encode_prompt
from tl.rollout.dialogue import Dialogue, Response, StopReason
from tl.rollout.episodes import Request
from tl.templates import Template, template_of


class LlamaPolicy:
    """Answers dialogues greedily, in the tokenizer's prompt format, up to `batch_size` at a time; keeps over the turns
    what it has read. `answered` is called once for each answer, as they come."""

    def __init__(
        self,
        model: Llama,
        tokenizer: Tokenizer,
        batch_size: int,
        max_new_tokens: int,
        answered: Callable[[], object] = lambda: None,
    ) -> None:
        self.answered = answered
        self.tokenizer, self.template = tokenizer, template_of(tokenizer)
        self.max_new_tokens = max_new_tokens
        self.limit = model.config.context_length
        self.sampler = Sampler(model, batch_size, eos_id=self.template.end_id)

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Response]:
        prompts = [d.prompt_ids or encode_prompt(d.tools, d.messages, self.tokenizer) for d in dialogues]
        fit = [i for i, prompt in enumerate(prompts) if len(prompt) < self.limit]
        made = self.complete([prompts[i] for i in fit])
        responses = [_no_room(len(prompt), self.limit) for prompt in prompts]
        for i, completion in zip(fit, made, strict=True):
            responses[i] = _response(completion, self.template, self.template.read)
        return responses

    def complete(self, prompts: Sequence[Sequence[int]]) -> list[Completion]:
        """The answer to each prompt as tokens."""
        return self.sampler.complete(prompts, self.max_new_tokens, finished=self.answered)


class Drawn(NamedTuple):
    """A turn as tokens: what was read since the turn before, what was drawn, and its part of the seconds it took."""

    read: Sequence[int]
    completion: Completion
    seconds: float


class SamplingPolicy:
    """PPO's policy of some episodes: token in, token out. The prompt of an episode's next turn is that of the last one,
    the ids that were drawn there and the feedback; nothing that was drawn is tokenised again. `turns` keeps it all.

    `prompts` and `seeds`: one per episode, in the order of their numbers. `draw` gives the completions of prompts and
    seeds, and the seconds that each took. A prompt of more than `room` tokens is not continued.
    """

    def __init__(
        self,
        draw: Callable[[list[list[int]], list[int]], tuple[list[Completion], float]],
        tokenizer: Tokenizer,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[int],
        room: int,
    ) -> None:
        self.draw, self.tokenizer, self.room = draw, tokenizer, room
        self.template = template_of(tokenizer)
        self.prompts, self.seeds = prompts, seeds
        self.turns: list[list[Drawn]] = [[] for _ in prompts]

    def __call__(self, dialogues: Sequence[Dialogue]) -> list[Response]:
        reads = [self._read(dialogue) for dialogue in dialogues]
        prompts = [[*self._before(d.number), *read] for d, read in zip(dialogues, reads, strict=True)]
        fit = [i for i, prompt in enumerate(prompts) if len(prompt) <= self.room]
        made, seconds = self.draw([prompts[i] for i in fit], [self._seed(dialogues[i].number) for i in fit])
        responses = [_no_room(len(prompt), self.room) for prompt in prompts]
        for i, completion in zip(fit, made, strict=True):
            self.turns[dialogues[i].number].append(Drawn(reads[i], completion, seconds))
            responses[i] = _response(completion, self.template, lambda text: (self.template.read_one(text),))
        return responses

    def _before(self, number: int) -> list[int]:
        """All that the episode has read and drawn, without the ends of its turns: where a form has them in the history,
        they are read with what follows."""
        return [i for turn in self.turns[number] for i in (*turn.read, *turn.completion.ids[:-1])]

    def _read(self, dialogue: Dialogue) -> Sequence[int]:
        """What is new since the last turn: its feedback, or at first the prompt."""
        if not self.turns[dialogue.number]:
            return self.prompts[dialogue.number]
        return encode_feedback(dialogue.messages[-1].content, self.tokenizer)

    def _seed(self, number: int) -> int:
        """Of the next turn: a function of the episode's seed and the turn alone."""
        return random.Random(f"{self.seeds[number]} {len(self.turns[number])}").getrandbits(62)


def drawn_line(drawn: Counter[str]) -> str:
    """What a run sampled, as text; an earlier run that it continued is not in it."""
    return f"drew {drawn['tokens']:,} tokens in {drawn['calls']:,} calls"


def sampling_policy(
    model: Llama,
    tokenizer: Tokenizer,
    max_new_tokens: int,
    drawn: Counter[str],
    requests: Sequence[Request],
    seeds: Sequence[int],
) -> SamplingPolicy:
    """A policy that samples these episodes from the model at temperature 1, and counts what it draws."""
    sampler = Sampler(model, len(requests), eos_id=template_of(tokenizer).end_id)

    def draw(prompts: list[list[int]], seeds: list[int]) -> tuple[list[Completion], float]:
        made = sampler.complete(prompts, max_new_tokens, 1.0, seeds=seeds)
        drawn.update(calls=len(made), tokens=sum(len(completion.ids) for completion in made))
        return made, 0.0

    prompts = [encode_prompt(request.tools, request.messages, tokenizer) for request in requests]
    return SamplingPolicy(draw, tokenizer, prompts, seeds, model.config.context_length - max_new_tokens)


def _response(completion: Completion, template: Template, read: Callable[[str], tuple[str, ...]]) -> Response:
    text = template.tokenizer.decode(completion.ids)
    if completion.stopped:
        return Response(read(text))
    return Response((text,), f"did not stop within {len(completion.ids)} tokens", StopReason.CUT)


def _no_room(length: int, limit: int) -> Response:
    return Response(note=f"a prompt of {length} tokens does not fit into {limit}", stop=StopReason.CONTEXT)
