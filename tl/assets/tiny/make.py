"""Makes the embedded base model from nothing but a seed: vocabulary, text and weights.

    OMP_NUM_THREADS=1 python -m tl.assets.tiny.make --out DIR --state STATE

A Llama of 3.7 million parameters learns to continue the documents of corpus.py, each a sequence of its own that begins
with <s>, and to stop where a call ends. Echoes (a few strings again and again) and short documents come first, since
copying is learned late from long ones. Muon trains the matrices, AdamW embeddings and norms; the learning rate warms
up, stays, and falls to zero. The checkpoint, written during the run and at its end, holds a running average of the
weights. With --init, training starts from a checkpoint instead of random weights.

STATE holds all that the next step depends on. It is written every few minutes and when the process is told to end; the
same command then goes on from there, to the same bits on the same machine.
"""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from tl.assets.tiny.corpus import TURN_END, echo_page, marked_document, vocabulary_texts
from tl.assets.tiny.muon import Muon
from tl.config import option, parse_config
from tl.llama import Llama, ModelConfig, Tokenizer, load_model, save_model
from tl.llama.tokenizer import TOKENIZER_FILE, train_vocabulary
from tl.templates import template_of

CONFIG = ModelConfig(
    vocab_size=4096,
    hidden_size=224,
    intermediate_size=400,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=4,
    head_dim=56,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
)
VOCABULARY_DOCUMENTS = 3000
SHORT, LONG = 256, 1280  # longest document in tokens, at the start of a run and from BaseConfig.growth on
BATCH = 4096  # tokens a step, about
FEWEST_ECHOES = 0.02  # their share of the documents once BaseConfig.echoes is over
WARM_UP = 0.016  # share of the run
AVERAGE = 0.99  # of the running average of the weights, per step
HELD_OUT = 900_000_000  # documents from this number on are never trained on
LOG_EVERY = 20  # steps


@dataclass
class BaseConfig:
    """How long and on what the model is trained. Shares are of the whole run."""

    out: str = option("tiny", "folder to write the checkpoint to")
    tokens: int = option(40_000_000, "length of the training")
    state: str = option("tiny-state", "folder with all that the run continues from, and its log")
    init: str | None = option(None, "checkpoint folder to start from (default: random weights and a new vocabulary)")
    seed: int = option(0, "of the weights, and of the documents: each seed has ten million of its own")
    echoes: float = option(0.064, "share over which the echoes are replaced by the other documents")
    growth: float = option(0.128, "share over which longer and longer documents come in")
    rate: float = option(4e-3, "peak learning rate")
    decay: float = option(0.18, "share over which the learning rate falls to zero")
    save_minutes: float = option(4.0, "minutes between saved states")
    half: bool = option(True, "products in bfloat16: half again as fast on a processor that has it, slower elsewhere")


def optimizers(model: Llama, rate: float) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if name.startswith("layers") and p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": norms, "weight_decay": 0.0}, {"params": [model.embed_tokens.weight], "weight_decay": 0.01}]
    return [Muon(matrices, lr=rate), torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)]


def learning_rate(done: float, config: BaseConfig) -> float:
    """Linear warm-up, constant, linear to zero; `done` is the finished share of the run."""
    return config.rate * max(0.0, min(1.0, (done + 1e-3) / WARM_UP, (1 - done) / config.decay))


def text_and_limit(seed: int, done: float, config: BaseConfig) -> tuple[str, float]:
    """(document `seed` or an echo in its place, the number of tokens beyond which it is left out)."""
    rng = Random(f"echo {seed}")
    share = 1 - done / config.echoes if done < config.echoes else 0.0
    text = echo_page(rng) if rng.random() < max(FEWEST_ECHOES, share) else marked_document(seed)
    grown = done / config.growth if done < config.growth else 1.0
    return text, SHORT + (LONG - SHORT) * grown


@dataclass
class Page:
    """A document as the model reads it."""

    ids: list[int]
    targets: list[int]  # what comes after each id


def encode(text: str, tokenizer: Tokenizer) -> Page:
    """A document with its turn ends: there the target is `</s>`, though the text goes on, as in fine-tuning."""
    [mark] = tokenizer.encode("\n" + TURN_END)[1:]
    ids, ends = [tokenizer.bos_id], []
    for token in tokenizer.encode(text):
        if token == mark:
            ends.append(len(ids) - 1)
        else:
            ids.append(token)
    targets = ids[1:]
    for end in ends:
        targets[end] = tokenizer.eos_id
    return Page(ids[:-1], targets)


@dataclass
class Place:
    """Where in its text a run is."""

    document: int  # the next one
    tokens: int = 0  # read so far
    loss: float = 0.0  # running average
    seconds: float = 0.0  # of training, over all interruptions


def batches(tokenizer: Tokenizer, config: BaseConfig, place: Place) -> Iterator[list[Page]]:
    """Whole documents from `place` on, which moves along, until there were `config.tokens`."""
    batch: list[Page] = []
    tokens = place.tokens
    for seed in count(place.document):
        text, limit = text_and_limit(seed, tokens / config.tokens, config)
        page = encode(text, tokenizer)
        if len(page.ids) >= limit:
            continue
        batch.append(page)
        tokens += len(page.ids)
        if sum(len(page.ids) for page in batch) >= BATCH:
            place.document, place.tokens = seed + 1, tokens
            yield batch
            batch = []
            if tokens >= config.tokens:
                return


