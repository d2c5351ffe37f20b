"""How an instruction and its requirements become one text."""

from collections.abc import Callable, Sequence
from random import Random

from worker.prompts.seeds import Seed

Layout = Callable[[str, Sequence[str]], str]

_HEADINGS = ("Requirements:", "Please follow these rules:", "Keep to the following:")


def lay_out(random: Random, seed: Seed, sentences: Sequence[str]) -> str:
    """The sentences after, below or before the instruction, or as a list; in any order."""
    ordered = random.sample(sentences, len(sentences))
    layouts: list[Layout] = [_below, _before]
    if seed.kind != "task":  # a given text must not run into the requirements
        layouts += [_after, _after]
    if len(sentences) > 1:
        heading = random.choice(_HEADINGS)
        layouts.append(lambda text, rules: _listed(text, rules, heading))
    return random.choice(layouts)(seed.text, ordered)


def _after(text: str, sentences: Sequence[str]) -> str:
    return " ".join([text, *sentences])


def _below(text: str, sentences: Sequence[str]) -> str:
    return f"{text}\n\n{' '.join(sentences)}"


def _before(text: str, sentences: Sequence[str]) -> str:
    return f"{' '.join(sentences)}\n\n{text}"


def _listed(text: str, sentences: Sequence[str], heading: str) -> str:
    # Not a dash or an asterisk: a copy of the prompt must not pass for bullet points.
    return "\n".join([text, "", heading, *(f"• {sentence}" for sentence in sentences)])
