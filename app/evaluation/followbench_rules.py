"""The rows of FollowBench that a program can score.

A row of level N asks for N things one upon the other, and its score is whether all of them are
there. These are the sources that the original scores by rule too, with the same meaning; space
around an answer does not count here. Its format examples 22 and 30, whose rules are long, are left
to the judge. The rules of the five summaries hold for the one text that each of these sources has.
"""

import ast
import re
import string
from collections.abc import Callable, Mapping, Sequence

Rule = Callable[[str], bool]
Whole = Callable[[str, str], bool]

_SENTENCE_ENDS = re.compile(r"[.!?]")
_FIELD = "{answer}"


def satisfied(category: str, source: str, level: int, target: str, answer: str) -> bool | None:
    """Whether an answer does everything its row asks for; None if no rule can say."""
    text = answer.strip()
    if not text:
        return None if judged(category, source) else False
    if category == "example":
        return _in_form(text, target)
    if source in _BY_TARGET:
        return _BY_TARGET[source](text, target)
    if source in _BY_LEVEL:
        return all(rule(text) for rule in _BY_LEVEL[source][:level])
    return None


def judged(category: str, source: str) -> bool:
    """Whether no rule can score rows of this kind."""
    return category != "example" and source not in _BY_TARGET and source not in _BY_LEVEL


def check_target(category: str, source: str, target: str) -> None:
    """Raise `ValueError` for a target that the rule of such rows cannot read."""
    if category != "example" and _BY_TARGET.get(source) is _one_of:
        _choices(target)


def _in_form(answer: str, target: str) -> bool:
    """Whether the answer has the form of the examples: a template around `{answer}`."""
    template = target.replace("{instruction}\n", "").replace("{{", "{").replace("}}", "}").strip()
    form = ".*".join(re.escape(part) for part in template.split(_FIELD))
    return re.fullmatch(form, answer) is not None


def _last(pattern: str) -> Whole:
    return lambda answer, target: re.findall(pattern, answer)[-1:] == [target]


def _same(answer: str, target: str) -> bool:
    return answer == target.strip()


def _only_lines_of(answer: str, target: str) -> bool:
    return set(answer.split("\n")) <= set(target.split("\n"))


def _one_of(answer: str, target: str) -> bool:
    return answer in _choices(target)


def _choices(target: str) -> Sequence[str]:
    """The answers that are right, written as a list of Python's. Raises `ValueError`."""
    try:
        choices = ast.literal_eval(target)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"the target {target!r} is not a list of texts") from error
    if not isinstance(choices, list | tuple) or not all(isinstance(one, str) for one in choices):
        raise ValueError(f"the target {target!r} is not a list of texts")
    return choices


def _contains(answer: str, target: str) -> bool:
    return target in answer


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_ENDS.split(text) if sentence]


def _has_sentences(number: int) -> Rule:
    return lambda text: len(_sentences(text)) == number


def _has_words(least: int, most: int) -> Rule:
    return lambda text: least <= len(text.split(" ")) <= most


def _sentences_of_at_most(words: int) -> Rule:
    return lambda text: all(len(sentence.split()) <= words for sentence in _sentences(text))


def _with(word: str) -> Rule:
    return lambda text: re.search(rf"\b{re.escape(word)}\b", text) is not None


def _without(word: str) -> Rule:
    return lambda text: not _with(word)(text)


def _matching(pattern: str) -> Rule:
    return lambda text: re.search(pattern, text) is not None


def _in_sentence(number: int, rule: Rule) -> Rule:
    def holds(text: str) -> bool:
        sentences = _sentences(text)
        return len(sentences) >= number and rule(sentences[number - 1])

    return holds


def _all(*rules: Rule) -> Rule:
    return lambda text: all(rule(text) for rule in rules)


def _signs(text: str) -> int:
    return sum(sign in string.punctuation for sign in text)


_BY_TARGET: Mapping[str, Whole] = {
    "E2E": _same,
    "text_editing": _same,
    "WIKIEVENTS": _only_lines_of,
    "CONLL2003": _one_of,
    "BBH_logical": _last(r"\([A-Z]\)"),
    "BBH_time": _last(r"\d{2}/\d{2}/\d{4}"),
    "self_made_space": _contains,
    "gsm_8k": _last(r"\$\d+"),
}

_BY_LEVEL: Mapping[str, tuple[Rule, ...]] = {
    "cnn_dailymail": (
        _has_sentences(3),
        _sentences_of_at_most(14),
        _all(
            _in_sentence(1, _with("Potter")),
            _in_sentence(2, _with("actor")),
            _in_sentence(3, _with("films")),
        ),
        _in_sentence(2, _without("lavish")),
        _in_sentence(3, _matching(r"\b(?:has|have)\s+\w")),
    ),
    "xsum": (
        _has_sentences(1),
        _has_words(1, 19),
        _without("Newton Stewart"),
        _matching(r"\b(?:am|is|are)\s+\w+ing\b"),
        _with("operation"),
    ),
    "samsum": (
        _has_sentences(1),
        _has_words(1, 14),
        _with("stuff"),
        lambda text: "procrast" not in text.casefold(),
        lambda text: _signs(text) == 1,
    ),
    "gigaword": (
        _has_words(8, 8),
        lambda text: _signs(text) == 0,
        str.islower,
        _without("bus"),
        _with("in"),
    ),
    "arxiv": (
        _has_sentences(1),
        _has_words(1, 20),
        lambda text: text.startswith("We"),
        _with("activations"),
        _without("transformer"),
    ),
}
