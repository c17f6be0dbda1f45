"""Requests for `tools/recipes.py`."""

from tl.synthesis.scenarios import Ask, Draw, Plan, call, scenario
from tools.recipes import FOODS


@scenario(
    phrasings=("Look up recipe {id}.", "How long does the recipe {id} take?", "How many calories does {id} have?"),
    unseen=("Please look up what the recipe {id} is.", "Tell me time and calories of recipe {id}."),
    ask=Ask(
        "id",
        "recipe_id",
        phrasings=("Look up my recipe.", "How long does the recipe take?"),
        unseen=("Please look up a recipe.",),
    ),
)
def look_up(draw: Draw) -> Plan:
    recipe_id = draw.one(list(draw.world("recipes").recipes))
    yield {"id": recipe_id}
    yield call("lookup_recipe", recipe_id=recipe_id)


@scenario(
    phrasings=("Find a recipe with {one} or {two}.", "What can I cook with {one} and {two}?"),
    unseen=("I have {one} and {two}. Look up recipes for these foods.",),
)
def by_foods(draw: Draw) -> Plan:
    foods = draw.some(FOODS, 2)
    yield {"one": foods[0], "two": foods[1]}
    yield call("lookup_recipes_by_foods", foods=foods)


@scenario(
    phrasings=("Find a recipe with {food} that takes at most {minutes} minutes.",),
    unseen=("Look up recipes that use {food} and take no more than {minutes} minutes.",),
)
def quick(draw: Draw) -> Plan:
    food, minutes = draw.one(FOODS), draw.any((20, 30, 45, 60, 90))
    yield {"food": food, "minutes": minutes}
    yield call("lookup_recipes_by_foods", foods=[food], max_minutes=minutes)


@scenario(
    phrasings=(
        "How much do I need for recipe {id} and {servings} people?",
        "Scale the recipe {id} to {servings} servings.",
    ),
    unseen=("I cook {id} for {servings} people. Please scale the recipe.",),
    ask=Ask(
        "servings",
        "servings",
        phrasings=("Scale the recipe {id}.",),
        unseen=("I cook {id}. Please scale the recipe.",),
    ),
)
def scale(draw: Draw) -> Plan:
    recipe_id, servings = draw.one(list(draw.world("recipes").recipes)), draw.any(range(2, 9))
    yield {"id": recipe_id, "servings": servings}
    yield call("scale_recipe", recipe_id=recipe_id, servings=servings)


@scenario(
    phrasings=("Bookmark recipe {id}.", "Remember the recipe {id} for me.", "Add a bookmark for {id}."),
    unseen=("Please bookmark the recipe {id}.",),
)
def bookmark(draw: Draw) -> Plan:
    recipe_id = draw.one(list(draw.world("recipes").recipes))
    yield {"id": recipe_id}
    yield call("bookmark_recipe", recipe_id=recipe_id)


@scenario(
    phrasings=("Look up recipe {id} and bookmark it.", "How long does {id} take? Bookmark the recipe, too."),
    unseen=("Tell me the time of recipe {id}, then bookmark it.",),
)
def look_up_and_bookmark(draw: Draw) -> Plan:
    recipe_id = draw.one(list(draw.world("recipes").recipes))
    yield {"id": recipe_id}
    recipe = yield call("lookup_recipe", recipe_id=recipe_id)
    yield call("bookmark_recipe", recipe_id=recipe_id)
    return recipe


@scenario(
    phrasings=("Find a recipe with {food} and scale the first one to {servings} servings.",),
    unseen=("Look up recipes for {food}. How much do I need of the first for {servings} people?",),
)
def find_and_scale(draw: Draw) -> Plan:
    recipes = draw.world("recipes").recipes.values()
    food = draw.one(sorted({food for recipe in recipes for food in recipe["grams"]}))
    servings = draw.any(range(2, 9))
    yield {"food": food, "servings": servings}
    found = yield call("lookup_recipes_by_foods", foods=[food])
    yield call("scale_recipe", recipe_id=found[0]["recipe_id"], servings=servings)
