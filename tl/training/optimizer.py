"""AdamW with weight decay on matrices only, and a learning rate of its own for the embeddings."""

from typing import Any

from torch import nn
from torch.optim import AdamW

from tl.training.config import TrainingConfig

EMBEDDINGS = ("embed_tokens.", "lm_head.")


def make_optimizer(model: nn.Module, rate: float, config: TrainingConfig, embedding_lr_ratio: float = 1.0) -> AdamW:
    """AdamW over the trained parameters: ``config.weight_decay`` on matrices, none on vectors. Token embeddings and the
    output head have the learning rate ``rate * embedding_lr_ratio``."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    matrices = {name for name, p in trained.items() if p.dim() > 1}
    apart = {name for name in matrices if embedding_lr_ratio != 1 and name.startswith(EMBEDDINGS)}
    groups: list[dict[str, Any]] = [
        {"params": [p for name, p in trained.items() if name in matrices - apart]},
        {"params": [p for name, p in trained.items() if name in apart], "lr": rate * embedding_lr_ratio},
        {"params": [p for name, p in trained.items() if name not in matrices], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]  # states with several empty groups cannot be read
    return AdamW(groups, lr=rate, betas=(0.9, config.beta2), weight_decay=config.weight_decay, fused=True)
