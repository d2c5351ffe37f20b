"""Each invariant detects its violations."""

from dataclasses import replace

import pytest

from tests.chaos.asking import Ask, Endpoint
from tests.chaos.evidence import Evidence, Iterated, Memory, Quiet, Stored
from tests.chaos.faults import ServerEnd
from tests.chaos.invariants import violations
from tests.chaos.outcome import Answer, End, Outcome

SEARCH = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NAMED = frozenset({("actor", 1), ("refiner", 2)})
ASK = Ask(1, Endpoint.GENERATE, "Chaos 1-1: name a river.", {})
ANSWER = Answer((1, 2), NAMED, SEARCH, (1, 2), "The Nile.", 9)
ANSWERED = Outcome(ASK, 10.0, 11.0, End.ANSWERED, ANSWER)
CALM = Outcome(Ask(2, Endpoint.CHAT, "x", {}), 100, 101, End.ANSWERED, Answer((1, 2), NAMED))
STORED = Stored(ASK.prompt, (1, 2), "The Nile.", 9, nodes=3, rows=4, named=NAMED)
ITERATED = Iterated("one", ("queued", "running", "succeeded"), "succeeded", True, 1)
FINE = Evidence(
    outcomes=(ANSWERED, CALM),
    calm_from=90.0,
    stored={SEARCH: STORED},
    iterations=(ITERATED,),
    memory=(Memory(1, 60, 100 * 2**20, 110 * 2**20),),
    adapters=frozenset({"actor@1"}),
    kept=frozenset({"actor@1", "refiner@2"}),
    serving=((1, 2), (1, 2)),
)


def broken(evidence: Evidence) -> list[str]:
    """The first words of the violated invariants."""
    return [one.invariant for one in violations(evidence)]


def with_outcome(end: End, began: float = 10, ended: float = 12, detail: str = "") -> Evidence:
    """The run with another end of its first request, which left nothing stored."""
    outcome = Outcome(ASK, began, ended, end, detail=detail)
    return replace(FINE, outcomes=(outcome, CALM), stored={})


def test_a_correct_run_has_no_violations() -> None:
    assert violations(FINE) == []


@pytest.mark.parametrize("end", [End.SILENT, End.GARBLED, End.CUT])
def test_a_request_without_an_answer_is_lost(end: End) -> None:
    assert broken(with_outcome(end)) == ["every accepted request is answered or gets a clean error"]


@pytest.mark.parametrize("end", [End.CLEAN_ERROR, End.TURNED_AWAY, End.LEFT])
def test_a_clean_end_is_not_lost(end: End) -> None:
    assert broken(with_outcome(end)) == []


@pytest.mark.parametrize(
    ("server", "lost"),
    [
        (ServerEnd(11, 11.1, asked=False, start=1), False),
        (ServerEnd(9.8, 9.9, asked=False, start=1), True),
        (ServerEnd(9.8, 10.1, asked=False, start=1), False),
        (ServerEnd(12.1, 12.2, asked=False, start=1), True),
        (ServerEnd(10.5, 11, asked=True, start=1), False),
        (ServerEnd(8, 9.9, asked=True, start=1), True),
        (ServerEnd(8, 10.1, asked=True, start=1), False),
        (ServerEnd(11.9, 12.5, asked=True, start=1), True),
    ],
)
def test_only_the_end_of_the_server_explains_a_broken_connection(
    server: ServerEnd, lost: bool
) -> None:
    evidence = replace(with_outcome(End.CUT), ends=(server,))
    assert bool(violations(evidence)) == lost


def test_a_missing_search_is_detected() -> None:
    assert broken(replace(FINE, stored={})) == ["what clients saw is stored as they saw it"]


KILLED, STOPPED = (ServerEnd(12, 12.1, asked=asked, start=1) for asked in (False, True))


@pytest.mark.parametrize(
    ("change", "is_explained"),
    [
        ({"lost_ids": frozenset({SEARCH})}, True),
        ({"ends": (KILLED,)}, True),
        ({"ends": (STOPPED,)}, False),
        ({"ends": (ServerEnd(9, 9.1, asked=False, start=1),)}, False),
        ({"ends": (ServerEnd(9, 11, asked=False, start=1),)}, True),
        ({"ends": (KILLED,), "quiet": (Quiet(11.5, 1),)}, False),
        ({"ends": (KILLED,), "quiet": (Quiet(10.5, 1),)}, True),
        ({"ends": (KILLED,), "quiet": (Quiet(13, 2),)}, True),
        (
            {
                "ends": (ServerEnd(5, 5.1, asked=False, start=1), replace(KILLED, start=2)),
                "quiet": (Quiet(11.5, 2),),
            },
            False,
        ),
    ],
)
def test_only_a_log_or_a_kill_in_between_explains_it(
    change: dict[str, object], is_explained: bool
) -> None:
    evidence = replace(FINE, stored={}, **change)  # type: ignore[arg-type]
    assert (violations(evidence) == []) == is_explained


