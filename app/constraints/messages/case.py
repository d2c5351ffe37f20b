"""Messages of the family `change_case`."""

from collections.abc import Iterable

from app.constraints.ifeval import CapitalWordFrequency
from app.constraints.kinds import Describe, NoKwargs, language_name
from app.constraints.library import count_capital_words, detect_language
from app.constraints.wording import bound, plural, quoted

_SHOWN = 3


def capital_words(kwargs: CapitalWordFrequency, response: str, _: bool) -> str:
    """How many words are in all capitals."""
    found = plural(count_capital_words(response), "word")
    return f"{found} in all capitals, {bound(kwargs.capital_relation, kwargs.capital_frequency)}"


def capital(_: NoKwargs, response: str, satisfied: bool) -> str:
    """Which words are not in capital letters."""
    if satisfied:
        return "the response is in English and in capital letters"
    wrong = (word for word in response.split() if word != word.upper())
    return _not_in_case("capital", wrong, response, response.isupper())


def lowercase(_: NoKwargs, response: str, satisfied: bool) -> str:
    """Which words are not in lowercase letters."""
    if satisfied:
        return "the response is in English and in lowercase letters"
    wrong = (word for word in response.split() if word != word.lower())
    return _not_in_case("lowercase", wrong, response, response.islower())


def _not_in_case(case: str, wrong: Iterable[str], response: str, cased: bool) -> str:
    if cased:
        name = language_name(detect_language(response))
        return f"the language looks like {name}, English in {case} letters asked for"
    words = list(wrong)
    if not words:
        return f"the response is not in {case} letters, English in {case} letters asked for"
    examples = ", ".join(map(quoted, words[:_SHOWN]))
    found = f"{plural(len(words), 'word')} not in {case} letters"
    return f"{found} ({examples}), English in {case} letters only asked for"


DESCRIBERS: dict[str, Describe] = {
    "change_case:capital_word_frequency": capital_words,
    "change_case:english_capital": capital,
    "change_case:english_lowercase": lowercase,
}
