"""What goes wrong when: a list of faults that depends on a seed and nothing else."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """What can go wrong. A killed process is started again."""

    SERVER_KILL = "server-kill"
    SERVER_STOP = "server-stop"
    SERVER_FREEZE = "server-freeze"
    ENGINE_KILL = "engine-kill"
    ENGINE_FREEZE = "engine-freeze"
    WORKER_KILL = "worker-kill"
    WORKER_FREEZE = "worker-freeze"
    TRAINER_KILL = "trainer-kill"
    TRAINER_FREEZE = "trainer-freeze"
    DATABASE_LOCK = "database-lock"
    DATABASE_RESTART = "database-restart"
    DATABASE_FREEZE = "database-freeze"
    DISK_FULL = "disk-full"
    CLOCK_JUMP = "clock-jump"
    SWAP = "swap"
    """Not a fault: other versions are promoted, or rolled back."""


LASTING = {
    Kind.SERVER_FREEZE: (0.5, 3.0),
    Kind.ENGINE_FREEZE: (0.5, 3.0),
    Kind.WORKER_FREEZE: (0.5, 6.0),
    Kind.TRAINER_FREEZE: (0.5, 3.0),
    Kind.DATABASE_LOCK: (0.5, 8.0),
    Kind.DATABASE_RESTART: (0.2, 4.0),
    Kind.DATABASE_FREEZE: (0.5, 4.0),
    Kind.DISK_FULL: (0.5, 3.0),
}
"""Least and most seconds of what does not happen in a moment."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, so many seconds after the load began, for so long."""

    at: float
    kind: Kind
    seconds: float = 0.0


def scenario(
    seed: int, seconds: float, kinds: Collection[Kind], *, pause: float = 2.0
) -> tuple[Fault, ...]:
    """The faults of a run, in order; about one every `pause` seconds, all within `seconds`.

    Every kind comes once before any comes again, in an order of the seed's. Raises ValueError
    where there is nothing to choose from, and for times that are not above 0.
    """
    if not kinds or seconds <= 0 or pause <= 0:
        raise ValueError("a scenario needs kinds of faults, and times above 0")
    # Of a set, whose order is another in every process, the seed alone must not depend.
    known = sorted(set(kinds))
    random, deck = Random(seed), list[Kind]()
    faults: list[Fault] = []
    at = _gap(random, pause)
    while at < seconds:
        deck = deck or random.sample(known, len(known))
        faults.append(_fault(random, deck.pop(), at, seconds))
        at += _gap(random, pause)
    return tuple(faults)


def count(faults: Sequence[Fault]) -> dict[Kind, int]:
    """How many there are of each kind."""
    kinds = [fault.kind for fault in faults]
    return {kind: kinds.count(kind) for kind in Kind if kind in kinds}


def _fault(random: Random, kind: Kind, at: float, end: float) -> Fault:
    least, most = LASTING.get(kind, (0.0, 0.0))
    return Fault(at, kind, min(random.uniform(least, most), end - at))


def _gap(random: Random, pause: float) -> float:
    """Between half and one and a half of the pause: some faults meet, others come alone."""
    return random.uniform(0.5, 1.5) * pause
