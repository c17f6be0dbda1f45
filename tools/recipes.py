"""A cookbook."""

from __future__ import annotations

import random

from tools._vocabulary import words

FOODS = words(
    """
    apples barley basil beans beef carrots cheese chicken chickpeas coconut corn cream dates dill eggs figs fish flour
    garlic ginger honey kale leeks lemons lentils mushrooms mustard noodles nuts oats onions pasta peas peppers potatoes
    pumpkin rice salmon spinach squash tofu tomatoes turnips yoghurt
    """
)
DISHES = words("bake bowl casserole curry gratin pie risotto salad soup stew")


class Toolkit:
    """Eight recipes, drawn anew for every seed."""

    example = ("lookup_recipes_by_foods", {"foods": ["rice", "eggs"]})

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(f"recipes {seed}")
        self.recipes = {f"y{number}": self._new_recipe() for number in self._random.sample(range(100, 999), 8)}
        self.favourites: list[str] = []

    def _new_recipe(self) -> dict:
        grams = {food: self._random.randint(2, 40) * 10 for food in self._random.sample(FOODS, 3)}
        return {
            "name": f"{next(iter(grams))} {self._random.choice(DISHES)}",
            "grams": grams,
            "minutes": self._random.randint(3, 24) * 5,
            "calories": self._random.randint(200, 900),
        }

    def lookup_recipe(self, recipe_id: str) -> dict:
        """Name, time and calories of a recipe.

        Args:
            recipe_id: Id such as y123.
        """
        recipe = self.recipes[recipe_id]
        return {key: recipe[key] for key in ("name", "minutes", "calories")}

    def lookup_recipes_by_foods(self, foods: list[str], max_minutes: int | None = None) -> list[dict]:
        """Recipes that use one of the foods.

        Args:
            foods: What is in the kitchen.
            max_minutes: Longest time.
        """
        if isinstance(foods, str):
            raise TypeError("foods must be a list, not a string")
        return [
            {"recipe_id": recipe_id, "name": recipe["name"]}
            for recipe_id, recipe in self.recipes.items()
            if recipe["grams"].keys() & set(foods) and (max_minutes is None or recipe["minutes"] <= max_minutes)
        ][:3]

    def scale_recipe(self, recipe_id: str, servings: int) -> dict:
        """Grams of each food for a number of people.

        Args:
            recipe_id: Id such as y123.
            servings: How many people.
        """
        if recipe_id not in self.recipes:
            return {"error": f"recipe {recipe_id} not found"}
        if servings < 1:
            raise ValueError("servings must be at least 1")
        return {food: grams * servings for food, grams in self.recipes[recipe_id]["grams"].items()}

    def bookmark_recipe(self, recipe_id: str, note: str = "") -> dict:
        """Remember a recipe.

        Args:
            recipe_id: Id such as y123.
            note: A remark.
        """
        if recipe_id not in self.recipes:
            return {"error": f"recipe {recipe_id} not found"}
        self.favourites.append(f"{recipe_id} {note}".strip())
        return {"bookmarks": len(self.favourites)}
