"""Experiments: models trained in different ways from one base, over several seeds, and what they score.

ablation.py says which variants there are, parts.py runs the scripts that train and evaluate them, comparison.py
compares seed by seed, results.py writes the tables.
"""
