"""Health state transitions."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from app.engine.pool.health import (
    FAILURES,
    Health,
    Pauses,
    call_failed,
    call_succeeded,
    lacking,
    probe_failed,
    probe_succeeded,
)
from tests.helpers.properties import calm

PAUSES = Pauses(up=2.0, first=1.0, longest=30.0)

Event = Callable[[Health, float], Health]
EVENTS: dict[str, Event] = {
    "call came back": lambda health, now: call_succeeded(health),
    "call failed": lambda health, now: call_failed(health, now, PAUSES),
    "probe came back": lambda health, now: probe_succeeded(health, now, PAUSES),
    "probe failed": lambda health, now: probe_failed(health, now, PAUSES),
    "it lacks something": lacking,
}
histories = st.lists(st.tuples(st.sampled_from(sorted(EVENTS)), st.floats(0, 5)), max_size=40)


def play(history: list[tuple[str, float]]) -> list[tuple[float, str, Health]]:
    """The health state after each event, and the event's time."""
    health, now, known = Health(), 0.0, []
    for name, later in history:
        now += later
        health = EVENTS[name](health, now)
        known.append((now, name, health))
    return known


@calm
@given(histories)
def test_only_a_probe_marks_a_server_up(history: list[tuple[str, float]]) -> None:
    before = Health()
    for _, name, health in play(history):
        assert not health.up or before.up or name == "probe came back"
        before = health


@calm
@given(histories)
def test_a_server_is_probed_again_within_the_longest_pause(
    history: list[tuple[str, float]],
) -> None:
    for now, _, health in play(history):
        assert health.probe_at <= now + PAUSES.longest
        assert 0 <= health.pause <= PAUSES.longest


@calm
@given(histories)
def test_an_up_server_has_fewer_failures_than_the_limit(history: list[tuple[str, float]]) -> None:
    assert all(health.failures < FAILURES for _, _, health in play(history) if health.up)


@calm
@given(histories)
def test_consecutive_failures_mark_a_server_down(history: list[tuple[str, float]]) -> None:
    fails = [("call failed", 0.0)] * FAILURES
    assert not play(history + fails)[-1][2].up


def test_a_success_resets_the_failures() -> None:
    health = probe_succeeded(Health(), 0, PAUSES)
    for _ in range(10):
        for _ in range(FAILURES - 1):
            health = call_failed(health, 0, PAUSES)
        health = call_succeeded(health)
    assert health.up


def test_pauses_double_until_a_call_succeeds() -> None:
    health, pauses = Health(), []
    for _ in range(7):
        health = probe_failed(health, 100.0, PAUSES)
        pauses.append(health.probe_at - 100.0)
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    back = probe_succeeded(health, 200.0, PAUSES)
    again = back
    for _ in range(FAILURES):
        again = call_failed(again, 201.0, PAUSES)
    assert again.probe_at == 231.0
    well = call_succeeded(back)
    for _ in range(FAILURES):
        well = call_failed(well, 201.0, PAUSES)
    assert well.probe_at == 202.0


def test_a_failed_call_is_followed_by_a_probe_at_once() -> None:
    health = call_failed(probe_succeeded(Health(), 0, PAUSES), 0.5, PAUSES)
    assert (health.up, health.probe_at) == (True, 0.5)


def test_a_server_that_misses_an_adapter_is_down_until_a_probe() -> None:
    health = lacking(probe_succeeded(Health(), 0, PAUSES), 1.0)
    assert (health.up, health.probe_at) == (False, 1.0)
    assert probe_succeeded(health, 1.1, PAUSES).up
