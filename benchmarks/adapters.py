"""Are our adapters PEFT's? Records the logits and the files that tests/test_adapter.py compares with.

    python -m benchmarks.adapters            # compares, and writes nothing
    python -m benchmarks.adapters --record   # and writes tests/data/peft_adapter.json

A small model with weights that anyone can make (`benchmarks.families.fill`), and adapters likewise: PEFT opens what we
saved, we open what PEFT saved, transformers opens what we merged. All give the same logits.
"""

import argparse
import json
import tempfile
from pathlib import Path

import torch
from safetensors import safe_open

from benchmarks.families import RECORDED, SMALL, TOKENS, dump, fill
from benchmarks.side_by_side import with_peers
from tl.llama import Llama, ModelConfig, load_model, save_model
from tl.llama.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, save_adapter
from tl.llama.lora import LoRA, add_lora, merge

ADAPTER_RECORDED = RECORDED.with_name("peft_adapter.json")
CONFIG = SMALL | {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4}}
RANK, ALPHA = 4, 6


def adapted() -> tuple[Llama, Llama]:
    """The base, and a copy of it with adapters."""
    models = []
    for _ in range(2):
        models.append(Llama(ModelConfig.from_hf(CONFIG)))
        fill(models[-1].named_parameters())
    fill((n, p) for n, p in add_lora(models[1], LoRA(RANK, ALPHA)).named_parameters() if p.requires_grad)
    return models[0], models[1]


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--record", action="store_true", help=f"write the recorded comparison to {ADAPTER_RECORDED.name}"
    )
    options = parser.parse_args()
    with_peers("benchmarks.adapters", transformers="5.24.0", peft="0.21.2")
    import peft
    from transformers import AutoModelForCausalLM

    def open_with_transformers(folder: Path) -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()

    ids = torch.tensor([TOKENS])
    with tempfile.TemporaryDirectory() as root:
        base, ours, theirs, merged = (Path(root) / name for name in ("base", "ours", "theirs", "merged"))
        plain, model = adapted()
        logits = model(ids)[0]
        save_model(plain, base)
        save_adapter(model, ours, base)
        opened = peft.PeftModel.from_pretrained(open_with_transformers(base), ours).eval()
        expected = opened(ids).logits[0]
        opened.save_pretrained(theirs)
        save_model(merge(model), merged)
        found = {
            "our model": logits,
            "what PEFT saved, in ours": load_model(theirs)(ids)[0],
            "what we merged, in transformers": open_with_transformers(merged)(ids).logits[0],
        }
        for name, other in found.items():
            print(f"PEFT with our adapter, and {name}: {float((other - expected).abs().max()):.1e}")
        settings = json.loads((theirs / ADAPTER_CONFIG).read_text()) | {"base_model_name_or_path": "BASE"}
        settings["target_modules"].sort()  # a set
        with safe_open(theirs / ADAPTER_WEIGHTS, "pt") as file:
            shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    if options.record:
        rounded = [[float(f"{x:.7g}") for x in row] for row in expected.tolist()]
        versions = f"PEFT {peft.__version__}, torch {torch.__version__}, float32, eager attention"
        content = {"made_with": versions, "config": CONFIG, "adapter_config": settings, "shapes": shapes}
        ADAPTER_RECORDED.write_text(dump(content | {"input_ids": TOKENS, "logits": rounded}))


if __name__ == "__main__":
    main()
