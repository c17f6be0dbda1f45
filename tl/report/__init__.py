"""Runs, their evaluations and experiments as one self-contained web page."""
