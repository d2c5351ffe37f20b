"""Hand-made responses to the requirement of each constraint type.

They are made from the sentence that the model reads, never from the constraints that the checker
reads, so that a sentence that says something else than its constraints is caught.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass

PLAIN = "The old mill stands near the river and the village sleeps."
SPANISH = "El viejo molino está cerca del río y todos los niños del pueblo duermen tranquilos."
FRENCH = "Le vieux moulin se trouve près de la rivière et tous les enfants du village dorment."
GERMAN = "Die alte Mühle steht am Fluss und alle Kinder des Dorfes schlafen ruhig in der Nacht."
ITALIAN = "Il vecchio mulino si trova vicino al fiume e tutti i bambini del paese dormono."
_TEXT_IN = {"Spanish": SPANISH, "French": FRENCH, "German": GERMAN, "Italian": ITALIAN}
_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """What a sentence says: its numbers, in words or digits, and its quoted phrases."""

    sentence: str

    @property
    def numbers(self) -> list[int]:
        found = re.findall(r"\b(?:\d+|" + "|".join(_NUMBERS) + r")\b", self.sentence)
        return [_NUMBERS.get(word) or int(word) for word in found]

    @property
    def number(self) -> int:
        """The number that counts: "one" is often just a pronoun."""
        if "twice" in self.sentence:
            return 2
        return max(self.numbers)

    @property
    def quotes(self) -> list[str]:
        return re.findall(r'"([^"]+)"', self.sentence)

    @property
    def quote(self) -> str:
        return self.quotes[0]

    def names(self, word: str) -> bool:
        return re.search(rf"\b{word}\b", self.sentence) is not None


Build = Callable[[Said], str]


def words(number: int) -> str:
    return " ".join(["river"] * number)


def sentences(number: int) -> str:
    return " ".join(["The river is calm."] * number)


def lines(number: int, make: Callable[[int], str]) -> str:
    return "\n".join(make(n) for n in range(1, number + 1))


def paragraphs(number: int) -> str:
    return "\n***\n".join(f"Paragraph {chr(64 + n)}." for n in range(1, number + 1))


def blank_line_paragraphs(said: Said, second: str) -> str:
    rest = ["The river is calm."] * (said.number - 2)
    return "\n\n".join(["The sun is up.", f"{second} it rains.", *rest])


def json_object(said: Said, value: str = "rain") -> str:
    return json.dumps(dict.fromkeys(said.quotes, value))


def labelled(said: Said, text: str = "rain") -> str:
    return "\n".join(f"{label} {text}" for label in said.quotes)


def times(said: Said, number: int) -> str:
    return ", ".join([said.quote] * number) or "nothing"


def readers(said: Said) -> str:
    found = re.search(r"(?:Write for|readers are) (\w+)", said.sentence)
    assert found
    return found[1]


def language(said: Said) -> str:
    return next(text for name, text in _TEXT_IN.items() if said.names(name))


def moods(said: Said) -> tuple[list[str], list[str]]:
    wanted, unwanted = said.sentence.split("none of the words")
    return Said(wanted).quotes, Said(unwanted).quotes


def in_sentence(said: Said, right: bool) -> str:
    first = said.names("first") == right
    one, other = f"The {said.quote} is old.", "Nobody sleeps."
    return f"{one} {other}" if first else f"{other} {one}"


MEETING: dict[str, Build] = {
    "length.words_at_most": lambda s: words(s.number),
    "length.words_at_least": lambda s: words(s.number),
    "length.words_between": lambda s: words(s.numbers[0]),
    "length.sentences_at_most": lambda s: sentences(s.number),
    "length.sentences_at_least": lambda s: sentences(s.number),
    "length.sentences_exactly": lambda s: sentences(s.number),
    "text_format.bullets": lambda s: lines(s.number, lambda n: f"{'*-'[n % 2]} point"),
    "text_format.numbered_list": lambda s: "Here:\n" + lines(s.number, lambda n: f"{n}. Point"),
    "text_format.highlights": lambda s: lines(s.number, lambda n: f"It is *so* {n}"),
    "text_format.title": lambda s: f"<<The Mill>>\n{PLAIN}",
    "text_format.sections": lambda s: lines(s.number, lambda n: f"Section {n}\nText."),
    "text_format.paragraphs": lambda s: paragraphs(s.numbers[0]),
    "text_format.paragraph_first_word": lambda s: blank_line_paragraphs(s, s.quote),
    "text_format.single_paragraph": lambda s: PLAIN,
    "text_format.json_object": json_object,
    "text_format.json_list": lambda s: json.dumps(["rain"] * s.number),
    "text_format.quotation": lambda s: f'"{PLAIN}"',
    "text_format.two_answers": lambda s: "One.\n******\nTwo.",
    "template.labels": labelled,
    "template.placeholders": lambda s: lines(s.number, lambda n: f"Dear [name {n}]"),
    "template.postscript": lambda s: f"{PLAIN}\n\n{s.quote} Bring bread.",
    "case.upper": lambda s: PLAIN.upper(),
    "case.lower": lambda s: PLAIN.lower(),
    "case.capital_words_at_least": lambda s: "It is " + "VERY " * s.number + "old.",
    "case.capital_words_at_most": lambda s: "It is " + "VERY " * s.number + "old.",
    "punctuation.no_comma": lambda s: PLAIN,
    "punctuation.questions": lambda s: "Who? " * s.number,
    "punctuation.exclamations": lambda s: "Rain!\n" * s.number,
    "punctuation.parentheses": lambda s: "The mill (an old one) stands.",
    "numeric.count": lambda s: lines(s.number, lambda n: f"There are {n} mills."),
    "numeric.no_digits": lambda s: PLAIN,
    "numeric.year": lambda s: "It was built in 1874.",
    "numeric.percentage": lambda s: "About 40% of it is wood.",
    "numeric.clock_time": lambda s: "It opens at 9:30 sharp.",
    "keyword.include": lambda s: f"The {' and '.join(s.quotes)} are here.",
    "keyword.repeat": lambda s: times(s, s.number),
    "keyword.forbidden": lambda s: "Nothing of the kind.",
    "keyword.in_sentence": lambda s: in_sentence(s, right=True),
    "symbol.letter_at_most": lambda s: s.quote * s.number + " ooo",
    "symbol.letter_at_least": lambda s: s.quote * s.number + " ooo",
    "symbol.hashtag": lambda s: "The mill is open. #mill",
    "symbol.emoji": lambda s: "The mill is open. " + "🙂 and ❤ " * s.number,
    "position.opening": lambda s: f"{s.quote}: the mill is open.",
    "position.closing": lambda s: f"{PLAIN} {s.quote}",
    "position.end_question": lambda s: "The mill is open. Who comes?",
    "genre.letter": lambda s: f"{s.quotes[0]} Ann,\n\n{PLAIN}\n\n{s.quotes[1]}\nTom",
    "genre.fairy_tale": lambda s: f"{s.quote} there was a mill.",
    "genre.dialogue": lambda s: "\n".join(f"{name} Hello." for name in s.quotes),
    "genre.poem": lambda s: lines(min(s.numbers), lambda n: "The mill stands by the river."),
    "genre.diary": lambda s: f"{s.quote}\nToday it rained.",
    "genre.speech": lambda s: f"{s.quotes[0]}, the mill is open, {s.quotes[1]} all.",
    "language.answer_in": language,
    "language.foreign_word": lambda s: f"People say {s.quote} here.",
    "situation.reader_name": lambda s: f"{s.quote}, come in.",
    "situation.reader_role": lambda s: f"Dear {readers(s)}, come in.",
    "situation.speaker": lambda s: f"{s.quote}, one sees a lot.",
    "style.no_apostrophe": lambda s: PLAIN,
    "style.no_exclamation": lambda s: PLAIN,
    "style.no_first_person": lambda s: PLAIN,
    "style.second_person": lambda s: times(s, s.number),
    "style.no_fillers": lambda s: PLAIN,
    "style.short_words": lambda s: "A " + "m" * s.number + " stands.",
    "sentiment.cheerful": lambda s: f"It is {moods(s)[0][-1]}.",
    "sentiment.critical": lambda s: f"It is {moods(s)[0][-1]}.",
    "sentiment.hopeful": lambda s: f"It is {moods(s)[0][-1]}.",
}

MISSING: dict[str, Build] = {
    "length.words_at_most": lambda s: words(s.number + 1),
    "length.words_at_least": lambda s: words(s.number - 1),
    "length.words_between": lambda s: words(s.numbers[1] + 1),
    "length.sentences_at_most": lambda s: sentences(s.number + 1),
    "length.sentences_at_least": lambda s: sentences(s.number - 1),
    "length.sentences_exactly": lambda s: sentences(s.number - 1),
    "text_format.bullets": lambda s: lines(s.number - 1, lambda n: "* point"),
    "text_format.numbered_list": lambda s: lines(s.number + 1, lambda n: f"{n}. Point"),
    "text_format.highlights": lambda s: lines(s.number - 1, lambda n: f"It is *so* {n}"),
    "text_format.title": lambda s: f"The Mill\n{PLAIN}",
    "text_format.sections": lambda s: lines(s.number - 1, lambda n: f"Section {n}\nText."),
    "text_format.paragraphs": lambda s: paragraphs(s.numbers[0] + 1),
    "text_format.paragraph_first_word": lambda s: blank_line_paragraphs(s, "Then"),
    "text_format.single_paragraph": lambda s: f"{PLAIN}\n{PLAIN}",
    "text_format.json_object": lambda s: json_object(s, ""),
    "text_format.json_list": lambda s: json.dumps(["rain"] * (s.number + 1)),
    "text_format.quotation": lambda s: f'"{PLAIN}" they say.',
    "text_format.two_answers": lambda s: "One.\n******\nOne.",
    "template.labels": lambda s: "\n".join(f"{label} text" for label in reversed(s.quotes)),
    "template.placeholders": lambda s: lines(s.number - 1, lambda n: f"Dear [name {n}]"),
    "template.postscript": lambda s: f"{PLAIN} {s.quote} Bring bread.",
    "case.upper": lambda s: PLAIN,
    "case.lower": lambda s: PLAIN,
    "case.capital_words_at_least": lambda s: "It is " + "VERY " * (s.number - 1) + "old.",
    "case.capital_words_at_most": lambda s: "It is " + "VERY " * (s.number + 1) + "old.",
    "punctuation.no_comma": lambda s: "Yes, it is.",
    "punctuation.questions": lambda s: "Who? " * (s.number - 1),
    "punctuation.exclamations": lambda s: "Rain!\n" * (s.number - 1),
    "punctuation.parentheses": lambda s: "The mill () stands.",
    "numeric.count": lambda s: lines(s.number + 1, lambda n: f"There are {n} mills."),
    "numeric.no_digits": lambda s: "The 2 mills.",
    "numeric.year": lambda s: "It was built in the last century, for 18745 francs.",
    "numeric.percentage": lambda s: "About forty percent of it is wood.",
    "numeric.clock_time": lambda s: "It opens at 9.30 sharp.",
    "keyword.include": lambda s: f"The {' and '.join(s.quotes[1:])} are here.",
    "keyword.repeat": lambda s: times(s, s.number - 1),
    "keyword.forbidden": lambda s: f"The {s.quotes[-1]} is here.",
    "keyword.in_sentence": lambda s: in_sentence(s, right=False),
    "symbol.letter_at_most": lambda s: s.quote * (s.number + 1) + " ooo",
    "symbol.letter_at_least": lambda s: s.quote * (s.number - 1) + " ooo",
    "symbol.hashtag": lambda s: "The mill is # 1.",
    "symbol.emoji": lambda s: "The mill is © open. " + "🙂" * (s.number - 1),
    "position.opening": lambda s: f"Well. {s.quote}: the mill is open.",
    "position.closing": lambda s: f"{s.quote} {PLAIN}",
    "position.end_question": lambda s: "Who comes? The mill is open.",
    "genre.letter": lambda s: f"{s.quotes[0]} Ann,\n\n{PLAIN} {s.quotes[1]} Tom",
    "genre.fairy_tale": lambda s: f"There was a mill {s.quote.lower()}.",
    "genre.dialogue": lambda s: f"{s.quotes[0]} Hello, {s.quotes[1]} Bye.",
    "genre.poem": lambda s: lines(min(s.numbers) - 1, lambda n: "The mill stands by the river."),
    "genre.diary": lambda s: "Today it rained.",
    "genre.speech": lambda s: f"{s.quotes[0]}, the mill is open.",
    "language.answer_in": lambda s: PLAIN,
    "language.foreign_word": lambda s: f"People do not say {s.quote}s here.",
    "situation.reader_name": lambda s: f"Well, {s.quote}, come in.",
    "situation.reader_role": lambda s: f"Dear {readers(s)[:-1]}, come in.",
    "situation.speaker": lambda s: f"One sees a lot {s.quote.lower()}.",
    "style.no_apostrophe": lambda s: "It isn\u2019t open.",
    "style.no_exclamation": lambda s: "It rains!",
    "style.no_first_person": lambda s: f"The mill is for {s.quotes[-1]}.",
    "style.second_person": lambda s: times(s, s.number - 1) + " your",
    "style.no_fillers": lambda s: f"It is {s.quotes[-1]} old.",
    "style.short_words": lambda s: "A " + "m" * (s.number + 1) + " stands.",
    "sentiment.cheerful": lambda s: f"It is {moods(s)[0][0]} and {moods(s)[1][0]}.",
    "sentiment.critical": lambda s: "It is old.",
    "sentiment.hopeful": lambda s: f"It is {moods(s)[0][0]} and {moods(s)[1][0]}.",
}
