"""A Llama from scratch: model, checkpoints, tokenizer, sampling. It imports nothing else of this project."""

from tl.llama.config import ModelConfig
from tl.llama.model import Llama
from tl.llama.sampling import generate
from tl.llama.tokenizer import Tokenizer
from tl.llama.weights import load_model, save_model

__all__ = ["Llama", "ModelConfig", "Tokenizer", "generate", "load_model", "save_model"]
