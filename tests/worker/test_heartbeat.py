"""A running iteration keeps its lease, however short that is."""

from hypothesis import given
from hypothesis import strategies as st

from worker.loop import HEARTBEATS_PER_LEASE, POLL_SECONDS, polls_per_heartbeat


@given(st.floats(min_value=1, max_value=3600))
def test_a_lease_is_renewed_several_times_while_it_lasts(lease_seconds: float) -> None:
    polls, pause = polls_per_heartbeat(lease_seconds)
    assert polls >= 1
    assert 0 < pause <= POLL_SECONDS
    assert polls * pause <= lease_seconds / HEARTBEATS_PER_LEASE


def test_a_lost_lease_is_noticed_soon_however_long_it_was() -> None:
    polls, pause = polls_per_heartbeat(3600)
    assert polls * pause <= 4 * POLL_SECONDS
