"""Detects responses that only copy the prompt.

A copy is the prompt's words once or several times over, with a few words changed inside or put
in front. Changes of case, punctuation and spacing do not count. Words after an echo are content,
and so is an echo without the prompt's first or last words, which is typical of a
rewritten text ("Fix the commas in this: ...").
"""

import re
import unicodedata

_FEW_SHARE = 6
_FEW_MOST = 5
_EDGE = 2
_WORD = re.compile(r"[^\W_]+")


def copies_prompt(instruction: str, response: str) -> bool:
    """Whether `response` contains only `instruction`.

    Time grows with the sum of both lengths.
    """
    prompt, answer = _words(instruction), _words(response)
    if not prompt:
        return False
    few = min(len(prompt) // _FEW_SHARE, _FEW_MOST)
    position, echoes = 0, 0
    while (end := _echo_end(prompt, answer, position, few)) is not None:
        position, echoes = end, echoes + 1
    return echoes > 0 and _is_cut_off_echo(answer[position:], prompt)


def _words(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return _WORD.findall(plain) or [sign for sign in plain if not sign.isspace()]


def _is_cut_off_echo(rest: list[str], prompt: list[str]) -> bool:
    """A length limit can cut the last of several echoes; a word or two may be an answer."""
    return not rest or (len(rest) > _FEW_MOST and rest[:-1] == prompt[: len(rest) - 1])


def _echo_end(prompt: list[str], answer: list[str], position: int, few: int) -> int | None:
    """Where the echo that begins near `position` ends, or None if there is none."""
    edge = min(_EDGE, len(prompt))
    for skipped in range(few + 1):
        start = position + skipped
        if answer[start : start + edge] != prompt[:edge]:
            continue
        window = answer[start : start + len(prompt) + few]
        if window[: len(prompt)] == prompt:
            return start + len(prompt)
        for length, changes in _changes_by_length(prompt, window, few):
            if skipped + changes <= few and window[length - edge : length] == prompt[-edge:]:
                return start + length
    return None


def _changes_by_length(prompt: list[str], window: list[str], few: int) -> list[tuple[int, int]]:
    """Word changes (Levenshtein) from `prompt` to the first words of `window`.

    One pair (number of words, changes) for each number of words within `few` of the prompt's,
    fewest changes first. Only the diagonal band that matters is computed.
    """
    far = few + 1
    row = {length: length for length in range(far)}
    for index, word in enumerate(prompt, start=1):
        above, row = row, {}
        for length in range(max(0, index - few), min(len(window), index + few) + 1):
            deleted = above.get(length, far) + 1
            inserted = row.get(length - 1, far) + 1
            replaced = above.get(length - 1, far) + (length == 0 or window[length - 1] != word)
            row[length] = min(deleted, inserted, replaced)
    return sorted(row.items(), key=lambda pair: pair[1])
