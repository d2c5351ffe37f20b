"""Messages of the family `length_constraints`."""

import re

from app.constraints.ifeval import (
    NumberParagraphs,
    NumberSentences,
    NumberWords,
    ParagraphFirstWord,
)
from app.constraints.kinds import Describe
from app.constraints.library import count_sentences, count_words
from app.constraints.wording import bound, plural, quoted


def words(kwargs: NumberWords, response: str, _: bool) -> str:
    """How many words there are."""
    return f"{plural(count_words(response), 'word')}, {bound(kwargs.relation, kwargs.num_words)}"


def sentences(kwargs: NumberSentences, response: str, _: bool) -> str:
    """How many sentences there are."""
    found = plural(count_sentences(response), "sentence")
    return f"{found}, {bound(kwargs.relation, kwargs.num_sentences)}"


def paragraphs(kwargs: NumberParagraphs, response: str, _: bool) -> str:
    """How many paragraphs the *** dividers make."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", response)]
    wanted = f"exactly {kwargs.num_paragraphs} asked for, separated by ***"
    if not all(parts[1:-1]):
        return f"an empty paragraph between two *** dividers; {wanted}"
    return f"{plural(sum(map(bool, parts)), 'paragraph')}, {wanted}"


def first_word(kwargs: ParagraphFirstWord, response: str, satisfied: bool) -> str:
    """How many paragraphs the blank lines make, and how the one in question starts."""
    parts = response.split("\n\n")
    count = plural(sum(bool(part.strip()) for part in parts), "paragraph")
    wanted = f"exactly {kwargs.num_paragraphs} asked for, separated by one blank line"
    nth, word = kwargs.nth_paragraph, quoted(kwargs.first_word)
    if satisfied:
        return f"{count}, {wanted}; paragraph {nth} starts with {word}"
    start = parts[nth - 1].split() if nth <= len(parts) else []
    found = f"starts with {quoted(start[0])}" if start else "is missing or empty"
    return f"{count}, {wanted}; paragraph {nth} {found}, it has to start with the word {word}"


DESCRIBERS: dict[str, Describe] = {
    "length_constraints:number_words": words,
    "length_constraints:number_sentences": sentences,
    "length_constraints:number_paragraphs": paragraphs,
    "length_constraints:nth_paragraph_first_word": first_word,
}
