"""Requests for `tools/weather.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools._vocabulary import CITIES, DATES
from tools.weather import POLLUTANTS

PAST_DATES = [date.replace("2026", "2025") for date in DATES]


@scenario(
    phrasings=(
        "What is the weather in {city} right now?",
        "How is the weather in {city}?",
        "Tell me the current weather in {city}.",
        "I am in {city}. What is the weather like now?",
        "Check the current weather of {city}.",
        "Is it warm in {city} at the moment?",
        "Current weather for {city}, please.",
        "Could you tell me the weather in {city}?",
        "Give me the present weather of {city}.",
        "What are the weather conditions in {city}?",
        "I would like to know how the weather is in {city} now.",
        "Weather in {city}?",
        "Do I need an umbrella in {city} right now?",
        "Look up today's weather for {city}.",
        "Show me what the weather is doing in {city}.",
    ),
    unseen=(
        "Can you look up what the weather is like in {city} now?",
        "Please give me the weather in {city} at the moment.",
        "{city}: what is the current weather there?",
    ),
    ask=Ask(
        "city",
        "city",
        phrasings=(
            "What is the weather right now?",
            "How is the weather?",
            "Tell me the current weather.",
            "What is the weather like where I am?",
            "Tell me how the weather is.",
            "What are the weather conditions now?",
            "Do I need an umbrella right now?",
            "Current weather, please.",
            "Look up the weather for me.",
            "I would like to know the weather.",
            "Is it warm outside at the moment?",
        ),
        unseen=("Please give me the weather at the moment.", "Can you check the current weather?"),
    ),
)
def current_weather(draw: Draw) -> Plan:
    city = draw.one(CITIES)
    yield {"city": city}
    yield call("get_weather", city=city)


@scenario(
    phrasings=(
        "What is the temperature in {city} in {unit}?",
        "Give me the current weather in {city} in degrees {unit}.",
        "How warm is {city} now, in {unit}?",
        "I need the weather in {city} right now. Use {unit}.",
        "Weather of {city} with {unit} as unit, please.",
        "How warm is it in {city}? I think in {unit}.",
        "Report the weather in {city}, temperatures in {unit}.",
        "Use {unit} and tell me the weather in {city}.",
        "Give me {city}'s weather now in {unit}, please.",
        "The weather right now in {city}, in {unit} please.",
        "In {unit}, what is the temperature of {city} at present?",
        "What is it like in {city} at the moment? The unit should be {unit}.",
    ),
    unseen=(
        "Tell me in {unit} how warm it is in {city} now.",
        "The current weather in {city}, please, and use {unit}.",
    ),
)
def weather_in_unit(draw: Draw) -> Plan:
    city, unit = draw.one(CITIES), draw.any(("celsius", "fahrenheit", "fahrenheit"))
    yield {"city": city, "unit": unit}
    yield call("get_weather", city=city, unit=unit)


@scenario(
    phrasings=(
        "What is the weather forecast for {city} for the next {days} days?",
        "How warm will it get in {city} over the coming {days} days?",
        "Give me a {days} day forecast for {city}.",
        "I travel to {city} for {days} days. What is the forecast?",
        "Forecast the temperatures in {city} for {days} days.",
        "Show the forecast of {city}, {days} days ahead.",
        "I need the forecast of {city} for {days} days.",
        "Please forecast {days} days of weather for {city}.",
        "For the next {days} days, how will the weather in {city} be?",
        "Look ahead {days} days: how warm will {city} be?",
        "Tell me the weather of the coming {days} days in {city}.",
        "{days} days of forecast for {city}, please.",
        "Will it be warm in {city} during the coming {days} days?",
    ),
    unseen=(
        "I would like a forecast for {city} that covers {days} days.",
        "What will the temperatures be in {city} during the next {days} days?",
    ),
    ask=Ask(
        "city",
        "city",
        phrasings=(
            "Give me a {days} day forecast.",
            "What is the forecast for the next {days} days?",
            "Forecast the next {days} days for me.",
            "How will the weather be over the coming {days} days?",
            "I need a forecast for {days} days.",
            "{days} days of forecast, please.",
            "Will it be warm during the next {days} days?",
        ),
        unseen=("I would like a weather forecast that covers {days} days.",),
    ),
)
def forecast(draw: Draw) -> Plan:
    city, days = draw.one(CITIES), draw.any(range(2, 8))
    yield {"city": city, "days": days}
    yield call("get_weather_forecast", city=city, days=days)


@scenario(
    phrasings=(
        "What was the weather in {city} on {date}?",
        "How was the weather in {city} on {date}?",
        "Look up the past weather of {city} for {date}.",
        "Tell me what the weather was like on {date} in {city}.",
        "I was in {city} on {date}. What was the weather?",
        "Was it cold in {city} on {date}?",
        "Which weather did {city} have on {date}?",
        "Give me the weather of {date} in {city}.",
        "I need the weather record of {city} for {date}.",
        "How warm was it in {city} on {date}?",
        "Back on {date}, how was the weather in {city}?",
        "Search the weather history: {city}, {date}.",
        "Please check how cold it was in {city} on {date}.",
    ),
    unseen=(
        "On {date}, what was the weather like in {city}?",
        "Find out how the weather in {city} was on {date}.",
    ),
    ask=Ask(
        "date",
        "date",
        phrasings=(
            "What was the weather in {city} on that day?",
            "How was the weather in {city} back then?",
            "Look up the past weather of {city}.",
            "I need the weather record of {city} for a day last year.",
            "How warm was it in {city} on my birthday?",
            "Was it cold in {city} when I was there?",
            "Tell me what the weather in {city} was like on the day of the match.",
        ),
        unseen=("What was the weather like in {city} that day?",),
    ),
)
def past_weather(draw: Draw) -> Plan:
    city, date = draw.one(CITIES), draw.one(PAST_DATES)
    yield {"city": city, "date": date}
    yield call("get_weather_history", city=city, date=date)


@scenario(
    phrasings=(
        "Are there any weather alerts for {city}?",
        "Is there a warning for {city}?",
        "Check the weather alerts in {city}.",
        "Which warnings are in force for {city}?",
        "Do I have to worry about a storm in {city}? Check the alerts.",
        "List the alerts for {city}.",
        "Are any weather warnings out for {city}?",
        "Does {city} have weather alerts?",
        "Show me the alerts of {city}.",
        "Give me all current warnings for {city}.",
        "Has a storm warning been issued for {city}?",
        "I am going to {city}. Are there alerts?",
        "Weather warnings for {city}, please.",
        "Find out if there is an alert in {city}.",
    ),
    unseen=(
        "Please look for warnings in {city}.",
        "Tell me which weather alerts there are in {city}.",
    ),
)
def alerts(draw: Draw) -> Plan:
    city = draw.one(CITIES)
    yield {"city": city}
    yield call("get_weather_alerts", city=city)


@scenario(
    phrasings=(
        "How is the air quality in {city}?",
        "Is the air clean in {city}?",
        "What is the air quality of {city} today?",
        "Check the air quality in {city}.",
        "I want to run in {city}. How good is the air?",
        "What about the air quality in {city}?",
        "Give me the air quality of {city}.",
        "How clean is the air in {city}?",
        "Can I breathe freely in {city}? Check the air.",
        "I would like to know the quality of the air in {city}.",
        "Is the air in {city} polluted?",
        "Look up the air in {city}.",
        "Air quality of {city}, please.",
    ),
    unseen=("How good is the air quality in {city} today?", "Tell me whether the air in {city} is clean."),
    ask=Ask(
        "city",
        "city",
        phrasings=(
            "How is the air quality?",
            "Is the air clean today?",
            "Check the air quality.",
            "Is the air polluted where I live?",
            "Give me the air quality, please.",
            "How clean is the air outside?",
            "I want to run today. How good is the air?",
        ),
        unseen=("How good is the air quality here?",),
    ),
)
def air_quality(draw: Draw) -> Plan:
    city = draw.one(CITIES)
    yield {"city": city}
    yield call("get_air_quality", city=city)


@scenario(
    phrasings=(
        "How much {pollutant} is in the air of {city}?",
        "Measure the {pollutant} in {city}.",
        "What is the {pollutant} value of the air in {city}?",
        "Give me the air quality in {city} for {pollutant}.",
        "Look up {pollutant} in {city}.",
        "What is the level of {pollutant} in {city}?",
        "Is there a lot of {pollutant} in {city}'s air?",
        "Tell me the amount of {pollutant} in {city}.",
        "I need the air quality of {city}, only {pollutant}.",
        "How high is {pollutant} in {city} today?",
        "Air quality for {city} please, and I care about {pollutant}.",
    ),
    unseen=("In {city}, how much {pollutant} is there in the air?", "Check the air of {city} for {pollutant}."),
)
def one_pollutant(draw: Draw) -> Plan:
    city, pollutant = draw.one(CITIES), draw.any(tuple(POLLUTANTS))
    yield {"city": city, "pollutant": pollutant}
    yield call("get_air_quality", city=city, pollutant=pollutant)


@scenario(
    phrasings=(
        "What is the weather in {city} and in {other}?",
        "Compare the current weather of {city} and {other}.",
        "How warm is it now in {city} and {other}?",
        "I need the weather in {city}, then in {other}.",
        "First the weather in {city}, then the weather in {other}, please.",
        "What are the conditions in {city} and {other} at present?",
        "Is it warmer in {city} or in {other}?",
        "Give me the weather of both {city} and {other}.",
        "Check {city} and {other}: how is the weather?",
        "I travel between {city} and {other}. How is the weather in both?",
    ),
    unseen=("Tell me how the weather is in {city} and also in {other}.", "Weather now: {city} versus {other}."),
)
def two_cities(draw: Draw) -> Plan:
    city, other = draw.some(CITIES, 2)
    yield {"city": city, "other": other}
    first = yield call("get_weather", city=city)
    second = yield call("get_weather", city=other)
    return {"temperatures": [first["temperature"], second["temperature"]]}


@scenario(
    phrasings=(
        "What is the weather in {city} now, and are there any alerts?",
        "Tell me the current weather in {city} and check for warnings there.",
        "Weather and alerts for {city}, please.",
        "How is the weather in {city}? Also look for alerts.",
        "Check the weather in {city} and whether any warnings are in force.",
        "Look up the current weather in {city}, afterwards the alerts.",
        "I am off to {city}. What is the weather, and is there an alert?",
        "For {city} I want the weather now, and the warnings too.",
    ),
    unseen=("I need the weather and then the alerts for {city}.",),
)
def weather_and_alerts(draw: Draw) -> Plan:
    city = draw.one(CITIES)
    yield {"city": city}
    now = yield call("get_weather", city=city)
    warnings = yield call("get_weather_alerts", city=city)
    return {**now, "alerts": warnings}


@scenario(
    phrasings=(
        "Get me {days} day forecasts for {one}, {two} and {three}.",
        "Forecast for {days} days in {one}, {two} and {three}, please.",
        "I visit {one}, {two} and {three}. What is the forecast for the next {days} days?",
        "Forecasts for {one}, {two} and {three}, each for {days} days.",
        "How will the weather be in {one}, {two} and {three} in the next {days} days?",
        "Please look {days} days ahead for {one}, {two} and {three}.",
        "I need {days} days of forecast in each of {one}, {two} and {three}.",
    ),
    unseen=("What are the forecasts for {one}, {two} and {three} over {days} days?",),
)
def three_forecasts(draw: Draw) -> Plan:
    cities, days = draw.some(CITIES, 3), draw.any((2, 3))
    yield {"one": cities[0], "two": cities[1], "three": cities[2], "days": days}
    highs = []
    for city in cities:
        coming = yield call("get_weather_forecast", city=city, days=days)
        highs += coming["highs"]
    return {"highs": highs}
