"""Messages of the family `keywords`."""

import re

from app.constraints.ifeval import Existence, ForbiddenWords, Frequency, LetterFrequency
from app.constraints.kinds import Describe
from app.constraints.wording import bound, plural, quoted


def existence(kwargs: Existence, response: str, _: bool) -> str:
    """Which keywords are missing."""
    words = kwargs.keywords
    missing = [w for w in words if not re.search(re.escape(w), response, re.IGNORECASE)]
    if not missing:
        return f"all {plural(len(words), 'keyword')} found"
    found = f"({len(words) - len(missing)} of {len(words)} found)"
    if len(missing) == 1:
        return f"the keyword {quoted(missing[0])} is missing {found}"
    return f"the keywords {', '.join(map(quoted, missing))} are missing {found}"


def frequency(kwargs: Frequency, response: str, _: bool) -> str:
    """How often a keyword appears."""
    times = len(re.findall(kwargs.pattern, response, re.IGNORECASE))
    wanted = bound(kwargs.relation, kwargs.frequency)
    return f"the keyword {quoted(kwargs.keyword)} appears {plural(times, 'time')}, {wanted}"


def forbidden_words(kwargs: ForbiddenWords, response: str, _: bool) -> str:
    """Which forbidden words appear."""
    found = [
        word
        for word in dict.fromkeys(kwargs.forbidden_words)
        if re.search(rf"\b{re.escape(word)}\b", response, re.IGNORECASE)
    ]
    if not found:
        return "no forbidden word found"
    noun = "word" if len(found) == 1 else "words"
    return f"the forbidden {noun} {', '.join(map(quoted, found))} found, none allowed"


def letter_frequency(kwargs: LetterFrequency, response: str, _: bool) -> str:
    """How often a letter appears."""
    times = response.lower().count(kwargs.letter.lower())
    wanted = bound(kwargs.let_relation, kwargs.let_frequency)
    return f'the letter "{kwargs.letter.lower()}" appears {plural(times, "time")}, {wanted}'


DESCRIBERS: dict[str, Describe] = {
    "keywords:existence": existence,
    "keywords:frequency": frequency,
    "keywords:forbidden_words": forbidden_words,
    "keywords:letter_frequency": letter_frequency,
}
