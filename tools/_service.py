"""The base class of toolkits that imitate a remote service: seeded records and occasional outages."""

from __future__ import annotations

import random

OUTAGE_PERIOD = 8  # one seed in eight begins with an outage; seed 0 does not


def has_outage(seed: int) -> bool:
    """Whether the first request that an episode with this seed makes to each remote service fails."""
    return seed % OUTAGE_PERIOD == OUTAGE_PERIOD - 1


class Service:
    """A remote service with its own stream of random numbers. Subclasses set `host`."""

    host = "localhost"

    def __init__(self, seed: int = 0) -> None:
        self.random = random.Random(f"{self.host} {seed}")
        self._fails_next = has_outage(seed)

    def _request(self, path: str) -> None:
        """Every tool calls this first; during an outage it raises what an HTTP client would raise."""
        if not self._fails_next:
            return
        self._fails_next = False
        raise self.random.choice(
            (
                ConnectionError(
                    f"HTTPSConnectionPool(host='{self.host}', port=443): Max retries exceeded with url: {path}"
                ),
                ConnectionError(f"503 Server Error: Service Unavailable for url: https://{self.host}{path}"),
                TimeoutError("Connection timed out"),
            )
        )
