"""A weather service: current weather, forecasts, history, alerts and air quality of cities."""

from __future__ import annotations

import datetime
import random
from typing import Literal

from tools._service import Service
from tools._vocabulary import CITIES

CONDITIONS = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy", "stormy", "clear")
POLLUTANTS = {"pm25": 60, "ozone": 180, "no2": 120}  # highest value
ALERTS = ("heat", "storm", "flood", "frost", "wind", "fog")


class Toolkit(Service):
    """Made-up weather; the same city has the same weather throughout an episode."""

    example = ("get_weather", {"city": "Oslo"})

    host = "api.weather.example"

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self.seed = seed

    def _weather(self, city: str, day: str) -> dict:
        numbers = random.Random(f"{self.seed} {city} {day}")
        return {"temperature": numbers.randint(-9, 38), "condition": numbers.choice(CONDITIONS)}

    def get_weather(self, city: str, unit: Literal["celsius", "fahrenheit"] = "celsius") -> dict:
        """Current weather of a city.

        Args:
            city: Name of the city.
            unit: Unit of the temperature.
        """
        self._request("/now")
        if unit not in ("celsius", "fahrenheit"):
            raise ValueError(f"unit must be 'celsius' or 'fahrenheit', not {unit!r}")
        if city not in CITIES:
            return {"error": f"city {city} not found"}
        now = self._weather(city, "now")
        if unit == "fahrenheit":
            now["temperature"] = round(now["temperature"] * 9 / 5 + 32)
        return now

    def get_weather_forecast(self, city: str, days: int = 3) -> dict:
        """Highest temperatures of the coming days.

        Args:
            city: Name of the city.
            days: How many days, 1 to 7.
        """
        self._request("/forecast")
        if not 1 <= days <= 7:
            raise ValueError(f"days must be from 1 to 7, not {days}")
        if city not in CITIES:
            return {"error": f"city {city} not found"}
        return {"highs": [self._weather(city, f"+{day}")["temperature"] for day in range(1, days + 1)]}

    def get_weather_history(self, city: str, date: str) -> dict:
        """Weather of a city on a past day.

        Args:
            city: Name of the city.
            date: Date as YYYY-MM-DD.
        """
        self._request("/history")
        day = datetime.date.fromisoformat(date)
        if city not in CITIES:
            return {"error": f"city {city} not found"}
        return self._weather(city, day.isoformat())

    def get_weather_alerts(self, city: str) -> list[str]:
        """Warnings in force for a city.

        Args:
            city: Name of the city.
        """
        self._request("/alerts")
        numbers = random.Random(f"{self.seed} {city} alerts")
        return numbers.sample(ALERTS, numbers.randint(0, 2))

    def get_air_quality(self, city: str, pollutant: Literal["pm25", "ozone", "no2"] = "pm25") -> dict:
        """Air quality of a city.

        Args:
            city: Name of the city.
            pollutant: What to measure.
        """
        self._request("/air")
        if pollutant not in POLLUTANTS:
            raise ValueError(f"pollutant must be one of {', '.join(POLLUTANTS)}, not {pollutant!r}")
        if city not in CITIES:
            return {"error": f"city {city} not found"}
        numbers = random.Random(f"{self.seed} {city} {pollutant}")
        return {"value": numbers.randint(1, POLLUTANTS[pollutant]), "unit": "ug/m3"}
