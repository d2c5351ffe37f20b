"""The languages a response can be asked to be in: those that IFEval knows."""

from typing import Literal, get_args

Language = Literal[
    "ar", "bg", "bn", "de", "en", "es", "fa", "fi", "fr", "gu", "he", "hi", "it", "ja", "kn",
    "ko", "ml", "mr", "ne", "pa", "pl", "pt", "ru", "sw", "ta", "te", "th", "uk", "ur", "vi",
]  # fmt: skip

LANGUAGES: tuple[str, ...] = get_args(Language)

_NAMES = (
    "Arabic", "Bulgarian", "Bengali", "German", "English", "Spanish", "Persian", "Finnish",
    "French", "Gujarati", "Hebrew", "Hindi", "Italian", "Japanese", "Kannada", "Korean",
    "Malayalam", "Marathi", "Nepali", "Punjabi", "Polish", "Portuguese", "Russian", "Swahili",
    "Tamil", "Telugu", "Thai", "Ukrainian", "Urdu", "Vietnamese",
)  # fmt: skip

_NAME_OF = dict(zip(LANGUAGES, _NAMES, strict=True))


def language_name(code: str) -> str:
    """The English name of a language code; a code without one is named by itself."""
    return _NAME_OF.get(code, f'the language "{code}"')
