"""Predictions for tests of the suites' scores, and what a call can score."""

from tl.forms import Prediction, read_prediction
from tl.metrics import CallScore

ALL, NAMES, TOOL = CallScore(True, True, True), CallScore(True, True, False), CallScore(True, False, False)
NOTHING = CallScore(False, False, False)


def said(*texts: str, form: str = "auto") -> Prediction:
    return read_prediction(texts, form)