def loss_of(model: torch.nn.Module, batch: list[Page]) -> Tensor:
    """Mean cross-entropy of the next token, each document on its own."""
    inputs = torch.tensor([i for page in batch for i in page.ids])
    targets = torch.tensor([i for page in batch for i in page.targets])
    logits = model(inputs[None], lengths=[len(page.ids) for page in batch])
    return F.cross_entropy(logits[0].float(), targets)


@dataclass
class Run:
    """The training and all that it goes on from."""

    config: BaseConfig
    tokenizer: Tokenizer
    model: Llama
    place: Place
    parts: list[torch.optim.Optimizer] = field(init=False)
    average: AveragedModel = field(init=False)

    def __post_init__(self) -> None:
        self.parts = optimizers(self.model, self.config.rate)
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))

    def step(self, batch: list[Page], done: float) -> None:
        """One update; `done` is the share of the run before it."""
        for group in (group for part in self.parts for group in part.param_groups):
            group["lr"] = learning_rate(done, self.config)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.half):
            loss = loss_of(self.model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.config.half):
            for part in self.parts:
                part.step()
                part.zero_grad()
        self.average.update_parameters(self.model)
        self.place.loss = 0.98 * self.place.loss + 0.02 * loss.item() if self.place.loss else loss.item()

    def save(self) -> None:
        """The state, whole or not at all, and the averaged weights as a model."""
        names = ("model", "average")
        state: dict[str, Any] = {name: getattr(self, name).state_dict() for name in names}
        state |= {"parts": [part.state_dict() for part in self.parts], "place": self.place.__dict__}
        state |= {"rng": torch.get_rng_state(), "config": _decisive(self.config)}
        path = state_file(self.config)
        torch.save(state, path.with_suffix(".new"))
        os.replace(path.with_suffix(".new"), path)
        save_model(
            cast(Llama, self.average.module),
            self.config.out,
            self.tokenizer.path,
            torch.bfloat16,
            chat_template=template_of(self.tokenizer).chat_template(),
        )

    def load(self) -> None:
        """Raises `SystemExit` where the state is that of another run."""
        state = torch.load(state_file(self.config), weights_only=True)
        if state["config"] != _decisive(self.config):
            raise SystemExit(
                f"{self.config.state} holds a run with {state['config']}: give the same, or another folder"
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for part, saved in zip(self.parts, state["parts"], strict=True):
            part.load_state_dict(saved)
        self.place = Place(**state["place"])
        torch.set_rng_state(state["rng"])


def _decisive(config: BaseConfig) -> dict[str, Any]:
    """The settings that the weights depend on."""
    return {name: value for name, value in config.__dict__.items() if name not in ("out", "state", "save_minutes")}


def state_file(config: BaseConfig) -> Path:
    return Path(config.state) / "state.pt"


def start(config: BaseConfig) -> Run:
    """The run of `config.state` where it was left, or a new one with a new vocabulary."""
    state = Path(config.state)
    state.mkdir(parents=True, exist_ok=True)
    vocabulary = state / TOKENIZER_FILE
    if not vocabulary.exists():
        new = vocabulary.with_suffix(".new")
        if config.init:
            shutil.copy(Path(config.init) / TOKENIZER_FILE, new)
        else:
            train_vocabulary(vocabulary_texts(VOCABULARY_DOCUMENTS), new, CONFIG.vocab_size)
        os.replace(new, vocabulary)
    torch.manual_seed(config.seed)
    model = load_model(config.init, torch.float32) if config.init else Llama(CONFIG)
    run = Run(config, Tokenizer(vocabulary), model, Place(document=config.seed * 10_000_000))
    if state_file(config).exists():
        run.load()
    return run


def train(run: Run, told_to_end: list[int]) -> None:
    """To the end, or until `told_to_end` holds a signal."""
    config, place = run.config, run.place
    log = Path(config.state) / "log.jsonl"
    began, before, saved = time.monotonic(), place.seconds, time.monotonic()
    bar = tqdm(total=config.tokens, initial=place.tokens, unit="tok", unit_scale=True, mininterval=10)
    done = place.tokens / config.tokens
    for number, batch in enumerate(batches(run.tokenizer, config, place)):
        run.step(batch, done)
        done = place.tokens / config.tokens
        place.seconds = before + time.monotonic() - began
        bar.set_postfix(loss=f"{place.loss:.3f}", refresh=False)
        bar.update(place.tokens - bar.n)
        if number % LOG_EVERY == 0 or place.tokens >= config.tokens:
            with log.open("a") as file:
                file.write(json.dumps(place.__dict__ | {"rate": learning_rate(done, config)}) + "\n")
        if told_to_end or time.monotonic() - saved > 60 * config.save_minutes or place.tokens >= config.tokens:
            run.save()
            saved = time.monotonic()
        if told_to_end:
            raise SystemExit(
                f"ended by signal {told_to_end[0]} after {place.tokens:,} tokens; the same command continues"
            )


def main() -> None:
    config = parse_config(BaseConfig, description=__doc__)
    torch.set_num_threads(1)  # the sums, and so the bits, do not depend on the machine's number of cores
    told_to_end: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: told_to_end.append(received))
    train(start(config), told_to_end)


if __name__ == "__main__":
    main()
