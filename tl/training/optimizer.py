"""AdamW with weight decay on matrices only."""

from torch import nn
from torch.optim import AdamW

from tl.training.config import TrainingConfig


def make_optimizer(model: nn.Module, rate: float, config: TrainingConfig) -> AdamW:
    """AdamW over the trained parameters: ``config.weight_decay`` on matrices, none on vectors."""
    trained = [p for p in model.parameters() if p.requires_grad]
    matrices = [p for p in trained if p.dim() > 1]
    vectors = [p for p in trained if p.dim() == 1]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]  # states with several empty groups cannot be read
    return AdamW(groups, lr=rate, betas=(0.9, config.beta2), fused=True)
