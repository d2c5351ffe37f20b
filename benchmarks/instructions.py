"""What is asked: instructions that invite long answers, and some with checkable constraints."""

from itertools import product

from app.domain.prompt import Constraint, Prompt

_TOPICS = (
    "how bread is made, from the field to the table",
    "why the sea is salty and rivers are not",
    "what a city could do to become quieter",
    "how to plan a week of walking in the mountains",
    "the difference between weather and climate",
    "what makes a good teacher",
    "how a bicycle stays upright",
    "the work of a lighthouse keeper long ago",
)
_FORMS = (
    "Explain in detail, with examples, {}.",
    "Write a long essay about {}.",
    "Write a talk of several minutes for a class of children about {}.",
    "Write a thorough guide with many numbered points about {}.",
)

LONG_INSTRUCTIONS = tuple(form.format(topic) for form, topic in product(_FORMS, _TOPICS))
"""32 instructions that a model answers at length."""

_AT_MOST_60_WORDS = Constraint(
    "length_constraints:number_words", {"relation": "at most", "num_words": 60}
)
_NO_COMMA = Constraint("punctuation:no_comma")
_TITLE = Constraint("detectable_format:title")
_LOWERCASE = Constraint("change_case:english_lowercase")

MIXED_PROMPTS = (
    *(Prompt.from_text(text) for text in LONG_INSTRUCTIONS[:4]),
    Prompt.from_text(
        "Describe a market in the morning, in at most 60 words.", (_AT_MOST_60_WORDS,)
    ),
    Prompt.from_text("Describe a train journey. Use no commas at all.", (_NO_COMMA,)),
    Prompt.from_text(
        "Write a short poem about rain. Give it a title in double angular brackets, such as "
        "<<my poem>>.",
        (_TITLE,),
    ),
    Prompt.from_text(
        "Say in lowercase letters only, and without commas, why people keep dogs.",
        (_LOWERCASE, _NO_COMMA),
    ),
)
"""4 instructions without and 4 with constraints that a program checks."""
