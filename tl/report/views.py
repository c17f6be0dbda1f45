"""A trajectory as context and turns, each turn as the tokens that are trained on."""

from dataclasses import dataclass
from itertools import islice

import torch

from tl.llama.model import Llama
from tl.llama.tokenizer import Tokenizer
from tl.losses import token_nll, weighted_cross_entropy
from tl.prompt import NO_TARGET, EncodingOptions, Example, cut_feedback, encode_trajectory
from tl.templates import template_of
from tl.trajectory import Trajectory


@dataclass(frozen=True)
class TokenView:
    """One target token; `loss` is its negative log-likelihood in nats, if a model was given."""

    text: str  # its part of the turn's text
    piece: str  # its spelling in the vocabulary
    id: int
    weight: float
    is_key: bool
    loss: float | None = None


@dataclass(frozen=True)
class TurnView:
    """One assistant turn. Its last token is the target that ends the turn, such as `</s>`."""

    tokens: list[TokenView]
    category: str
    trained: bool
    is_call: bool
    tool: str  # name of the called tool; "" for plain text and calls that do not parse


@dataclass(frozen=True)
class SampleView:
    """A trajectory as a sequence of context strings and turns. `loss` is the weighted loss (norm "call").

    `end` is the text that ends a turn in the history: `<|im_end|>` in ChatML, empty in Table 13. It belongs to the
    turn's last token, not to the context after it.
    """

    id: str
    tools: tuple[str, ...]
    parts: list[str | TurnView]
    n_tokens: int
    turns_cut: int = 0
    loss: float | None = None
    end: str = ""

    @property
    def turns(self) -> list[TurnView]:
        return [part for part in self.parts if isinstance(part, TurnView)]

    def facts(self) -> list[str]:
        """The counts of the sample in words."""
        calls = [turn for turn in self.turns if turn.is_call]
        masked = [turn for turn in calls if not turn.trained]
        keys = sum(token.is_key for turn in self.turns for token in turn.tokens)
        facts = [
            counted(self.n_tokens, "token"),
            counted(len(self.tools), "tool"),
            f"{counted(len(calls), 'call')}: {len(calls) - len(masked)} trained, {len(masked)} masked",
            counted(keys, "key token"),
        ]
        if texts := len(self.turns) - len(calls):
            facts.append(counted(texts, "text turn"))
        if self.turns_cut:
            facts.append(f"{counted(self.turns_cut, 'turn')} cut at the end")
        if self.loss is not None:
            facts.append(f"loss {self.loss:.3f}")
        return facts


def counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}" + "s" * (n != 1)


def view(
    trajectory: Trajectory, tokenizer: Tokenizer, options: EncodingOptions, model: Llama | None = None
) -> SampleView | None:
    """The sample as it is trained on, with losses if a model is given; None if no turn fits."""
    example = encode_trajectory(trajectory, tokenizer, options)
    if example is None:
        return None
    losses, loss = _losses(example, model) if model is not None else (None, None)
    messages = [cut_feedback(m, tokenizer, options.max_feedback_tokens) for m in trajectory.messages]
    parts: list[str | TurnView] = []
    n_turns = 0
    template = template_of(tokenizer)
    end = "".join(template.after[:1])
    for segment in template.segments(trajectory.tools, messages):
        if n_turns == len(example.turns):
            break
        said = segment.turn
        read = segment.text.removeprefix(end if n_turns else "")
        parts.append(_turn(example, n_turns, said.content, tokenizer, losses) if said else read)
        n_turns += said is not None
    names = tuple(tool.name for tool in trajectory.tools)
    return SampleView(example.id, names, parts, len(example), example.turns_cut, loss, end)


def _turn(example: Example, number: int, text: str, tokenizer: Tokenizer, losses: list[float] | None) -> TurnView:
    turn = example.turns[number]
    predicting = range(turn.start - 1, turn.end)
    ids = [int(example.targets[t]) for t in predicting]
    texts = [*token_texts(tokenizer, ids[:-1]), tokenizer.piece(ids[-1])]
    tokens = [
        TokenView(
            texts[m],
            tokenizer.piece(ids[m]),
            ids[m],
            round(float(example.weights[t]), 4),
            m in turn.key_positions,
            None if losses is None else round(losses[t], 4),
        )
        for m, t in enumerate(predicting)
    ]
    tool = called_name(text) if turn.is_call else ""
    return TurnView(tokens, turn.category.value if turn.trained else turn.why_masked, turn.trained, turn.is_call, tool)


def called_name(text: str) -> str:
    """The name before the bracket, even if the arguments do not parse."""
    return text.partition("(")[0].strip().strip('"')


def token_texts(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    """The text of each token. Joined, they are the text of all tokens, including a space before the first.

    A character that several tokens share belongs to the first of them.
    """
    pieces = [tokenizer.bytes_of(i) for i in ids]
    texts = iter(_byte_texts(b"".join(pieces)))
    return ["".join(islice(texts, len(piece))) for piece in pieces]


def _byte_texts(data: bytes) -> list[str]:
    """One string per byte: each UTF-8 character at its first byte. Invalid bytes become U+FFFD."""
    texts = [""] * len(data)
    at = 0
    while at < len(data):
        length = next((n for n in (1, 2, 3, 4) if _decodes(data[at : at + n])), 1)
        texts[at] = data[at : at + length].decode(errors="replace")
        at += length
    return texts


def _decodes(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


@torch.no_grad()
def _losses(example: Example, model: Llama) -> tuple[list[float], float]:
    """Negative log-likelihood at every position (0 where nothing is predicted), and the sample's weighted loss."""
    positions = (example.targets != NO_TARGET).nonzero().squeeze(-1)
    device = next(model.parameters()).device
    hidden = model(example.input_ids[None].to(device), return_hidden=True)[0]
    nll = token_nll(hidden[positions.to(device)], model.lm_head.weight, example.targets[positions].to(device))
    nll = nll.float().cpu()
    loss = weighted_cross_entropy(nll, example.weights[positions], example.turn_index[positions], norm="call")
    every = torch.zeros(len(example)).index_copy(0, positions, nll)
    return every.tolist(), float(loss)
