"""Every constraint type, by group, and which of them are kept for evaluation.

The groups are format (length, text format, letter case, template, punctuation, numbers), content
(keywords, symbols, start and end, genre) and general (language, situation, style, sentiment).
"""

from collections.abc import Mapping

from worker.prompts.taxonomy import content, general, genre, length, surface, text_format
from worker.prompts.taxonomy.base import ConstraintType, Requirement
from worker.prompts.taxonomy.conflicts import conflicts

__all__ = ["HELD_OUT", "TAXONOMY", "ConstraintType", "Requirement", "conflicts"]

TAXONOMY: Mapping[str, ConstraintType] = {
    kind.name: kind
    for kind in (
        *length.TYPES,
        *text_format.TYPES,
        *surface.TYPES,
        *content.TYPES,
        *genre.TYPES,
        *general.TYPES,
    )
}

HELD_OUT: frozenset[str] = frozenset(
    {
        "length.words_between",
        "text_format.numbered_list",
        "numeric.percentage",
        "keyword.in_sentence",
        "genre.speech",
        "style.short_words",
        "sentiment.hopeful",
    }
)
"""Types that no training prompt ever has, so that evaluation shows what carries over."""
