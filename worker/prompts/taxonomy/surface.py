"""Letter case, punctuation and numbers."""

from worker.prompts.taxonomy.base import (
    FREE_FORM,
    ConstraintType,
    aspects,
    counting,
    features,
    fixed,
    ifeval,
    kinds,
    matching,
    times,
)

TYPES = (
    ConstraintType(
        "case",
        "upper",
        fixed(
            ifeval("change_case:english_capital"),
            "Write your whole answer in English, in capital letters only.",
            "Answer in English, in all capital letters.",
        ),
        echo_proof=True,
        claims=aspects("case"),
        needs=features("English", "uppercase"),
        rules_out=features("lowercase"),
    ),
    ConstraintType(
        "case",
        "lower",
        fixed(
            ifeval("change_case:english_lowercase"),
            "Answer in English, in all lowercase letters.",
            "Answer in English and use no capital letters at all.",
        ),
        echo_proof=True,
        claims=aspects("case"),
        needs=features("English", "lowercase"),
        rules_out=features("uppercase"),
    ),
    ConstraintType(
        "case",
        "capital_words_at_least",
        counting(
            (2, 3, 4),
            lambda n: ifeval(
                "change_case:capital_word_frequency",
                capital_frequency=n,
                capital_relation="at least",
            ),
            "Write at least {} words in capital letters only.",
            "Stress your point: put {} or more words entirely in capital letters.",
        ),
        claims=aspects("case"),
        needs=features("uppercase"),
    ),
    ConstraintType(
        "case",
        "capital_words_at_most",
        counting(
            (2, 3, 4),
            lambda n: ifeval(
                "change_case:capital_word_frequency",
                capital_frequency=n,
                capital_relation="at most",
            ),
            "At most {} words may be written in capital letters only.",
            "Do not put more than {} words entirely in capital letters.",
        ),
        claims=aspects("case"),
    ),
    ConstraintType(
        "punctuation",
        "no_comma",
        fixed(
            ifeval("punctuation:no_comma"),
            "Do not use any commas, not even one.",
            "Your answer must contain no commas, so keep the sentences simple.",
            "Leave out all commas, wherever you would put one.",
        ),
        echo_proof=True,
        rules_out=features("comma"),
    ),
    ConstraintType(
        "punctuation",
        "questions",
        fixed(
            matching(times(r"\?", 2), "s"),
            "Ask at least two questions in your answer, with a question mark each.",
            "Ask the reader something twice or more, with a question mark each time.",
        ),
        suits=kinds("open", "piece"),
        echo_proof=True,
        claims=aspects("marks"),
    ),
    ConstraintType(
        "punctuation",
        "exclamations",
        counting(
            (2, 3),
            lambda n: matching(times("!", n), "s"),
            "Use at least {} exclamation marks.",
            "Your answer must contain {} or more exclamation marks.",
        ),
        echo_proof=True,
        claims=aspects("marks", "exclamation"),
    ),
    ConstraintType(
        "punctuation",
        "parentheses",
        fixed(
            matching(r"\([^()\n]+\)"),
            "Add a remark in parentheses.",
            "Your answer must contain a remark in round brackets.",
        ),
        echo_proof=True,
    ),
    ConstraintType(
        "numeric",
        "count",
        counting(
            (2, 3, 4),
            lambda n: ifeval("count:numbers", N=n),
            "Use exactly {} numbers, written in digits.",
            "Your answer must contain {} numbers in digits, no more and no fewer.",
        ),
        suits=FREE_FORM | kinds("piece"),
        claims=aspects("numbers"),
    ),
    ConstraintType(
        "numeric",
        "no_digits",
        fixed(
            matching(r"\D+", whole=True),
            "Use no digits; spell every number out in words.",
            "Your answer must not contain a single digit.",
        ),
        claims=aspects("numbers"),
    ),
    ConstraintType(
        "numeric",
        "year",
        fixed(
            matching(r"\b\d{4}\b"),
            "Mention at least one year, written with four digits.",
            "Your answer must contain a year in four digits.",
        ),
        suits=FREE_FORM | kinds("piece"),
        echo_proof=True,
        claims=aspects("numbers"),
    ),
    ConstraintType(
        "numeric",
        "percentage",
        fixed(
            matching(r"\d ?%"),
            "Mention at least one percentage, written in digits with the percent sign.",
            "Your answer must contain a percentage: digits with a percent sign after them.",
        ),
        suits=FREE_FORM,
        echo_proof=True,
        claims=aspects("numbers"),
    ),
    ConstraintType(
        "numeric",
        "clock_time",
        fixed(
            matching(r"\b(?:[01]?\d|2[0-3]):[0-5]\d\b"),
            "Mention a time of day in digits, with a colon between the hours and the minutes.",
            "Your answer must contain a clock time in digits: hours, a colon and minutes.",
        ),
        suits=FREE_FORM | kinds("piece"),
        echo_proof=True,
        claims=aspects("numbers"),
    ),
)
