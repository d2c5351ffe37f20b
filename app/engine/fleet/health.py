"""Whether a server is used: a circuit breaker, as pure functions of what happened and when.

A server is used while it is up. It is not at first, and not after `FAILURES` failures in a row;
then only probes touch it. A probe that succeeds brings it back. The pauses before that grow until
a call succeeds, so that a server which answers probes and fails calls is tried less and less.
"""

from dataclasses import dataclass, replace

FAILURES = 3
"""Failures in a row, of calls and probes together, after which a server is not used."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between probes: of a server that is up, and of one that is down, growing twofold."""

    up: float = 2.0
    first: float = 1.0
    longest: float = 30.0


@dataclass(frozen=True, slots=True)
class Health:
    """What is known of one server.

    up: whether calls may go to it.
    failures: in a row, until now.
    pause: seconds it last had to stay away; 0 when a call has succeeded since.
    probe_at: when to probe, on the clock that the functions are given.
    """

    up: bool = False
    failures: int = 0
    pause: float = 0.0
    probe_at: float = 0.0


def call_succeeded(health: Health) -> Health:
    """A call came back, so earlier failures were not the end. Never brings a server up."""
    return replace(health, failures=0, pause=0.0) if health.up else health


def call_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """A call failed by the server's fault: it is probed at once, or stays away for a while."""
    if not health.up:
        return health
    failures = health.failures + 1
    if failures >= FAILURES:
        return _away(health, failures, now, pauses)
    return replace(health, failures=failures, probe_at=now)


def probe_succeeded(health: Health, now: float, pauses: Pauses) -> Health:
    """It answers and has what it needs: it is used."""
    failures = health.failures if health.up else 0  # calls may fail where probes succeed
    return Health(True, failures, health.pause, now + pauses.up)


def probe_failed(health: Health, now: float, pauses: Pauses) -> Health:
    """It does not answer: what was up has some tries more, what is down waits longer."""
    failures = health.failures + 1
    if health.up and failures < FAILURES:
        return replace(health, failures=failures, probe_at=now + min(pauses.first, pauses.up))
    return _away(health, failures, now, pauses)


def lacking(health: Health, now: float) -> Health:
    """It may not have what it needs: not used until a probe at once has seen to that."""
    return replace(health, up=False, probe_at=now)


def _away(health: Health, failures: int, now: float, pauses: Pauses) -> Health:
    pause = min(2 * health.pause, pauses.longest) if health.pause else pauses.first
    return Health(False, failures, pause, now + pause)