@pytest.mark.parametrize(
    "change", [{"response": "The Rhine."}, {"tokens": 8}, {"prompt": "Chaos 1-3"}]
)
def test_a_search_stored_differently_is_detected(change: dict[str, object]) -> None:
    evidence = replace(FINE, stored={SEARCH: replace(STORED, **change)})  # type: ignore[arg-type]
    assert "what clients saw is stored as they saw it" in broken(evidence)


def test_a_search_stored_twice_is_detected() -> None:
    evidence = replace(FINE, stored={SEARCH: STORED, "another": STORED})
    assert broken(evidence) == ["nothing is stored twice, or without being asked"]


def test_a_stored_failed_search_is_detected() -> None:
    evidence = replace(with_outcome(End.CLEAN_ERROR), stored={SEARCH: STORED})
    assert broken(evidence) == ["nothing is stored twice, or without being asked"]


def test_an_incomplete_tree_is_detected() -> None:
    evidence = replace(FINE, stored={SEARCH: replace(STORED, rows=3)})
    assert broken(evidence) == ["nothing is stored twice, or without being asked"]


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER, named=NAMED | {("actor", 3)}),
        replace(ANSWER, named=NAMED | {("refiner", 1)}),
        replace(ANSWER, announced=(2, 2)),
    ],
)
def test_an_answer_with_mixed_versions_is_detected(answer: Answer) -> None:
    evidence = replace(FINE, outcomes=(replace(ANSWERED, answer=answer), CALM))
    assert broken(evidence) == ["no search mixes versions"]


def test_a_tree_with_mixed_versions_is_detected() -> None:
    stored = replace(STORED, named=NAMED | {("refiner", 3)})
    assert broken(replace(FINE, stored={SEARCH: stored})) == ["no search mixes versions"]


@pytest.mark.parametrize("end", [End.CUT, End.TURNED_AWAY, End.CLEAN_ERROR])
def test_an_error_after_recovery_is_detected(end: End) -> None:
    late = replace(CALM, end=end, answer=None, detail="503")
    assert "everything works again afterwards" in broken(
        replace(FINE, outcomes=(ANSWERED, CALM, late))
    )


def test_after_recovery_a_full_queue_is_allowed_but_some_answer_is_required() -> None:
    full = replace(CALM, end=End.CLEAN_ERROR, answer=None, detail="429 overloaded")
    assert broken(replace(FINE, outcomes=(ANSWERED, CALM, full))) == []
    assert broken(replace(FINE, outcomes=(ANSWERED, full))) == ["everything works again afterwards"]


@pytest.mark.parametrize(
    "change",
    [
        {"status": "running", "finished": False, "seen": ("queued", "running")},
        {"finished": False},
        {"seen": ("running", "failed", "running", "succeeded")},
        {"status": "failed"},
        {"promotions": 2},
    ],
)
def test_an_iteration_that_does_not_end_exactly_once_is_detected(change: dict[str, object]) -> None:
    iteration = replace(ITERATED, **change)  # type: ignore[arg-type]
    assert set(broken(replace(FINE, iterations=(iteration,)))) == {"iterations end exactly once"}


@pytest.mark.parametrize(
    ("change", "invariant"),
    [
        ({"crashes": ("worker-1 ended with 1: KeyError",)}, "no process ends by itself"),
        ({"orphans": ("process 1: python",)}, "no process is left behind"),
        (
            {"adapters": frozenset({"actor@7"})},
            "the engine holds no adapter without need",
        ),
        ({"serving": ((1, 2), (1, 1))}, "the engine holds no adapter without need"),
        ({"memory": (Memory(1, 60, 100 * 2**20, 200 * 2**20),)}, "memory does not grow"),
    ],
)
def test_leaks_are_detected(change: dict[str, object], invariant: str) -> None:
    assert broken(replace(FINE, **change)) == [invariant]  # type: ignore[arg-type]
