"""The 25 kinds of IFEval."""

from app.constraints import ifeval_kwargs as kwargs
from app.constraints.kinds import Kind

KINDS = (
    Kind("keywords:existence", "Every keyword appears.", kwargs.Existence),
    Kind("keywords:frequency", "A keyword appears so many times.", kwargs.Frequency),
    Kind("keywords:forbidden_words", "None of the words appears.", kwargs.ForbiddenWords),
    Kind("keywords:letter_frequency", "A letter appears so many times.", kwargs.LetterFrequency),
    Kind(
        "language:response_language",
        "The whole response is in one language.",
        kwargs.ResponseLanguage,
    ),
    Kind("length_constraints:number_sentences", "So many sentences.", kwargs.NumberSentences),
    Kind(
        "length_constraints:number_paragraphs",
        "Exactly so many paragraphs, separated by ***.",
        kwargs.NumberParagraphs,
    ),
    Kind("length_constraints:number_words", "So many words.", kwargs.NumberWords),
    Kind(
        "length_constraints:nth_paragraph_first_word",
        "Exactly so many paragraphs, separated by a blank line; one of them starts with a word.",
        kwargs.ParagraphFirstWord,
    ),
    Kind(
        "detectable_content:number_placeholders",
        "At least so many placeholders in square brackets, like [address].",
        kwargs.NumberPlaceholders,
    ),
    Kind(
        "detectable_content:postscript",
        "A postscript that starts with a marker.",
        kwargs.Postscript,
    ),
    Kind(
        "detectable_format:number_bullet_lists",
        "Exactly so many bullet points, each a line that starts with * or -.",
        kwargs.NumberBullets,
    ),
    Kind(
        "detectable_format:constrained_response",
        'Contains "My answer is yes.", "My answer is no." or "My answer is maybe."',
    ),
    Kind(
        "detectable_format:number_highlighted_sections",
        "At least so many highlighted parts, like *this*.",
        kwargs.NumberHighlights,
    ),
    Kind(
        "detectable_format:multiple_sections",
        "At least so many sections, each marked by a word and a number, like Section 1.",
        kwargs.MultipleSections,
    ),
    Kind("detectable_format:json_format", "The whole response is JSON."),
    Kind("detectable_format:title", "A title in double angle brackets, like <<title>>."),
    Kind("combination:two_responses", "Two different responses, separated by ******."),
    Kind(
        "combination:repeat_prompt",
        "The request is repeated word for word, then answered.",
        kwargs.RepeatPrompt,
    ),
    Kind("startend:end_checker", "The response ends with a phrase.", kwargs.EndPhrase),
    Kind(
        "change_case:capital_word_frequency",
        "So many words in all capitals.",
        kwargs.CapitalWordFrequency,
    ),
    Kind("change_case:english_capital", "English, in capital letters only."),
    Kind("change_case:english_lowercase", "English, in lowercase letters only."),
    Kind("punctuation:no_comma", "No commas."),
    Kind("startend:quotation", "The whole response is wrapped in double quotation marks."),
)
