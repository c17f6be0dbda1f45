"""A model and its tools in turn: questions asked, episodes played, for evaluation and for PPO."""
