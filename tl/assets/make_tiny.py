"""Makes the embedded base model from nothing but a seed: vocabulary, text and weights.

    python -m tl.assets.make_tiny --out DIR --tokens 6000000

A Llama of 3.2 million parameters learns to continue the documents of `tl.assets.corpus`, each a sequence of its own
that begins with <s>. Short documents come first. Matrices are trained with Muon (orthogonalised momentum, which needs
about two thirds of AdamW's tokens here), embeddings and norms with AdamW; the learning rate warms up, stays, and falls
to zero over the last quarter. What is saved, on the way and at the end, is a running average of the weights.
"""

import argparse
from collections.abc import Iterator
from copy import deepcopy
from itertools import count
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm import tqdm

from tl.assets.corpus import document, vocabulary_texts
from tl.model import Llama, ModelConfig
from tl.tokenizer import TOKENIZER_FILE, Tokenizer, train_vocabulary

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
SHORT, LONG = 256, 1024  # longest document in tokens, at the start and from GROWTH on
GROWTH = 0.3  # shares of the whole run, as the next two
WARM_UP = 0.02
DECAY = 0.25
BATCH = 3072  # tokens a step, about
RATE = 4e-3
AVERAGE = 0.98  # of the running average of the weights, per step


class Muon(torch.optim.Optimizer):
    """Momentum whose every update is made orthogonal by five Newton-Schulz steps (Jordan et al., 2024), for matrices.

    PyTorch's own does this in bfloat16, which is slow on a CPU. Updates are scaled to AdamW's size, 0.2 a weight.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 0.05):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:
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


def optimizers(model: Llama) -> list[torch.optim.Optimizer]:
    matrices = [p for name, p in model.named_parameters() if name.startswith("layers") and p.dim() == 2]
    norms = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": norms, "weight_decay": 0.0}, {"params": [model.embed_tokens.weight], "weight_decay": 0.01}]
    return [Muon(matrices, lr=RATE), torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)]


def learning_rate(done: float) -> float:
    """Linear warm-up, constant, linear to zero; `done` is the share of the run behind us."""
    return RATE * min(1.0, (done + 1e-3) / WARM_UP, (1 - done) / DECAY)


def batches(tokenizer: Tokenizer, tokens: int, first: int) -> Iterator[tuple[list[list[int]], int]]:
    """(documents as ids, tokens so far including these) until there were `tokens`; starts at document `first`."""
    batch: list[list[int]] = []
    seen = 0
    for seed in count(first):
        ids = [tokenizer.bos_id, *tokenizer.encode(document(seed))]
        if len(ids) > SHORT + (LONG - SHORT) * min(1.0, seen / tokens / GROWTH):
            continue
        batch.append(ids)
        seen += len(ids)
        if sum(map(len, batch)) >= BATCH:
            yield batch, seen
            batch = []
            if seen >= tokens:
                return


def loss_of(model: torch.nn.Module, batch: list[list[int]]) -> Tensor:
    """Mean cross-entropy of the next token, each document on its own."""
    inputs = torch.tensor([i for ids in batch for i in ids[:-1]])
    targets = torch.tensor([i for ids in batch for i in ids[1:]])
    logits = model(inputs[None], lengths=[len(ids) - 1 for ids in batch])
    return F.cross_entropy(logits[0], targets)


def train(model: Llama, tokenizer: Tokenizer, out: Path, tokens: int, seed: int, save_every: int) -> None:
    """Trains in place and leaves the averaged weights in `out`, every `save_every` tokens and at the end."""
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(AVERAGE))
    parts = optimizers(model)
    saved, smooth = 0, 0.0
    bar = tqdm(total=tokens, unit="tok", unit_scale=True)
    for batch, seen in batches(tokenizer, tokens, first=seed * 10_000_000):
        for group in (group for part in parts for group in part.param_groups):
            group["lr"] = learning_rate(bar.n / tokens)
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
        if seen >= saved + save_every or seen >= tokens:
            deepcopy(average.module).to(torch.bfloat16).save_pretrained(out, tokenizer_path=tokenizer.path)
            saved = seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder to write the checkpoint to")
    parser.add_argument("--tokens", type=int, required=True, help="length of the training")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and of the documents")
    parser.add_argument("--save_every", type=int, default=500_000, help="tokens between checkpoints on the way")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    vocabulary = args.out / TOKENIZER_FILE
    train_vocabulary(vocabulary_texts(VOCABULARY_DOCUMENTS), vocabulary, CONFIG.vocab_size)
    torch.manual_seed(args.seed)
    train(Llama(CONFIG), Tokenizer(vocabulary), args.out, args.tokens, args.seed, args.save_every)


if __name__ == "__main__":
    main()
