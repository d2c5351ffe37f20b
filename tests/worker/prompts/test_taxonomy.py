"""Each type's sentence and constraints say the same, and types that conflict are known."""

import pytest

from app.constraints.checker import Checker
from app.constraints.validation import validate
from app.domain.prompt import Prompt
from tests.worker.prompts.drawn import draws
from tests.worker.prompts.responses import MEETING, MISSING, Build, Said
from worker.prompts.taxonomy import HELD_OUT, TAXONOMY, Requirement, conflicts
from worker.prompts.taxonomy.base import FAMILY_OF


async def satisfied(checker: Checker, requirement: Requirement, response: str) -> bool:
    prompt = Prompt.from_text("Tell me something.", requirement.constraints)
    return all(result.satisfied for result in await checker.check(prompt, response))


@pytest.mark.parametrize("name", TAXONOMY)
async def test_a_response_that_does_what_the_sentence_says_is_accepted(
    checker: Checker, name: str
) -> None:
    build: Build = MEETING[name]
    for requirement in draws(name):
        response = build(Said(requirement.sentence))
        assert await satisfied(checker, requirement, response), (requirement, response)


@pytest.mark.parametrize("name", TAXONOMY)
async def test_a_response_that_does_not_is_refused(checker: Checker, name: str) -> None:
    build: Build = MISSING[name]
    for requirement in draws(name):
        response = build(Said(requirement.sentence))
        assert not await satisfied(checker, requirement, response), (requirement, response)


@pytest.mark.parametrize("name", TAXONOMY)
def test_every_type_has_several_wordings_and_valid_constraints(name: str) -> None:
    requirements = draws(name)
    assert len(requirements) > 1
    for requirement in requirements:
        validate(requirement.constraints)
        assert requirement.sentence[-1] == "."
        assert "{" not in requirement.sentence


@pytest.mark.parametrize("name", TAXONOMY)
def test_no_sentence_has_a_sign_that_another_type_asks_for(name: str) -> None:
    for requirement in draws(name):
        assert not set("?()#%") & set(requirement.sentence)
        assert requirement.sentence.isascii()


def test_there_are_types_of_every_group_and_those_held_out_are_spread() -> None:
    assert {kind.group for kind in TAXONOMY.values()} == set(FAMILY_OF)
    held_out = [TAXONOMY[name] for name in HELD_OUT]
    assert {kind.family for kind in held_out} == {"format", "content", "general"}
    assert len({kind.group for kind in held_out}) == len(held_out)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("case.upper", "case.lower"),
        ("case.upper", "text_format.sections"),
        ("case.lower", "case.capital_words_at_least"),
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
    ],
)
def test_types_that_nobody_could_meet_together_conflict(one: str, other: str) -> None:
    assert conflicts(TAXONOMY[one], TAXONOMY[other])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("length.words_at_most", "keyword.include"),
        ("case.lower", "punctuation.no_comma"),
        ("text_format.json_object", "keyword.include"),
        ("text_format.bullets", "text_format.title"),
        ("language.answer_in", "length.words_at_most"),
        ("genre.letter", "situation.reader_role"),
        ("position.opening", "position.closing"),
    ],
)
def test_types_that_go_together_do_not_conflict(one: str, other: str) -> None:
    assert not conflicts(TAXONOMY[one], TAXONOMY[other])


def test_conflicts_are_symmetric_and_every_type_conflicts_with_itself() -> None:
    kinds = list(TAXONOMY.values())
    for one in kinds:
        assert conflicts(one, one)
        for other in kinds:
            assert conflicts(one, other) == conflicts(other, one)


def test_every_type_goes_with_several_others() -> None:
    kinds = list(TAXONOMY.values())
    for one in kinds:
        assert sum(not conflicts(one, other) for other in kinds) >= 5, one.name
