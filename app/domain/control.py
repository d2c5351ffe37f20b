"""The texts of a model's control tokens, by which its chat template marks who speaks."""

import re


def control_texts(tokenizer: object) -> re.Pattern[str] | None:
    """What matches the text of any control token; None when there are none.

    A tokenizer without Hugging Face's `added_tokens_decoder` never reads control tokens from text.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    texts = {token.content for token in added.values() if token.special and token.content}
    # The longest first, for one may begin with another.
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first))) if texts else None
