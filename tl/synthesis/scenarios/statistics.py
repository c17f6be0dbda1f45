"""Requests for `tools/statistics.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario


@scenario(
    phrasings=(
        "What is the mean of {values}?",
        "Compute the mean of {values}.",
        "Give me the average of {values}.",
        "My numbers are {values}. What is their mean?",
        "What do {values} average to?",
        "Average these numbers: {values}.",
        "I measured {values}. What is the mean?",
        "Calculate the average of {values}.",
        "Mean of {values}, please.",
        "Take {values} and compute their mean.",
    ),
    unseen=("Please calculate the mean of the numbers {values}.", "Tell me the average of {values}."),
    ask=Ask(
        "values",
        "values",
        phrasings=(
            "What is the mean of my numbers?",
            "Compute an average for me.",
            "Average my numbers.",
            "Calculate a mean.",
            "Give me the mean of my list.",
        ),
        unseen=("Please calculate the mean of some numbers.",),
    ),
)
def mean(draw: Draw) -> Plan:
    values = _numbers(draw)
    yield {"values": _listed(values)}
    yield call("compute_mean", values=values)


@scenario(
    phrasings=(
        "What is the median of {values}?",
        "Compute the median of {values}.",
        "Which number of {values} is in the middle?",
        "My numbers are {values}. Find the median.",
        "Median of {values}, please.",
        "I measured {values}. What is the median?",
        "Calculate the median of {values}.",
        "Take {values}: what is the median?",
    ),
    unseen=("Please tell me the median of the numbers {values}.", "Find the number in the middle of {values}."),
)
def median(draw: Draw) -> Plan:
    values = _numbers(draw)
    yield {"values": _listed(values)}
    yield call("compute_median", values=values)


@scenario(
    phrasings=(
        "What is the {measure} of {values}?",
        "Compute the {measure} of the numbers {values}.",
        "How far do {values} lie apart? I want the {measure}.",
        "I need the {measure} of {values}.",
        "Calculate the {measure} for {values}.",
        "{values}: what is their {measure}?",
        "Give me the {measure} of my numbers {values}.",
    ),
    unseen=("Find the {measure} of these numbers: {values}.",),
)
def spread(draw: Draw) -> Plan:
    values, measure = _numbers(draw), draw.any(("range", "variance", "deviation"))
    yield {"values": _listed(values), "measure": measure}
    yield call("compute_spread", values=values, measure=measure)


@scenario(
    phrasings=(
        "What is the mean of {values} with the weights {weights}?",
        "Compute the weighted mean of {values}. The weights are {weights}.",
        "My numbers are {values}, their weights {weights}. Compute the mean.",
        "Average {values}, weighted with {weights}.",
        "Take the weights {weights} for {values} and give me the mean.",
        "I need the weighted average of {values}, weights {weights}.",
    ),
    unseen=("Weigh {values} by {weights} and tell me the mean.",),
    ask=Ask(
        "weights",
        "weights",
        phrasings=(
            "What is the weighted mean of {values}?",
            "Compute the mean of {values} with my weights.",
            "Compute the weighted mean of {values}.",
            "I need a weighted average of {values}.",
            "My numbers are {values}. Weigh them and compute the mean.",
        ),
        unseen=("Weigh {values} and tell me the mean.",),
    ),
)
def weighted_mean(draw: Draw) -> Plan:
    values = _numbers(draw)
    weights = [draw.any(range(1, 10)) for _ in values]
    yield {"values": _listed(values), "weights": _listed(weights)}
    yield call("compute_mean_weighted", values=values, weights=weights)


@scenario(
    phrasings=(
        "What is the percentile {percent} of {values}?",
        "Compute the {percent} percent percentile of {values}.",
        "Which of {values} is at {percent} percent?",
        "I need the {percent} percent percentile of {values}.",
        "Below which value lie {percent} percent of {values}?",
        "Calculate percentile {percent} for the numbers {values}.",
        "Take {values} and give me the percentile {percent}.",
    ),
    unseen=("Find the percentile at {percent} percent of the numbers {values}.",),
)
def percentile(draw: Draw) -> Plan:
    values, percent = _numbers(draw), draw.any((10, 20, 25, 40, 60, 75, 80, 90))
    yield {"values": _listed(values), "percent": percent}
    yield call("compute_percentile", values=values, percent=percent)


@scenario(
    phrasings=(
        "How closely do {first} go together with {second}?",
        "Compute the correlation of {first} with {second}.",
        "What is the correlation between {first} on one side and {second} on the other?",
        "Do {first} and {second} correlate?",
        "I measured {first} and then {second}. What is the correlation?",
        "Calculate the correlation for {first} and {second}.",
        "Correlate {first} with {second}, please.",
    ),
    unseen=("Find the correlation: the first numbers are {first}, the second {second}.",),
)
def correlation(draw: Draw) -> Plan:
    first = draw.random.sample(range(1, 100), 3)
    second = draw.random.sample(range(1, 100), 3)
    yield {"first": _listed(first), "second": _listed(second)}
    yield call("compute_correlation", first=first, second=second)


@scenario(
    phrasings=(
        "What are the mean and the median of {values}?",
        "Compute the mean, then the median of {values}.",
        "Give me average and median of {values}.",
        "For {values}, give me first the mean, then the median.",
        "Calculate two things for {values}: the mean and the median.",
        "What is the average of {values}, and what is the median?",
    ),
    unseen=("I need both the mean and the median of {values}.",),
)
def mean_and_median(draw: Draw) -> Plan:
    values = _numbers(draw)
    yield {"values": _listed(values)}
    first = yield call("compute_mean", values=values)
    second = yield call("compute_median", values=values)
    return {"mean": first, "median": second}


def _numbers(draw: Draw) -> list[int]:
    """Three to five numbers; the list as a whole is a value of the split."""
    candidates = [draw.random.sample(range(1, 100), draw.random.randint(3, 5)) for _ in range(12)]
    return draw.one(candidates)


def _listed(values: list[int]) -> str:
    return f"{', '.join(map(str, values[:-1]))} and {values[-1]}"
