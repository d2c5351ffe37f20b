import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.constraints.copying import copies_prompt

PROMPT = (
    "Write a short letter to my aunt about the garden, and mention the roses, the rain and the"
    " old apple tree. Do not use more than 100 words."
)
TEXT = "the cat sat on the mat and looked at the birds in the tall green tree all afternoon"
NUMBERED = " ".join(f"w{number}" for number in range(40))


@pytest.mark.parametrize(
    ("instruction", "response"),
    [
        (PROMPT, PROMPT),
        (PROMPT, PROMPT.upper()),
        (PROMPT, f'"{PROMPT}"\n'),
        (PROMPT, "\n".join(PROMPT.replace(",", "").split())),
        (PROMPT, f"{PROMPT} {PROMPT}\n\n{PROMPT}"),
        (PROMPT, f"{PROMPT}\n{PROMPT[:80]}"),
        (PROMPT, PROMPT.replace("short", "brief").replace("my aunt", "my dear aunt")),
        (PROMPT, PROMPT.replace("the old", "old")),
        (PROMPT, f"Prompt: {PROMPT}"),
        (PROMPT, f"User: {PROMPT}\nAssistant: {PROMPT}"),
        ("What is 1+1?", "what is 1+1"),
        ("今天天气怎么样?", "今天天气怎么样"),
        ("???", "? ? ?"),
        (NUMBERED, NUMBERED.replace("w20", "x")),
    ],
)
def test_a_copy(instruction: str, response: str) -> None:
    assert copies_prompt(instruction, response)


@pytest.mark.parametrize(
    ("instruction", "response"),
    [
        ("", ""),
        ("", "Anything."),
        (" \n", " \n"),
        (PROMPT, ""),
        (PROMPT, "Dear aunt, the roses bloom after the rain and the old apple tree stands tall."),
        (PROMPT, f"{PROMPT}\n\nDear aunt, the roses bloom after the rain. Love, Tom"),
        (f"{PROMPT} First repeat this request.", f"{PROMPT} Dear aunt, the roses bloom."),
        ("Is Paris in France? Answer yes or no.", "Is Paris in France? Answer yes or no. No"),
        ("Yes or no: is water wet?", "Yes or no: is water wet? Yes"),
        ("The capital of France is ___.", "The capital of France is Paris."),
        ("Is Paris in France?", "Paris is in France."),
        ("Repeat after me: I love you", "I love you"),
        (f"Fix the punctuation: {TEXT}", f"{TEXT.capitalize()}."),
        (f"{TEXT}\nFix the punctuation of the above.", f"{TEXT.capitalize()}."),
        ("Paris or Rome?", "Rome"),
        ("cats", "I love cats and dogs"),
    ],
)
def test_not_a_copy(instruction: str, response: str) -> None:
    assert not copies_prompt(instruction, response)


words = st.lists(st.sampled_from(["rain", "sun", "snow", "tree", "bird"]), max_size=40)


@given(prompt=words.filter(bool), echoes=st.integers(1, 4))
def test_echoes_are_always_copies(prompt: list[str], echoes: int) -> None:
    assert copies_prompt(" ".join(prompt), ", ".join(prompt * echoes).title())


@given(prompt=words, answer=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=40))
def test_words_of_its_own_at_the_end_are_content(prompt: list[str], answer: list[str]) -> None:
    assert not copies_prompt(" ".join(prompt), " ".join(prompt + answer))


@given(prompt=st.text(), response=st.text())
def test_any_text_can_be_compared(prompt: str, response: str) -> None:
    assert copies_prompt(prompt, response) in (True, False)
