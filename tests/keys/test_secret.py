"""The text of a key."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from app.keys.cache import LONGEST, Presented, digest_of, make_key, proves, read_key


def test_a_key_is_read_as_it_was_made() -> None:
    for _ in range(200):
        made = make_key()
        assert read_key(made.text) == made
        assert proves(made.secret, digest_of(made.secret))
        assert len(made.text) < LONGEST


def test_keys_differ_and_have_256_bits() -> None:
    made = [make_key() for _ in range(100)]
    assert len({one.id for one in made}) == len({one.secret for one in made}) == 100
    assert all(len(one.secret) >= 256 / 6 for one in made)


def test_what_is_stored_is_a_plain_hash() -> None:
    assert digest_of("secret") == hashlib.sha256(b"secret").hexdigest()


@given(st.text())
def test_any_text_is_a_key_or_none(text: str) -> None:
    for shown in (text, f"spar_{text}"):
        key = read_key(shown)
        assert key is None or key.text == shown
        assert key is None or not proves(key.secret, digest_of(make_key().secret))


def test_a_secret_is_not_shown_by_accident() -> None:
    assert "hidden" not in repr(Presented("id", "hidden"))
