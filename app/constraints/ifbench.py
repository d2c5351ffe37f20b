"""The kinds of IFBench that can be checked with the installed data.

Left out: `ratio:stop_words` and `words:start_verb`, which need NLTK corpora that no package
contains.
"""

from typing import Annotated, Any, Self

from pydantic import Field, create_model, model_validator

from app.constraints.kinds import ConstraintKind, Count, Kwargs, Phrase, Positive

Percentage = Annotated[int, Field(ge=0, le=100)]


class WordRange(Kwargs):
    min_words: Count
    max_words: Count

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_words > self.max_words:
            raise ValueError("min_words must not be greater than max_words")
        return self


def _kwargs(**types: Any) -> type[Kwargs]:
    """The arguments of a kind whose messages are the library's: names and types."""
    fields: dict[str, Any] = {name: (type_, ...) for name, type_ in types.items()}
    return create_model("Kwargs", __base__=Kwargs, **fields)


KINDS = (
    ConstraintKind("count:word_count_range", "The number of words lies in a range.", WordRange),
    ConstraintKind("count:unique_word_count", "At least N different words.", _kwargs(N=Count)),
    ConstraintKind(
        "count:conjunctions", "At least N coordinating conjunctions.", _kwargs(small_n=Count)
    ),
    ConstraintKind(
        "count:person_names", "At least N different first names from a list.", _kwargs(N=Count)
    ),
    ConstraintKind("count:numbers", "Exactly N numbers.", _kwargs(N=Count)),
    ConstraintKind(
        "count:punctuation", "Every standard punctuation mark, the interrobang (?!) too."
    ),
    ConstraintKind("count:words_japanese", "Every Nth word is Japanese.", _kwargs(N=Positive)),
    ConstraintKind("count:pronouns", "At least N pronouns.", _kwargs(N=Count)),
    ConstraintKind(
        "count:keywords_multiple",
        "Five keywords 1, 2, 3, 5 and 7 times.",
        _kwargs(
            keyword1=Phrase, keyword2=Phrase, keyword3=Phrase, keyword4=Phrase, keyword5=Phrase
        ),
    ),
    ConstraintKind("ratio:sentence_type", "Two statements to each question."),
    ConstraintKind("ratio:sentence_balance", "As many statements as questions as exclamations."),
    ConstraintKind(
        "ratio:overlap",
        "A share of trigrams in common with a text, within 2%.",
        _kwargs(reference_text=Phrase, percentage=Percentage),
    ),
    ConstraintKind(
        "ratio:sentence_words", "Three sentences of equal length and of different words."
    ),
    ConstraintKind("words:alphabet", "Each word starts with the next letter of the alphabet."),
    ConstraintKind("words:vowel", "One paragraph of only three kinds of vowels."),
    ConstraintKind("words:consonants", "Each word has two consonants in a row."),
    ConstraintKind("words:palindrome", "At least 10 palindromes of 5 or more letters."),
    ConstraintKind("words:prime_lengths", "The length of every word is a prime number."),
    ConstraintKind("words:repeats", "No word appears more than N times.", _kwargs(small_n=Count)),
    ConstraintKind("words:odd_even_syllables", "Words of odd and even syllable counts take turns."),
    ConstraintKind(
        "words:last_first", "Each sentence starts with the last word of the one before."
    ),
    ConstraintKind(
        "words:paragraph_last_first", "Each paragraph ends with the word it starts with."
    ),
    ConstraintKind("words:no_consecutive", "No two words in a row start with the same letter."),
    ConstraintKind(
        "words:keywords_specific_position",
        "The mth word of the nth sentence is a keyword.",
        _kwargs(keyword=Phrase, n=Positive, m=Positive),
    ),
    ConstraintKind(
        "words:words_position",
        "The second and second to last word are a keyword.",
        _kwargs(keyword=Phrase),
    ),
    ConstraintKind("sentence:alliteration_increment", "Each sentence has a longer alliteration."),
    ConstraintKind(
        "sentence:keyword", "The Nth sentence contains a word.", _kwargs(word=Phrase, N=Positive)
    ),
    ConstraintKind(
        "sentence:increment",
        "Each sentence is N words longer than the one before.",
        _kwargs(small_n=Count),
    ),
    ConstraintKind("format:parentheses", "Parentheses nested at least 5 levels deep."),
    ConstraintKind(
        "format:quotes", "Quotes nested at least 3 levels deep, double and single in turn."
    ),
    ConstraintKind(
        "format:options", "One of the options and nothing else.", _kwargs(options=Phrase)
    ),
    ConstraintKind("format:newline", "Each word is on a line of its own."),
    ConstraintKind("format:emoji", "Every sentence ends with an emoji."),
    ConstraintKind("format:line_indent", "Each line is indented further than the one before."),
    ConstraintKind("format:quote_unquote", "Every quoted phrase is followed by an explanation."),
    ConstraintKind(
        "format:list", "A list with a separator for bullet points.", _kwargs(sep=Phrase)
    ),
    ConstraintKind("format:thesis", "Each section begins with a thesis in HTML italics."),
    ConstraintKind("format:sub-bullets", "Bullet points (*), each with a sub-bullet point (-)."),
    ConstraintKind("format:no_bullets_bullets", "Two sentences, then two bullet points (*)."),
    ConstraintKind("format:title_case", "Title case throughout."),
    ConstraintKind(
        "format:output_template", "The template My Answer, My Conclusion, Future Outlook."
    ),
    ConstraintKind("format:no_whitespace", "No whitespace."),
    ConstraintKind(
        "repeat:repeat_change",
        "The request with its first word changed.",
        _kwargs(prompt_to_repeat=Phrase),
    ),
    ConstraintKind("repeat:repeat_simple", "Only the sentence that asks for this."),
    ConstraintKind(
        "repeat:repeat_span",
        "Words n_start to n_end of the request.",
        _kwargs(prompt_to_repeat=Phrase, n_start=Count, n_end=Count),
    ),
    ConstraintKind("custom:multiples", "The multiples of 7 from 10 to 50."),
    ConstraintKind("custom:mcq_count_length", "4 multiple choice questions of growing length."),
    ConstraintKind("custom:reverse_newline", "The countries of Africa, last to first, one a line."),
    ConstraintKind("custom:word_reverse", "The national symbol of the US, words reversed."),
    ConstraintKind("custom:character_reverse", "The national symbol of the US, letters reversed."),
    ConstraintKind("custom:sentence_alphabet", "A story of 26 sentences from A to Z."),
    ConstraintKind("custom:european_capitals_sort", "Northern European capitals, by latitude."),
    ConstraintKind("custom:csv_city", "A CSV table of 7 rows about cities."),
    ConstraintKind(
        "custom:csv_special_character", "A CSV table of 14 rows with a special character."
    ),
    ConstraintKind("custom:csv_quotes", "A tab-separated table of 3 rows, every field quoted."),
    ConstraintKind("custom:date_format_list", "Dates of Napoleon's battles as YYYY-MM-DD."),
)
