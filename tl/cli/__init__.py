"""The verbs of `python -m tl`: the only modules of tl that parse flags or print."""
