"""The functions of BFCL's executable categories that compute and need no network, rebuilt from their documentation.

Golden and predicted call run the same code, so that what counts is which calls give the same result, not the last
digit of it. A parameter is `int` where the computation needs a whole number.
"""

import ast
import math
import operator
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from typing import Any

_STEP = 1e-3  # of the numerical derivative
_MATHS = {name: value for name, value in vars(math).items() if not name.startswith("_")}
_OPERATORS: dict[type, Callable] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def _value(node: ast.AST, variable: str, x: float) -> float:
    """Arithmetic on one variable and the functions of `math`, nothing else. Raises ValueError."""
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name) if name == variable:
            return x
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, variable, x), _value(right, variable, x))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, variable, x))
        case ast.Call(func=function, args=arguments, keywords=[]):
            return _maths(function)(*(_value(argument, variable, x) for argument in arguments))
        case ast.Name() | ast.Attribute():
            return _maths(node)
    raise ValueError(f"not arithmetic on {variable}: {ast.unparse(node)}")


def _maths(node: ast.AST) -> Any:
    """`math.sin`, `np.pi` or `exp`."""
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    if name not in _MATHS:
        raise ValueError(f"not known: {ast.unparse(node)}")
    return _MATHS[name]


class Toolkit:
    """Pure functions; there is no state."""

    example = ("math_gcd", {"a": 12, "b": 18})

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def add_binary_numbers(self, a: str, b: str) -> str:
        return bin(int(a, 2) + int(b, 2))[2:]

    def book_room(
        self,
        room_type: str | dict,
        check_in_date: str,
        check_out_date: str,
        customer_id: str,
        price: float = 0.0,
        discount_code: str | None = None,
    ) -> dict:
        stay = {"check_in_date": check_in_date, "check_out_date": check_out_date}
        booked = {"customer_id": customer_id, "room_type": room_type, "price": price, **stay}
        return booked | ({"discount_code": discount_code} if discount_code else {})

    def calc_binomial_probability(self, n: int, k: int, p: float) -> float:
        return math.comb(n, k) * p**k * (1 - p) ** (n - k)

    def calculate_cosine_similarity(self, vectorA: list[float], vectorB: list[float]) -> float:
        product = sum(a * b for a, b in zip(vectorA, vectorB, strict=True))
        return product / (math.hypot(*vectorA) * math.hypot(*vectorB))

    def calculate_density(self, mass: float, volume: float) -> float:
        return mass / volume

    def calculate_displacement(self, initial_velocity: float, acceleration: float, time: float) -> float:
        return initial_velocity * time + acceleration * time**2 / 2

    def calculate_electrostatic_potential_energy(self, charge: float, voltage: float) -> float:
        return charge * voltage

    def calculate_final_velocity(self, initial_velocity: float, acceleration: float, time: float) -> float:
        return initial_velocity + acceleration * time

    def calculate_future_value(self, present_value: float, interest_rate: float, periods: float) -> float:
        return present_value * (1 + interest_rate) ** periods

    def calculate_investment_value(
        self,
        initial_investment: float,
        annual_contribution: float,
        years: int,
        annual_return: float,
        inflation_rate: list[float],
        adjust_for_inflation: bool = True,
    ) -> float:
        value = initial_investment
        for year in range(years):
            value = value * (1 + annual_return) + annual_contribution
            if adjust_for_inflation:
                value /= 1 + inflation_rate[year]
        return value

    def calculate_mean(self, numbers: list[float]) -> float:
        return sum(numbers) / len(numbers)

    def calculate_nutritional_needs(
        self, weight: float, height: float, age: float, gender: str, activity_level: float, goal: str
    ) -> dict:
        """Energy by Mifflin and St Jeor's equation; 30, 40 and 30 % of it from protein, carbohydrates and fat."""
        at_rest = 10 * weight + 6.25 * height - 5 * age + {"male": 5, "female": -161}.get(gender, -78)
        energy = at_rest * (1.2, 1.375, 1.55, 1.725, 1.9)[operator.index(int(activity_level)) - 1]
        energy += {"lose": -500, "gain": 500}.get(goal, 0)
        grams = {"protein": 0.3 * energy / 4, "carbohydrates": 0.4 * energy / 4, "fat": 0.3 * energy / 9}
        return {"calories": energy, **grams}

    def calculate_permutations(self, n: int, k: int) -> int:
        return math.perm(n, k)

    def calculate_standard_deviation(self, numbers: list[float]) -> float:
        mean = sum(numbers) / len(numbers)
        return math.sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers))

    def calculate_triangle_area(self, base: float, height: float) -> float:
        return base * height / 2

    def estimate_derivative(self, function: str, x: float) -> float:
        body = ast.parse(function.strip(), mode="eval").body
        if not isinstance(body, ast.Lambda) or len(body.args.args) != 1:
            raise ValueError("the text of a lambda with one argument is expected")
        name = body.args.args[0].arg
        above, below = (_value(body.body, name, x + step) for step in (_STEP, -_STEP))
        return (above - below) / (2 * _STEP)

    def geometry_area_circle(self, radius: float) -> float:
        return math.pi * radius**2

    def get_distance(self, pointA: list[float], pointB: list[float]) -> float:
        return math.dist(pointA, pointB)

    def get_fibonacci_number(self, n: int) -> int:
        return self.get_fibonacci_sequence(n + 1)[n]

    def get_fibonacci_sequence(self, n: int) -> list[int]:
        numbers = [0, 1]
        for _ in range(n - 2):
            numbers.append(numbers[-1] + numbers[-2])
        return numbers[:n]

    def get_prime_factors(self, number: float) -> list[float]:
        factors, divisor = [], 2
        while divisor * divisor <= number:
            while number % divisor == 0:
                factors.append(divisor)
                number //= divisor
            divisor += 1
        return factors + ([number] if number > 1 else [])

    def linear_regression(self, x: list[float], y: list[float], point: float) -> float:
        n, sum_x, sum_y = len(x), sum(x), sum(y)
        products = sum(a * b for a, b in zip(x, y, strict=True))
        slope = (n * products - sum_x * sum_y) / (n * sum(a * a for a in x) - sum_x**2)
        return slope * point + (sum_y - slope * sum_x) / n

    def mat_mul(self, matA: list[list[float]], matB: list[list[float]]) -> list[list[float]]:
        """A golden call multiplies 2 × 4 by 2 × 4: columns that have no partner are left out."""
        columns = list(zip(*matB, strict=True))
        return [[sum(a * b for a, b in zip(row, column, strict=False)) for column in columns] for row in matA]

    def math_factorial(self, n: int) -> int:
        return math.factorial(n)

    def math_gcd(self, a: float, b: float) -> float:
        while b:
            a, b = b, a % b
        return a

    def math_lcm(self, a: float, b: float) -> float:
        return a * b / self.math_gcd(a, b)

    def maxPoints(self, points: list[list[int]]) -> int:
        """Points on the fullest line: those that repeat the first point, and the most in one direction from it."""
        most = min(len(points), 2)
        for x, y in points:
            towards = [(u - x, v - y) for u, v in points]
            slopes = Counter(Fraction(v, u) if u else None for u, v in towards if (u, v) != (0, 0))
            most = max(most, towards.count((0, 0)) + max(slopes.values(), default=0))
        return most

    def mortgage_calculator(self, loan_amount: float, interest_rate: float, loan_period: float) -> float:
        """Paid monthly, at a yearly rate, over as many years."""
        rate, months = interest_rate / 12, loan_period * 12
        return loan_amount * rate / (1 - (1 + rate) ** -months)

    def order_food(self, item: list[str], quantity: list[int], price: list[float]) -> float:
        return sum(q * p for _, q, p in zip(item, quantity, price, strict=True))

    def polygon_area(self, vertices: list[list[float]]) -> float:
        """By the shoelace formula."""
        following = [*vertices[1:], vertices[0]]
        return abs(sum(a * d - b * c for (a, b), (c, d) in zip(vertices, following, strict=True))) / 2

    def quadratic_roots(self, a: float, b: float, c: float) -> list:
        root = complex(b * b - 4 * a * c) ** 0.5
        roots = [(-b + root) / (2 * a), (-b - root) / (2 * a)]
        return [[number.real, number.imag] for number in roots]

    def sort_array(self, array: list[float], reverse: bool = False) -> list[float]:
        return sorted(array, reverse=reverse)


def whole_numbers(function: str) -> set[str]:
    """The parameters of a function that need whole numbers, by its name; none for one that is not here."""
    hints = getattr(getattr(Toolkit, function, None), "__annotations__", {})
    return {key for key, hint in hints.items() if hint is int and key != "return"}
