"""Every seed and every constraint type of the catalog; a failure names the row."""

import re
from collections.abc import Iterator
from random import Random

import pytest
from pydantic import ValidationError

from app.constraints.catalogue import validate
from app.constraints.checker import Checker
from app.domain.prompt import Constraint, Prompt
from tests.worker.prompts.responses import MEETING, MISSING, Build, Said
from worker.prompts.catalog import ConstraintType, all_seeds, constraint_types, seeds_of

TYPES = constraint_types()


def draws(kind: ConstraintType) -> dict[str, tuple[Constraint, ...]]:
    """Different requirements of one type by their sentences, drawn for seeds that it fits."""
    seeds = [seed for seed in all_seeds() if seed.kind in kind.seed_kinds]
    return dict(kind.draw(Random(number), seeds[number * 7 % len(seeds)]) for number in range(12))


def every_draw() -> Iterator[tuple[str, str, tuple[Constraint, ...]]]:
    for name, kind in TYPES.items():
        for sentence, constraints in draws(kind).items():
            yield name, sentence, constraints


async def satisfied(
    checker: Checker, constraints: tuple[Constraint, ...], build: Build, sentence: str
) -> bool:
    prompt = Prompt.from_text("Tell me something.", constraints)
    results = await checker.check(prompt, build(Said(sentence)))
    return all(result.satisfied for result in results)


async def test_response_is_accepted_iff_it_meets_the_sentence(
    checker: Checker,
) -> None:
    assert set(MEETING) == set(MISSING) == set(TYPES)
    for name, sentence, constraints in every_draw():
        assert await satisfied(checker, constraints, MEETING[name], sentence), (name, sentence)
        assert not await satisfied(checker, constraints, MISSING[name], sentence), (name, sentence)


def test_every_type_has_several_sentences_and_valid_constraints_without_open_fields() -> None:
    for name, sentence, constraints in every_draw():
        validate(constraints)
        assert len(draws(TYPES[name])) > 1, name
        assert sentence[-1] == "."
        assert sentence.isascii()
        # Signs that a type asks for: no sentence may meet it by being repeated.
        assert not set("{}?()#%") & set(sentence), (name, sentence)


def test_every_argument_appears_in_the_sentences_and_in_the_constraints() -> None:
    for name, kind in TYPES.items():
        for argument in kind.arguments.keys() - {"none", "count"}:
            assert all(f"{{{argument}" in text for text in kind.sentences), (name, argument)
            assert f"{{{argument}" in str(kind.constraints), (name, argument)


def test_held_out_types_are_spread_over_the_groups() -> None:
    held_out = [name.split(".")[0] for name, kind in TYPES.items() if kind.held_out]
    assert sorted(held_out) == [
        "genre", "keyword", "length", "numeric", "sentiment", "style", "text_format",
    ]  # fmt: skip


def test_a_misspelt_field_or_aspect_is_refused() -> None:
    row = {"name": "case.odd", "sentences": ["Be odd."], "constraints": []}
    ConstraintType.model_validate(row)
    for wrong in ({"claim": ["case"]}, {"claims": ["cases"]}, {"name": "odd"}):
        with pytest.raises(ValidationError):
            ConstraintType.model_validate(row | wrong)


def test_types_that_cannot_be_met_together_conflict() -> None:
    for one, other in (
        ("case.upper", "case.lower"),
        ("case.upper", "text_format.sections"),
        ("case.lower", "case.capital_words_at_least"),
        ("case.lower", "text_format.sections"),
        ("length.words_at_most", "length.words_at_least"),
        ("length.words_at_most", "length.sentences_exactly"),
        ("text_format.json_object", "length.words_at_most"),
        ("text_format.json_object", "text_format.quotation"),
        ("text_format.json_list", "text_format.highlights"),
        ("text_format.json_list", "punctuation.no_comma"),
        ("text_format.bullets", "text_format.paragraphs"),
        ("text_format.single_paragraph", "template.postscript"),
        ("language.answer_in", "keyword.include"),
        ("language.answer_in", "case.upper"),
        ("language.answer_in", "symbol.letter_at_least"),
        ("language.answer_in", "text_format.sections"),
        ("punctuation.no_comma", "genre.letter"),
        ("punctuation.exclamations", "style.no_exclamation"),
        ("position.closing", "template.postscript"),
        ("position.opening", "genre.fairy_tale"),
        ("keyword.include", "keyword.forbidden"),
        ("keyword.forbidden", "position.closing"),
        ("numeric.no_digits", "text_format.numbered_list"),
        ("style.no_first_person", "situation.speaker"),
        ("sentiment.cheerful", "sentiment.critical"),
    ):
        assert TYPES[one].conflicts(TYPES[other]), (one, other)
    for one, other in (
        ("length.words_at_most", "keyword.include"),
        ("case.lower", "punctuation.no_comma"),
        ("text_format.json_object", "keyword.include"),
        ("text_format.bullets", "text_format.title"),
        ("language.answer_in", "length.words_at_most"),
        ("genre.letter", "situation.reader_role"),
        ("position.opening", "position.closing"),
    ):
        assert not TYPES[one].conflicts(TYPES[other]), (one, other)


def test_conflicts_are_symmetric_and_every_type_goes_with_several_others_but_not_itself() -> None:
    for one in TYPES.values():
        assert one.conflicts(one)
        assert one.only_with is None or one.only_with <= set(TYPES), one.name
        assert all(one.conflicts(other) == other.conflicts(one) for other in TYPES.values())
        assert sum(not one.conflicts(other) for other in TYPES.values()) >= 5, one.name


def test_seeds_are_many_and_different_and_a_fifth_of_every_kind_is_for_evaluation() -> None:
    assert len({seed.text.lower() for seed in all_seeds()}) == len(all_seeds()) >= 160
    train, evaluation = seeds_of("train"), seeds_of("evaluation")
    assert set(train) | set(evaluation) == set(all_seeds())
    assert not set(train) & set(evaluation)
    assert len(evaluation) == len(all_seeds()) // 5
    assert {seed.kind for seed in evaluation} == {seed.kind for seed in train}


def test_a_seed_fixes_no_form_and_its_words_are_new_and_within_every_limit() -> None:
    fixes_form = r"\d|\b(sentences|paragraphs|list|table|bullet|short|brief)\b"
    for seed in all_seeds():
        assert seed.text.count("?") <= 1, seed
        assert not set("!()#%*[]<>{}\n•") & set(seed.text), seed
        assert not re.search(fixes_form, seed.text), seed
        assert not seed.text.startswith('"'), seed
        assert len(seed.text) <= 250, seed
        assert len(set(seed.words)) == 5, seed
        for word in seed.words:
            assert word.isalpha(), (seed, word)
            assert 4 <= len(word) <= 9, (seed, word)
            assert word.lower() not in seed.text.lower(), (seed, word)


def test_no_word_of_a_seed_is_ruled_out_by_another_type() -> None:
    words = {word.lower() for seed in all_seeds() for word in seed.words}
    for name, _, constraints in every_draw():
        if name != "keyword.forbidden":
            for constraint in constraints:
                assert not words & set(constraint.kwargs.get("forbidden_words", ())), name
