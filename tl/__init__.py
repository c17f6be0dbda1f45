"""TL-Training: task-feature-based training of language models in tool use."""
