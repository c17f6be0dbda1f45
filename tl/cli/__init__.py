"""The commands of `python -m tl`, one module each: flags and printing."""
