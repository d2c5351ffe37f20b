"""An engine whose searches always take the same work: every text is full, every verdict is no."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from app.engine.base import Call, Completion, Engine, EngineWrapper, OnDelta, ignore_delta
from app.roles.votes import NO

_IMPOSSIBLE = -1000.0


@dataclass(eq=False, slots=True)
class Recorded:
    """One call that was made, and the calls that waited for its result.

    `options` are what a score asked for; empty for a completion.
    """

    call: Call
    options: tuple[str, ...] = ()
    then: list["Recorded"] = field(default_factory=list)


_before: ContextVar[Recorded | None] = ContextVar("before", default=None)


class ForcingEngine(EngineWrapper):
    """Makes every call for real, at full length, answers no, and records what waited for what.

    A call depends on the call made before it in the same task or in the task that started that
    one. Calls without such a predecessor that start before any other call has ended form a step:
    they waited for everything before them. One search per engine.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._finished = 0
        self._finished_at_step = -1
        self.steps: list[list[Recorded]] = []
        self.cached_tokens = 0

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Exactly `max_tokens` tokens: neither an end of text nor a stop string ends them."""
        call = replace(call, forced=True, sampling=replace(call.sampling, stop=()))
        recorded = self._record(Recorded(call))
        completion = await self._engine.complete(call, on_delta)
        self.cached_tokens += completion.cached_tokens
        self._finish(recorded)
        return completion

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """A certain no, whatever the engine scored."""
        recorded = self._record(Recorded(call, tuple(options)))
        await self._engine.score(call, options, on_delta)
        self._finish(recorded)
        return {option: 0.0 if option in NO else _IMPOSSIBLE for option in options}

    def _record(self, recorded: Recorded) -> Recorded:
        before = _before.get()
        if before is not None:
            before.then.append(recorded)
            return recorded
        if self._finished > self._finished_at_step:
            self._finished_at_step = self._finished
            self.steps.append([])
        self.steps[-1].append(recorded)
        return recorded

    def _finish(self, recorded: Recorded) -> None:
        self._finished += 1
        _before.set(recorded)
