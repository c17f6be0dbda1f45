"""Statistics of lists of numbers."""

from __future__ import annotations

import math
import statistics
from typing import Literal


class Toolkit:
    """Pure functions; there is no state."""

    example = ("compute_percentile", {"values": [3, 1, 4, 1, 5], "percent": 50})

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def compute_mean(self, values: list[float]) -> float:
        """Arithmetic mean of numbers.

        Args:
            values: The numbers.
        """
        return round(statistics.fmean(values), 3)

    def compute_mean_weighted(self, values: list[float], weights: list[float]) -> float:
        """Mean of numbers that count differently.

        Args:
            values: The numbers.
            weights: One weight for each.
        """
        return round(statistics.fmean(values, weights), 3)

    def compute_median(self, values: list[float]) -> float:
        """The number in the middle.

        Args:
            values: The numbers.
        """
        return statistics.median(values)

    def compute_spread(
        self, values: list[float], measure: Literal["range", "variance", "deviation"] = "range"
    ) -> float:
        """How far numbers lie apart.

        Args:
            values: The numbers.
            measure: What to compute.
        """
        measures = {
            "range": lambda numbers: max(numbers) - min(numbers),
            "variance": statistics.variance,
            "deviation": statistics.stdev,
        }
        return round(measures[measure](values), 3)

    def compute_percentile(self, values: list[float], percent: float) -> float:
        """The smallest of the numbers that at least so many percent do not exceed.

        Args:
            values: The numbers.
            percent: From 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"percent must be from 0 to 100, not {percent}")
        return sorted(values)[max(math.ceil(len(values) * percent / 100) - 1, 0)]

    def compute_correlation(self, first: list[float], second: list[float]) -> float:
        """How closely two lists of numbers go together, from -1 to 1.

        Args:
            first: The numbers.
            second: As many others.
        """
        return round(statistics.correlation(first, second), 3)
