"""What requests are wrapped in, what users answer, and requests that no tool of the library can serve."""

ASIDES = (*("{}",) * 5, "Hi! {}", "{} Thanks!", "{} Thank you.", "Quick question: {}", "{} It is urgent.")
UNSEEN_ASIDES = (*("{}",) * 3, "Good morning. {}", "{} Many thanks!")

USER_ANSWERS = ("{}", "{}, please.", "It is {}.", "Take {}.")
UNSEEN_USER_ANSWERS = ("I mean {}.", "{}, thanks.")

OUT_OF_SCOPE = (
    "Call a taxi to {place} for me.",
    "Translate a letter from {place} into French.",
    "Water the plants of my flat in {place}.",
    "Write a poem about {place}.",
    "Print a picture of {place}.",
    "Turn on the lights in my house in {place}.",
    "Who is the mayor of {place}?",
    "Bake a cake for my friends in {place}.",
    "Repair my bicycle in {place}.",
    "Paint the walls of my office in {place}.",
    "Sing me a song about {place}.",
    "Drive me to {place}.",
)
UNSEEN_OUT_OF_SCOPE = (
    "I need a taxi to {place}, please call one.",
    "Please write a poem for a friend in {place}.",
    "Can you water my plants in {place}?",
    "Tell me who the mayor of {place} is.",
    "Please repair the bicycle that I left in {place}.",
    "Bake me a cake, I am in {place}.",
)
