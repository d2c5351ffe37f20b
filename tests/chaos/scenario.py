"""The schedule of faults, which depends on the seed only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class Kind(StrEnum):
    """Kind of fault. Killed processes are restarted."""

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
    """Not a fault: a promotion or rollback."""


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
"""Minimum and maximum duration of lasting faults, in seconds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: `at` seconds after the load began, lasting `seconds`."""

    at: float
    kind: Kind
    seconds: float = 0.0


def scenario(
    seed: int, seconds: float, kinds: Collection[Kind], *, pause: float = 2.0
) -> tuple[Fault, ...]:
    """The faults of a run, in order; about one every `pause` seconds, all within `seconds`.

    Every kind occurs once before any repeats, in random order.

    Raises:
        ValueError: `kinds` is empty, or a time is not above 0.
    """
    if not kinds or seconds <= 0 or pause <= 0:
        raise ValueError("a scenario needs kinds of faults, and times above 0")
    # Sorted: the order of a set differs between processes.
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
    """Number of faults by kind."""
    kinds = [fault.kind for fault in faults]
    return {kind: kinds.count(kind) for kind in Kind if kind in kinds}


def _fault(random: Random, kind: Kind, at: float, end: float) -> Fault:
    least, most = LASTING.get(kind, (0.0, 0.0))
    return Fault(at, kind, min(random.uniform(least, most), end - at))


def _gap(random: Random, pause: float) -> float:
    """0.5 to 1.5 times the pause, so that some faults overlap."""
    return random.uniform(0.5, 1.5) * pause
