"""Makes the embedded base model from nothing but a seed: vocabulary, text and weights.

    python -m tl.assets.tiny.make --out DIR --tokens 8000000

A Llama of 3.2 million parameters learns to continue the documents of corpus.py, each a sequence of its own
that begins with <s>. Echoes (a few strings again and again) and short documents come first, since copying is learned
late from long ones. Muon trains the matrices (it was ahead of AdamW in a short trial), AdamW embeddings and norms; the
learning rate warms up, stays, and falls to zero. Checkpoints, during the run and at its end, hold a running average of
the weights. `--base` continues from a checkpoint, with new optimizers.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from random import Random
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from tl.assets.tiny.corpus import document, echo_page, vocabulary_texts
from tl.config import option, parse_config
from tl.llama import Llama, ModelConfig, Tokenizer, load_model, save_model
from tl.llama.tokenizer import TOKENIZER_FILE, train_vocabulary
from tl.templates import template_of

CONFIG = ModelConfig(
    vocab_size=3000,
    hidden_size=224,
    intermediate_size=448,
    num_hidden_layers=5,
    num_attention_heads=7,
    num_key_value_heads=7,
    head_dim=32,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
)
VOCABULARY_DOCUMENTS = 3000
SHORT, LONG = 256, 1024  # longest document in tokens, at the start of a run and from BaseConfig.growth on
BATCH = 3072  # tokens a step, about
FEWEST_ECHOES = 0.08  # their share of the documents once BaseConfig.echoes is over
WARM_UP = 0.02  # share of the run
AVERAGE = 0.98  # of the running average of the weights, per step
HELD_OUT = 900_000_000  # documents from this number on are never trained on


@dataclass
class BaseConfig:
    """How long and on what the model is trained. Shares are of the whole run."""

    out: str = option("tiny", "folder to write the checkpoint to")
    tokens: int = option(8_000_000, "length of the training")
    base: str | None = option(None, "checkpoint to continue from (default: random weights and a new vocabulary)")
    seed: int = option(0, "of the weights, and of the documents: each seed has ten million of its own")
    echoes: float = option(0.15, "share over which the echoes are replaced by the other documents")
    growth: float = option(0.3, "share over which longer and longer documents come in")
    rate: float = option(4e-3, "peak learning rate")
    decay: float = option(0.25, "share over which the learning rate falls to zero")
    save_every: int = option(500_000, "tokens between checkpoints")


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is made orthogonal by five Newton-Schulz steps (Jordan et al., 2024), for matrices.

    PyTorch's own does this in bfloat16, which is slow on a CPU. Updates are scaled to AdamW's size, 0.2 a weight.
    """

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": 0.95, "weight_decay": 0.05})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # takes no closure
        for group in self.param_groups:
            for parameter in group["params"]:
                velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
                velocity.lerp_(parameter.grad, 1 - group["momentum"])
                update = orthogonalise(parameter.grad.lerp(velocity, group["momentum"]))
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-0.2 * group["lr"] * max(parameter.shape) ** 0.5)


def orthogonalise(matrix: Tensor) -> Tensor:
    """The matrix with all its singular values moved to about 1."""
    x = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (2.0315 * gram @ gram - 4.7750 * gram) @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


def optimizers(model: Llama, rate: float) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if name.startswith("layers") and p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": norms, "weight_decay": 0.0}, {"params": [model.embed_tokens.weight], "weight_decay": 0.01}]
    return [Muon(matrices, lr=rate), torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), fused=True)]


def learning_rate(done: float, config: BaseConfig) -> float:
    """Linear warm-up, constant, linear to zero; `done` is the finished share of the run."""
    return config.rate * min(1.0, (done + 1e-3) / WARM_UP, (1 - done) / config.decay)


def text_and_limit(seed: int, done: float, config: BaseConfig) -> tuple[str, float]:
    """(document `seed` or an echo in its place, the number of tokens beyond which it is left out)."""
    rng = Random(f"echo {seed}")
    share = 1 - done / config.echoes if done < config.echoes else 0.0
    text = echo_page(rng) if rng.random() < max(FEWEST_ECHOES, share) else document(seed)
    grown = done / config.growth if done < config.growth else 1.0
    return text, SHORT + (LONG - SHORT) * grown


def batches(tokenizer: Tokenizer, config: BaseConfig) -> Iterator[tuple[list[list[int]], int]]:
    """(whole documents as ids, tokens so far including these) until there were `config.tokens`."""
    batch: list[list[int]] = []
    seen = 0
    for seed in count(config.seed * 10_000_000):
        text, limit = text_and_limit(seed, seen / config.tokens, config)
        ids = [tokenizer.bos_id, *tokenizer.encode(text)]
        if len(ids) > limit:
            continue
        batch.append(ids)
        seen += len(ids)
        if sum(map(len, batch)) >= BATCH:
            yield batch, seen
            batch = []
            if seen >= config.tokens:
                return


def loss_of(model: torch.nn.Module, batch: list[list[int]]) -> Tensor:
    """Mean cross-entropy of the next token, each document on its own."""
    inputs = torch.tensor([i for ids in batch for i in ids[:-1]])
    targets = torch.tensor([i for ids in batch for i in ids[1:]])
    logits = model(inputs[None], lengths=[len(ids) - 1 for ids in batch])
    return F.cross_entropy(logits[0], targets)


def train(model: Llama, tokenizer: Tokenizer, config: BaseConfig) -> None:
    """Trains in place; saves the averaged weights to `config.out`, during the run and at its end."""
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))
    parts = optimizers(model, config.rate)
    saved, smooth = 0, 0.0
    bar = tqdm(total=config.tokens, unit="tok", unit_scale=True)
    for batch, seen in batches(tokenizer, config):
        for group in (group for part in parts for group in part.param_groups):
            group["lr"] = learning_rate(bar.n / config.tokens, config)
        loss = loss_of(model, batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for part in parts:
            part.step()
            part.zero_grad()
        average.update_parameters(model)
        smooth = 0.98 * smooth + 0.02 * loss.item() if smooth else loss.item()
        bar.set_postfix(loss=f"{smooth:.3f}", refresh=False)
        bar.update(seen - bar.n)
        if seen >= saved + config.save_every or seen >= config.tokens:
            averaged = cast(Llama, average.module)
            template = template_of(tokenizer).chat_template()
            save_model(averaged, config.out, tokenizer.path, torch.bfloat16, chat_template=template)
            saved = seen


def main() -> None:
    config = parse_config(BaseConfig, description=__doc__)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(config.seed)
    if config.base:
        model, tokenizer = load_model(config.base, dtype=torch.float32), Tokenizer(config.base)
    else:
        vocabulary = out / TOKENIZER_FILE
        train_vocabulary(vocabulary_texts(VOCABULARY_DOCUMENTS), vocabulary, CONFIG.vocab_size)
        model, tokenizer = Llama(CONFIG), Tokenizer(vocabulary)
    train(model, tokenizer, config)


if __name__ == "__main__":
    main()
