"""The available benchmarks, by name."""

from collections.abc import Mapping

from app.errors import NotFound
from app.evaluation.base import Suite
from app.evaluation.followbench import FollowBench
from app.evaluation.instructions import IFBENCH, IFEVAL
from app.evaluation.llmbar import LLMBar

SUITES: Mapping[str, Suite] = {
    suite.name: suite for suite in (IFEVAL, IFBENCH, LLMBar(), FollowBench())
}


def suite_named(name: str) -> Suite:
    """The suite of this name.

    Raises:
        NotFound: There is no such suite; the text names the available ones.
    """
    if name not in SUITES:
        raise NotFound(f'there is no suite "{name}": there are {", ".join(SUITES)}')
    return SUITES[name]
