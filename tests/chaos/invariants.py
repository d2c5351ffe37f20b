"""The invariants of a run."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.asking import SEARCHED
from tests.chaos.evidence import Evidence
from tests.chaos.outcome import End, Outcome, Version

STOP_SECONDS = 1.0
"""Connections up to this long before SIGTERM may be refused."""
GROWTH_BYTES = 48 * 2**20
"""Allowed memory growth after warm-up: caches and allocator overhead."""
ENDINGS = frozenset({"succeeded", "failed", "cancelled"})
FULL = "429 overloaded"


@dataclass(frozen=True, slots=True)
class Violation:
    """A violated invariant, with details."""

    invariant: str
    detail: str


def violations(evidence: Evidence) -> list[Violation]:
    """All violations."""
    return [
        Violation(name, detail) for name, check in INVARIANTS.items() for detail in check(evidence)
    ]


def lost(evidence: Evidence) -> list[Outcome]:
    """Accepted requests with neither an answer nor a clean error.

    A broken connection is explained if the server's process was killed meanwhile, or if a stopping
    server had not accepted it yet. Both may accept connections until the process has ended.
    """
    return [one for one in evidence.outcomes if _is_lost(one, evidence)]


def unstored(evidence: Evidence) -> list[Outcome]:
    """Answered searches that are not in the database."""
    return [
        one
        for one in _answered_searches(evidence)
        if one.answer is not None and one.answer.search_id not in evidence.stored
    ]


def explained(one: Outcome, evidence: Evidence) -> bool:
    """Whether a missing search is accounted for.

    Either the server's log names it, or its server was killed before it reported that all searches
    are written. A request sent before a server's end was answered by that server.
    """
    assert one.answer is not None, "only answers have an id"
    if one.answer.search_id in evidence.lost_ids:
        return True
    for end in sorted(evidence.ends, key=lambda end: end.at):
        if one.began <= end.gone:
            written = any(q.start == end.start and q.at >= one.ended for q in evidence.quiet)
            return not end.asked and not written
    return False


def _is_lost(one: Outcome, evidence: Evidence) -> bool:
    if one.end in (End.SILENT, End.GARBLED):
        return True
    if one.end is not End.CUT:
        return False
    return not any(
        one.began <= end.gone
        and (end.at - STOP_SECONDS <= one.began if end.asked else end.at <= one.ended)
        for end in evidence.ends
    )


def _nothing_lost(evidence: Evidence) -> Iterator[str]:
    for one in lost(evidence):
        when = f"from {one.began:.1f} to {one.ended:.1f} s"
        yield f"{one.ask.endpoint} {one.ask.number} {when}: {one.end}: {one.detail}"


def _no_mixed_versions(evidence: Evidence) -> Iterator[str]:
    for one in evidence.outcomes:
        if (answer := one.answer) is None:
            continue
        if answer.announced not in (None, answer.versions):
            yield f"request {one.ask.number} began as {answer.announced}, ended {answer.versions}"
        yield from _mixed(f"request {one.ask.number}", answer.named, answer.versions)
    for search_id, stored in evidence.stored.items():
        yield from _mixed(f"search {search_id}", stored.named, stored.versions)


def _mixed(where: str, named: frozenset[tuple[str, int]], versions: Version) -> Iterator[str]:
    actor, refiner = versions
    if strange := named - {("actor", actor), ("refiner", refiner)}:
        yield f"{where} is of {versions} and names {sorted(strange)}"


def _stored_as_seen(evidence: Evidence) -> Iterator[str]:
    for one in unstored(evidence):
        if not explained(one, evidence):
            assert one.answer is not None, "an answered search"
            yield f"search {one.answer.search_id}, answered at {one.ended:.1f} s, is not stored"
    for one in _answered_searches(evidence):
        answer = one.answer
        if answer is None or answer.search_id is None:
            continue
        stored = evidence.stored.get(answer.search_id)
        if stored is None:
            continue
        seen = (one.ask.prompt, answer.versions, answer.response, answer.tokens)
        if seen != (stored.prompt, stored.versions, stored.response, stored.tokens):
            yield f"search {answer.search_id} is stored as {stored}, and was answered as {seen}"


def _stored_once(evidence: Evidence) -> Iterator[str]:
    asked = {one.ask.prompt: one for one in evidence.outcomes if one.ask.endpoint in SEARCHED}
    for prompt, times in Counter(stored.prompt for stored in evidence.stored.values()).items():
        if times > 1:
            yield f"{prompt!r} was asked once and is stored {times} times"
        if prompt not in asked:
            yield f"{prompt!r} is stored, and no client asked it as a search"
        elif asked[prompt].end in (End.CLEAN_ERROR, End.TURNED_AWAY):
            yield f"{prompt!r} is stored, and its client was told: {asked[prompt].detail}"
    for search_id, stored in evidence.stored.items():
        if stored.rows != stored.nodes + 1:
            yield f"search {search_id} has {stored.nodes} nodes and a root, and {stored.rows} rows"


def _recovered(evidence: Evidence) -> Iterator[str]:
    late = [one for one in evidence.outcomes if one.began >= evidence.calm_from]
    if not any(one.end is End.ANSWERED for one in late):
        yield "nothing was answered once all was calm"
    for one in late:
        if one.end not in (End.ANSWERED, End.LEFT) and one.detail != FULL:
            yield f"{one.ask.endpoint} {one.ask.number} in the calm: {one.end}: {one.detail}"


def _iterations_end_once(evidence: Evidence) -> Iterator[str]:
    for one in evidence.iterations:
        if one.status not in ENDINGS or not one.finished:
            yield f"iteration {one.id} has not ended: {one.status}"
        ended = [status for status in one.seen if status in ENDINGS]
        if ended and (list(one.seen[-1:]) != ended or ended != [one.status]):
            yield f"iteration {one.id} was seen {', '.join(one.seen)}, and is {one.status}"
        if one.promotions > 1:
            yield f"iteration {one.id} promoted {one.promotions} times"


def _no_crash(evidence: Evidence) -> Iterator[str]:
    yield from evidence.crashes


def _no_orphans(evidence: Evidence) -> Iterator[str]:
    yield from evidence.orphans


def _no_leaked_adapters(evidence: Evidence) -> Iterator[str]:
    if leaked := (evidence.adapters or frozenset()) - evidence.kept:
        yield f"the engine holds {', '.join(sorted(leaked))}"
    if evidence.serving is not None and evidence.serving[0] != evidence.serving[1]:
        yield "promoted is {}, served is {}".format(*evidence.serving)


def _memory_stays(evidence: Evidence) -> Iterator[str]:
    for one in evidence.memory:
        if one.last - one.warm > GROWTH_BYTES:
            mib = (one.last - one.warm) / 2**20
            yield f"server start {one.start} grew by {mib:.0f} MiB in {one.seconds:.0f} s"


def _answered_searches(evidence: Evidence) -> Sequence[Outcome]:
    return [
        one
        for one in evidence.outcomes
        if one.end is End.ANSWERED and one.answer is not None and one.answer.search_id is not None
    ]


INVARIANTS: dict[str, Callable[[Evidence], Iterator[str]]] = {
    "every accepted request is answered or gets a clean error": _nothing_lost,
    "no search mixes versions": _no_mixed_versions,
    "what clients saw is stored as they saw it": _stored_as_seen,
    "nothing is stored twice, or without being asked": _stored_once,
    "everything works again afterwards": _recovered,
    "iterations end exactly once": _iterations_end_once,
    "no process ends by itself": _no_crash,
    "no process is left behind": _no_orphans,
    "the engine holds no adapter without need": _no_leaked_adapters,
    "memory does not grow": _memory_stays,
}
