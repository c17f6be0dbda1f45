"""Experiments: models trained in different ways from one base, over several seeds, and what they score.

ablation.py defines the variants, parts.py runs the scripts that train and evaluate them, comparison.py compares them
seed by seed, results.py writes the tables.
"""
