"""What `spar generate` and `spar judge` do once their arguments are read."""

from dataclasses import dataclass

from app.api.schemas import GenerateIn, GenerateOut, JudgeIn, JudgeOut
from app.cli.client import Client, JsonObject
from app.cli.console import clean, err, out, print_json
from app.cli.draw import draw_constraints, draw_summary, draw_tree, draw_votes, verdict
from app.cli.following import Display, SearchProgress, follow


@dataclass(frozen=True, slots=True)
class Show:
    """How to show an answer: the server's JSON object, or the answer with or without its tree."""

    json: bool = False
    tree: bool = False


def generate(url: str, request: GenerateIn, show: Show) -> None:
    """Ask for an answer and print it; raises the errors of `Client`."""
    progress = SearchProgress(request.prompt or "")
    with Client(url) as client:
        raw = _ask(client, request, progress, show)
        if show.json:
            print_json(raw)
            return
        answer = client.read(GenerateOut, raw)
    if show.tree:
        nodes = progress.nodes.values() if answer.tree is None else answer.tree
        out().print(draw_tree(progress.prompt, nodes))
        print()
    if show.tree or not progress.text:
        print(clean(answer.response))
    err().print(draw_summary(answer), soft_wrap=True)


def judge(url: str, request: JudgeIn, *, as_json: bool) -> None:
    """Ask for a judgment and print it; raises the errors of `Client`."""
    with Client(url) as client:
        raw = client.judge(request)
        if as_json:
            print_json(raw)
            return
        judgment = client.read(JudgeOut, raw)
    console = out()
    console.print(verdict(judgment.accepted, judgment.value))
    if judgment.quick_verdict is not None:
        console.print(f"P(yes) at quick verdict: {judgment.quick_verdict:.2f}", style="dim")
    if judgment.votes:
        console.print(draw_votes(judgment.votes))
    if judgment.constraints:
        console.print(draw_constraints(judgment.constraints))


def _ask(client: Client, request: GenerateIn, progress: SearchProgress, show: Show) -> JsonObject:
    drawn = show.tree and not show.json
    with Display(progress, tree=drawn) as display:
        if not request.stream:
            return client.generate(request)
        with client.stream(request) as events:
            write_text = not (show.tree or show.json)
            return follow(events, progress, display, write_text=write_text)
