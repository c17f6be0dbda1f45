"""The embedded base model, and the text and the script it was made with."""

from pathlib import Path

TINY = Path(__file__).parent / "tiny"  # a Hugging Face folder: config.json, model.safetensors, tokenizer.model
