"""FollowBench (arXiv 2310.20410): instructions with one more requirement at every level, 1 to 5.

Rows have `example_id`, `category`, `source`, `level`, `instruction` and `target`, in one JSON
array as published or as JSON lines; level 0 has no added requirement and is left out.
`hsr` (hard satisfaction rate) is the share of rows whose requirements are all satisfied. `ssr`
(soft satisfaction rate) is the mean share of satisfied requirements.

A row that a rule can score is scored by it, and counts whole in both, as in the original. The
others are judged by the refiner: accepted or not for `hsr`, its share of yes votes for `ssr`. The
original asks GPT-4 for a verdict on each requirement, so `ssr/judged` and every value with such
rows in it compares runs of this program, not published figures; `ssr/rule` is independent of the
refiner. The original has no `ssr` for its category "example", here that is the rule's as well.
"""

import ast
import re
import string
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.constraints.checker import Checker
from app.domain.prompt import Prompt
from app.evaluation.base import Item, Metric, RowOutcome, Score, Task, unique
from app.evaluation.data import read_rows
from app.evaluation.instructions import answer_floors
from app.evaluation.statistics import summary

Rule = Callable[[str], bool]
Whole = Callable[[str, str], bool]

_SENTENCE_ENDS = re.compile(r"[.!?]")
_FIELD = "{answer}"


def satisfied(category: str, source: str, level: int, target: str, answer: str) -> bool | None:
    """Whether an answer satisfies all requirements of its row; None if no rule can decide."""
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
    """Check that the rule of such rows can parse the target.

    Raises:
        ValueError: It cannot.
    """
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
    """The correct answers, from the literal of a Python list."""
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


METRICS = ("ssr", "hsr")


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    example_id: int | str
    category: str
    source: str = ""
    level: int = Field(ge=0, le=5)
    instruction: str
    target: str = ""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        check_target(self.category, self.source, self.target)
        return self


class FollowBench:
    """The FollowBench suite; the items' groups are FollowBench's categories."""

    name = "followbench"
    task = Task.ANSWER
    primary = "ssr"

    def read(self, file: Path) -> list[Item]:
        """All rows of level 1 and above."""
        rows = read_rows(file, _Row)
        return unique((place, _item(row)) for place, row in rows if row.level)

    async def score(self, item: Item, outcome: RowOutcome, checker: Checker) -> Score:  # noqa: ARG002
        """SSR and HSR: over all rows, by level, by category and by scoring method.

        An answer without its judgment has no score.
        """
        row: _Row = item.extra["row"]
        answer = (outcome.response or "").strip()
        followed = satisfied(row.category, row.source, row.level, row.target, answer)
        soft: float | None
        if followed is not None:
            hard, soft = followed, float(followed)
        elif not answer:
            hard, soft = False, 0.0
        elif outcome.accepted is None:
            return {}
        else:
            hard = outcome.accepted
            soft = float(hard) if outcome.value is None else outcome.value
        how = "judged" if item.extra["judged"] else "rule"
        subsets = ("", f"/level {row.level}", f"/{how}", f"/{row.category}")
        values = {"ssr": soft, "hsr": float(hard)}
        return {f"{name}{subset}": (values[name], 1) for name in METRICS for subset in subsets}

    def metrics(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Metric]:
        """SSR and HSR, then by category, scoring method and level.

        The five levels of an example are one cluster, because they share most requirements.
        """
        return summary(METRICS, _by_example(items, scores))

    async def floors(
        self, items: Sequence[Item], checker: Checker
    ) -> Mapping[str, Sequence[Metric]]:
        """The metrics of `ANSWERS`, on the rows that a rule can score."""
        ruled = [item for item in items if not item.extra["judged"]]
        return await answer_floors(self, ruled, checker)


def _item(row: _Row) -> Item:
    return Item(
        key=f"{row.category}-{row.example_id}-{row.level}",
        prompt=Prompt.from_text(row.instruction),
        group=row.category,
        extra={"row": row, "judged": judged(row.category, row.source)},
    )


def _by_example(items: Sequence[Item], scores: Sequence[Score]) -> list[Score]:
    examples: dict[tuple[str, int | str], dict[str, tuple[float, int]]] = defaultdict(dict)
    for item, score in zip(items, scores, strict=True):
        example = examples[item.group, item.extra["row"].example_id]
        for metric, (value, units) in score.items():
            sum_so_far, units_so_far = example.get(metric, (0.0, 0))
            example[metric] = (sum_so_far + value, units_so_far + units)
    return list(examples.values())
