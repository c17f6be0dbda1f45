"""The verbs of `python -m tl`, a module each: flags, and what is printed."""
