"""Finished searches, built by hand."""

from app.domain.checkpoint import Versions
from app.domain.judgment import ConstraintResult, Judgment, QuickVerdict, Vote
from app.domain.prompt import Constraint, Message, Prompt
from app.domain.search import (
    Budget,
    Mode,
    QuickVerdictRule,
    Sampling,
    SearchOptions,
    StopReason,
    Usage,
)
from app.domain.tree import Tree
from app.search.base import SearchRequest, SearchResult

GATE = 0.6


def search_id(number: int) -> str:
    """The n-th id in the order of time, as long as a real one."""
    return f"{number:026d}"


def request(
    search: str, mode: Mode = Mode.BFS, instruction: str = "Name a color."
) -> SearchRequest:
    """A request in which nothing is left at its default."""
    return SearchRequest(
        id=search,
        mode=mode,
        prompt=Prompt(
            (Message("system", "Be brief."), Message("user", instruction)),
            (Constraint("length_constraints:number_words", {"num_words": 3}),),
        ),
        options=SearchOptions(
            n=2,
            branch=4,
            beam=1,
            depth=5,
            votes=2,
            accept_threshold=GATE,
            early_stop=False,
            quick_verdict=QuickVerdictRule(0.2, 0.7),
        ),
        budget=Budget(max_nodes=9, max_tokens=900, deadline_ms=90_000),
        sampling=Sampling(temperature=0.9, top_p=0.8, max_tokens=70, seed=7, stop=("END",)),
        started=0.0,
        versions=Versions(actor=3, refiner=2),
    )


def searched(
    search: str, *, instruction: str = "Name a color.", text: str = "Blue.", critique: str = "Good."
) -> SearchResult:
    """A judged search: one rejected response, its accepted rewrite, and one cut off response."""
    tree = Tree()
    first, cut_off, rewrite = tree.reserve(), tree.reserve(), tree.reserve()
    rejected = tree.add(first, tree.root, "A dog.", completion_tokens=3, created_ms=1.5)
    tree.add(cut_off, tree.root, "Gre", partial=True, completion_tokens=1, created_ms=2.25)
    tree.add(rewrite, rejected, text, completion_tokens=2, created_ms=4.125)
    tree.judge(first, judgment((False, True), "Not a color.", satisfied=False))
    best = tree.judge(rewrite, judgment((True, True), critique, satisfied=True))
    return SearchResult(
        request=request(search, instruction=instruction),
        tree=tree,
        best=best,
        stop_reason=StopReason.ACCEPTED,
        usage=Usage(101, 102, 103, 104, 105, 106, 107),
        timing_ms=1234.5,
    )


def looked(search: str) -> SearchResult:
    """First looks: one rejected and explained afterwards, one left to a vote, one accepted."""
    tree = Tree()
    first, unclear, rewrite = tree.reserve(), tree.reserve(), tree.reserve()
    tree.add(unclear, tree.root, "Sky.")
    tree.judge(
        unclear, Judgment((Vote(False, 0.2, "No color."),), (), GATE, QuickVerdict(0.8, None))
    )
    rejected = tree.add(first, tree.root, "A dog.")
    rejected = tree.judge(first, Judgment((), (), GATE, QuickVerdict(0.65, False), "Not a color."))
    tree.add(rewrite, rejected, "Blue.")
    best = tree.judge(rewrite, Judgment((), (), GATE, QuickVerdict(0.95, True)))
    return SearchResult(request(search), tree, best, StopReason.ACCEPTED, Usage(nodes=2), 5.0)


def greedy(search: str) -> SearchResult:
    """A greedy search without constraints: nothing is judged."""
    tree = Tree()
    best = tree.add(tree.reserve(), tree.root, "Blue.")
    return SearchResult(
        request(search, Mode.GREEDY), tree, best, StopReason.EXHAUSTED, Usage(nodes=1), 5.0
    )


def fruitless(search: str) -> SearchResult:
    """A search whose deadline came before any text."""
    return SearchResult(request(search), Tree(), None, StopReason.DEADLINE, Usage(), 1.0)


def judgment(verdicts: tuple[bool, ...], critique: str, *, satisfied: bool) -> Judgment:
    """Votes with different probabilities and critiques, and one constraint's result."""
    votes = tuple(
        Vote(verdict, probability=(position + 1) / 10, critique=f"{critique} ({position})")
        for position, verdict in enumerate(verdicts)
    )
    result = ConstraintResult(
        "length_constraints:number_words", {"num_words": 3}, satisfied, "2 words, at most 3 allowed"
    )
    return Judgment(votes, (result,), GATE)
