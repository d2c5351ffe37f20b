"""Breadth-first searches as the benchmarks run them."""

import time
from collections.abc import Sequence

from app.config.settings import Settings
from app.domain.prompt import Prompt
from app.domain.search import Budget, Mode, QuickVerdictRule, Sampling, SearchOptions
from app.search.base import SearchRequest


def bfs_request(
    settings: Settings,
    prompt: Prompt,
    seed: int,
    *,
    early_stop: bool,
    max_tokens: int,
    quick_verdict: QuickVerdictRule | None = None,
) -> SearchRequest:
    """SPaR's search (branch 3, beam 2, depth 3, 5 votes), as if it arrived now."""
    return SearchRequest(
        id=f"search-{seed}",
        mode=Mode.BFS,
        prompt=prompt,
        options=SearchOptions(
            branch=3, beam=2, depth=3, votes=5, early_stop=early_stop, quick_verdict=quick_verdict
        ),
        budget=Budget(),
        sampling=Sampling(
            settings.response_temperature, settings.response_top_p, max_tokens, seed=seed
        ),
        started=time.monotonic(),
    )


def in_groups(items: Sequence[Prompt], size: int) -> list[list[tuple[int, Prompt]]]:
    """The prompts, numbered, in groups that are searched at the same time."""
    numbered = list(enumerate(items))
    return [numbered[start : start + size] for start in range(0, len(numbered), size)]
