"""Writes runs, evaluations and experiments to one self-contained web page."""
