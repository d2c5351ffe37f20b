"""`spar generate`, `judge`, `searches`, `show` and `feedback`: searches on a running server."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from app.cli import options
from app.cli.options import bundled
from app.domain.search import Mode


@bundled()
def generate(
    prompt: options.PromptText = None,
    *,
    constraint: options.Constraints = None,
    mode: options.SearchMode = Mode.BFS,
    search: options.Search,
    max_nodes: options.MaxNodes = None,
    max_tokens: options.MaxTokens = None,
    deadline: options.Deadline = None,
    temperature: options.Temperature = None,
    top_p: options.TopP = None,
    length: options.Length = None,
    seed: options.Seed = None,
    stop: options.Stop = None,
    tree: options.DrawTree = False,
    as_json: options.Json = False,
    stream: options.Stream = True,
    url: options.Url = "",
) -> None:
    """Answer an instruction by a search, on a running server.

    The answer goes to standard output, progress and a summary to standard error.

    Ctrl-C stops the search.
    """
    from app.api.schemas import GenerateIn, GenerateOut
    from app.cli.client import Client
    from app.cli.console import clean, err, out, print_json
    from app.cli.draw import draw_summary, draw_tree
    from app.cli.options import checked, given, parse_constraints, read_prompt
    from app.cli.progress import SearchDisplay, SearchProgress, follow_search

    text = read_prompt(prompt)
    body = {
        "prompt": text,
        "mode": mode,
        "constraints": parse_constraints(constraint),
        "search": given(**asdict(search)),
        "budget": given(max_nodes=max_nodes, max_tokens=max_tokens, deadline_ms=deadline),
        "sampling": given(
            temperature=temperature, top_p=top_p, max_tokens=length, seed=seed, stop=stop
        ),
        "stream": stream,
        "include_tree": tree,
    }
    request = checked(GenerateIn, body)
    progress = SearchProgress(text)
    with Client(url) as client:
        with SearchDisplay(progress, tree=tree and not as_json) as display:
            if stream:
                with client.stream(request) as events:
                    write_text = not (tree or as_json)
                    raw = follow_search(events, progress, display, write_text=write_text)
            else:
                raw = client.generate(request)
        if as_json:
            print_json(raw)
            return
        answer = client.read(GenerateOut, raw)
    if tree:
        nodes = progress.nodes.values() if answer.tree is None else answer.tree
        out().print(draw_tree(progress.prompt, nodes))
        print()
    if tree or not progress.text:
        print(clean(answer.response))
    err().print(draw_summary(answer), soft_wrap=True)


def judge(
    prompt: options.PromptText = None,
    *,
    response: options.ResponseText = None,
    response_file: options.ResponseFile = None,
    constraint: options.Constraints = None,
    votes: options.Votes = None,
    accept_threshold: options.AcceptThreshold = None,
    quick_verdict: options.QuickVerdict = None,
    seed: options.Seed = None,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Judge a response to an instruction, on a running server."""
    from app.api.schemas import JudgeIn, JudgeOut
    from app.cli.client import Client
    from app.cli.console import out, print_json
    from app.cli.draw import draw_constraints, draw_votes, verdict
    from app.cli.options import checked, given, parse_constraints, read_prompt, read_response

    body = {
        "prompt": read_prompt(prompt),
        "response": read_response(response, response_file),
        "constraints": parse_constraints(constraint),
        "search": given(
            votes=votes, accept_threshold=accept_threshold, quick_verdict=quick_verdict
        ),
        **given(seed=seed),
    }
    with Client(url) as client:
        raw = client.judge(checked(JudgeIn, body))
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


def list_searches(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """List the searches a server has stored."""
    from app.api.schemas import SearchPageOut
    from app.cli.client import Client
    from app.cli.console import out, print_json
    from app.cli.draw import draw_searches

    with Client(url) as client:
        raw = client.searches(limit)
        if as_json:
            print_json(raw)
        else:
            out().print(draw_searches(client.read(SearchPageOut, raw).searches))


def show(
    search_id: Annotated[str, typer.Argument(metavar="ID", help="Id of the search.")],
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Draw the tree of a stored search, and its answer."""
    from app.api.schemas import SearchDetailOut
    from app.cli.client import Client
    from app.cli.console import clean, err, out, print_json
    from app.cli.draw import draw_summary, draw_tree

    with Client(url) as client:
        raw = client.search(search_id)
        if as_json:
            print_json(raw)
            return
        search = client.read(SearchDetailOut, raw)
    out().print(draw_tree(search.prompt, search.tree))
    print()
    print(clean(search.response))
    err().print(draw_summary(search), soft_wrap=True)


def feedback(
    search_id: Annotated[str, typer.Argument(metavar="SEARCH_ID", help="Id of the search.")],
    up: Annotated[bool, typer.Option("--up", help="The answer is good.")] = False,
    down: Annotated[bool, typer.Option("--down", help="The answer is bad.")] = False,
    better: Annotated[
        str | None, typer.Option(help="A better answer; it becomes training data.")
    ] = None,
    better_file: Annotated[
        Path | None, typer.Option(help="File with a better answer; `-` is standard input.")
    ] = None,
    comment: Annotated[str | None, typer.Option(help="A note; it is not trained on.")] = None,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Rate the answer of a search, or give a better one."""
    from app.api.admin.schemas import FeedbackIn, FeedbackOut
    from app.cli.admin import Admin
    from app.cli.console import print_json, say
    from app.cli.options import checked, given, read_file

    if up and down:
        raise typer.BadParameter("give either --up or --down", param_hint="--up")
    if better is not None and better_file is not None:
        raise typer.BadParameter("give either --better or --better-file", param_hint="--better")
    if better_file is not None:
        better = read_file(better_file, "--better-file")
    rating = 1 if up else -1 if down else None
    body = {"search_id": search_id} | given(rating=rating, better=better, comment=comment)
    with Admin(url) as admin:
        raw = admin.feedback(checked(FeedbackIn, body))
        if as_json:
            print_json(raw)
        else:
            say(f"Feedback {admin.read(FeedbackOut, raw).id} is stored.")
