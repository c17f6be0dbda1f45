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
    """Answers dialogues greedily, in the tokenizer's prompt format, up to `batch_size` at a time. Keeps its KV cache
    over the turns. `answered` is called once for each answer, as it is complete."""

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
        """Generates the answer to each prompt."""
        return self.sampler.complete(prompts, self.max_new_tokens, finished=self.answered)


class Drawn(NamedTuple):
    """A turn as tokens: what was read since the previous turn, what was sampled, and its share of the sampling time."""

    read: Sequence[int]
    completion: Completion
    seconds: float


class SamplingPolicy:
    """Samples turns of some episodes: token in, token out. The prompt of an episode's next turn consists of the last
    prompt, the ids sampled there and the feedback; sampled ids are never tokenised again. `turns` keeps all turns.

    `prompts` and `seeds`: one per episode, in the order of their numbers. `draw` maps prompts and seeds to completions
    and the seconds per completion. A prompt of more than `room` tokens is not continued.
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
        """All tokens read and sampled in the episode, without those that end turns. Prompt formats that keep them in
        the history read them together with the feedback."""
        return [i for turn in self.turns[number] for i in (*turn.read, *turn.completion.ids[:-1])]

    def _read(self, dialogue: Dialogue) -> Sequence[int]:
        """The tokens that are new since the last turn: its feedback or, in the first turn, the prompt."""
        if not self.turns[dialogue.number]:
            return self.prompts[dialogue.number]
        return encode_feedback(dialogue.messages[-1].content, self.tokenizer)

    def _seed(self, number: int) -> int:
        """The seed of the next turn, which depends only on the episode's seed and the number of the turn."""
        return random.Random(f"{self.seeds[number]} {len(self.turns[number])}").getrandbits(62)


def drawn_line(drawn: Counter[str]) -> str:
    """A line with the counts of `sampling_policy`; they do not include an earlier run that this one resumed."""
    return f"drew {drawn['tokens']:,} tokens in {drawn['calls']:,} calls"


def sampling_policy(
    model: Llama,
    tokenizer: Tokenizer,
    max_new_tokens: int,
    drawn: Counter[str],
    requests: Sequence[Request],
    seeds: Sequence[int],
) -> SamplingPolicy:
    """A policy that samples these episodes from the model at temperature 1, and counts calls and tokens in `drawn`."""
    sampler = Sampler(model, len(requests), eos_id=template_of(tokenizer).end_id)

    def draw(prompts: list[list[int]], seeds: list[int]) -> tuple[list[Completion], float]:
        made = sampler.complete(prompts, max_new_tokens, 1.0, seeds=seeds)
        drawn.update(calls=len(made), tokens=sum(len(completion.ids) for completion in made))
        return made, 0.0

    prompts = [encode_prompt(request.tools, request.messages, tokenizer) for request in requests]
    return SamplingPolicy(draw, tokenizer, prompts, seeds, model.config.context_length - max_new_tokens)


def _response(completion: Completion, template: Template, read: Callable[[str], tuple[str, ...]]) -> Response:
    text = template.tokenizer.decode(completion.text_ids)
    if completion.stopped:
        return Response(read(text))
    return Response((text,), f"did not stop within {len(completion.ids)} tokens", StopReason.CUT)


def _no_room(length: int, limit: int) -> Response:
    return Response(note=f"a prompt of {length} tokens does not fit into {limit}", stop=StopReason.CONTEXT)
