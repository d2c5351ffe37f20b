"""What both sides of `staged` do: so many texts of the same lengths."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice

from app.domain.iteration import PRESETS, DataOptions, Stage
from app.domain.prompt import Prompt
from benchmarks.measure import Stopwatch
from benchmarks.phases import prompts as long_prompts

STAGES = (Stage.RESPOND, Stage.JUDGE, Stage.REFINE)
CRITIQUE_TOKENS = 24
# One response to three nodes of the tree, as by default (5 to 15); as many prompts at once as in
# the largest preset for one machine.
DATA = DataOptions(
    responses=2,
    max_tokens=48,
    votes=3,
    branch=3,
    beam=1,
    depth=2,
    in_flight=PRESETS["small"].data.in_flight,
)
QUICKER = 4
"""Texts are so many times shorter with `--quick`."""


@dataclass(frozen=True, slots=True)
class Load:
    """The prompts, and what is written for each; every response is rejected.

    critique_tokens: the length of a vote's critique; all other texts have `data.max_tokens`.
    """

    prompts: Sequence[Prompt]
    data: DataOptions
    critique_tokens: int

    @classmethod
    def of(cls, prompts: int, *, quick: bool) -> "Load":
        """So many different prompts without constraints."""
        texts = islice(long_prompts(), prompts)
        shorter = QUICKER if quick else 1
        data = DATA.model_copy(update={"max_tokens": DATA.max_tokens // shorter})
        return cls(
            [Prompt.from_text(each["prompt"]) for each in texts], data, CRITIQUE_TOKENS // shorter
        )

    @property
    def stage_tokens(self) -> dict[Stage, int]:
        """Tokens of each stage, verdicts left out."""
        data, critiques = self.data, self.data.votes * self.critique_tokens
        responses = len(self.prompts) * data.responses
        nodes = len(self.prompts) * data.branch * (1 + data.beam * (data.depth - 1))
        return {
            Stage.RESPOND: responses * data.max_tokens,
            Stage.JUDGE: responses * critiques,
            Stage.REFINE: nodes * (data.max_tokens + critiques),
        }

    @property
    def tokens(self) -> int:
        """Tokens of all stages."""
        return sum(self.stage_tokens.values())


@dataclass(slots=True)
class Stages:
    """How long each stage took (in seconds); `began` is told which one begins."""

    began: Callable[[Stage], None]
    seconds: dict[Stage, float] = field(default_factory=dict)

    @asynccontextmanager
    async def timed(self, stage: Stage) -> AsyncIterator[None]:
        """The block is the stage."""
        self.began(stage)
        watch = Stopwatch()
        yield
        self.seconds[stage] = watch.seconds
