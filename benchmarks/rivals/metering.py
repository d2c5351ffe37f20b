"""What stands between the endpoint and the engine: forces lengths and seeds, and counts."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app.domain.search import derive_seed
from app.engine.base import Call, Completion, Delta, OnDelta
from app.roles.votes import NO

SEED = 20241211
TEMPERATURE = 1.0
_IMPOSSIBLE = -1000.0

Complete = Callable[[Call, OnDelta], Awaitable[Completion]]
Score = Callable[[Call, Sequence[str], OnDelta], Awaitable[Mapping[str, float]]]


@dataclass(slots=True)
class Tally:
    """What the engine did for one contender.

    completion_tokens: generated, cancelled calls included. verdicts: tokens whose
    probabilities were read; not among the completion tokens. prompt_tokens and cached_tokens
    are those of the completions that ended, and what of them the prefix cache held.
    """

    completions: int = 0
    completion_tokens: int = 0
    verdicts: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0

    @property
    def generated(self) -> int:
        """All generated tokens."""
        return self.completion_tokens + self.verdicts

    @property
    def hit_rate(self) -> float:
        """Share of the prompts' tokens found in the prefix cache (0..1)."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0


class Meter:
    """Makes every contender's calls alike, whatever its library can ask for.

    Forced: every text runs to its `max_tokens` (at most `limit`, where there is one), no stop
    string ends it, all are drawn in the same way, and every verdict is a no. Free: calls are
    as they were asked for, but those without a seed get one. The seed of a call depends on its
    messages and on how many calls with the same messages came before.
    """

    def __init__(self) -> None:
        self.begin(forced=True)

    def begin(self, *, forced: bool, limit: int | None = None) -> None:
        """Count from zero."""
        self._forced = forced
        self._limit = limit
        self._asked: Counter[int] = Counter()
        self.tally = Tally()

    async def complete(self, complete: Complete, call: Call, on_delta: OnDelta) -> Completion:
        """Make a call, as it should be, by `complete`."""

        def counted(delta: Delta) -> None:
            self.tally.completion_tokens += delta.completion_tokens
            on_delta(delta)

        completion = await complete(self._prepared(call), counted)
        self.tally.completions += 1
        self.tally.prompt_tokens += completion.prompt_tokens
        self.tally.cached_tokens += completion.cached_tokens
        if not self._forced:
            return completion
        # Past its end a text may hold a NUL, which no endpoint takes back as a part of a prompt.
        return replace(completion, text=completion.text.replace("\x00", " "))

    async def score(
        self, score: Score, call: Call, options: Sequence[str], on_delta: OnDelta
    ) -> Mapping[str, float]:
        """Score by `score`, for real also where the answer is already known."""
        scores = await score(call, options, on_delta)
        self.tally.verdicts += 1
        if not self._forced:
            return scores
        return {option: 0.0 if option in NO else _IMPOSSIBLE for option in options}

    def _prepared(self, call: Call) -> Call:
        sampling = call.sampling
        seed = self._seed(call)
        if not self._forced:
            return call if sampling.seed is not None else _with(call, seed=seed)
        length = sampling.max_tokens if self._limit is None else self._limit
        return replace(
            _with(
                call,
                temperature=TEMPERATURE,
                top_p=1.0,
                max_tokens=min(length, sampling.max_tokens),
                stop=(),
                seed=seed,
            ),
            forced=True,
        )

    def _seed(self, call: Call) -> int | None:
        words = [word for message in call.messages for word in (message.role, message.content)]
        asked = hash(call.messages)
        self._asked[asked] += 1
        return derive_seed(SEED, *words, self._asked[asked])


def _with(call: Call, **changes: object) -> Call:
    return replace(call, sampling=replace(call.sampling, **changes))  # type: ignore[arg-type]
