"""The logits are those of Hugging Face's models, family by family.

`data/llama_logits.json` holds logits that transformers computed (the versions stand in the file) with weights from
`fill`, for configurations as its config.json gives them. `benchmarks/families.py` recorded them, and checks there that
transformers opens what is written back, with the same logits.
"""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.families import fill
from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.weights import hf_name

RECORDED = json.loads((Path(__file__).parent / "data" / "llama_logits.json").read_text())


def older(config: dict) -> dict:
    """The same configuration as transformers wrote it before version 5."""
    rope = dict(config["rope_parameters"])
    theta, kind = rope.pop("rope_theta"), rope.pop("rope_type")
    kept = {key: value for key, value in config.items() if key != "rope_parameters"}
    return kept | {"rope_theta": theta, "rope_scaling": None if kind == "default" else {"type": kind, **rope}}


@pytest.mark.parametrize("form", [dict, older])
@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["name"])
def test_logits_equal_the_recorded_ones(case, form):
    model = Llama(ModelConfig.from_hf(form(case["config"])))
    fill((hf_name(name), parameter) for name, parameter in model.named_parameters())
    with torch.no_grad():
        logits = model(torch.tensor([case["input_ids"]]))[0]
    torch.testing.assert_close(logits, torch.tensor(case["logits"]), atol=1e-5, rtol=1e-5)
