"""A model and tools in turn: single questions and episodes, for evaluation and for PPO."""
