"""`spar generate` and `spar judge`: their options, and the requests made of them."""

from dataclasses import asdict

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
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Answer an instruction by searching for the answer, on a running server.

    The answer goes to standard output, progress and a summary to standard error.

    Ctrl-C stops the search.
    """
    from app.api.schemas import GenerateIn
    from app.cli import ask
    from app.cli.options import checked, given, parse_constraints, read_prompt

    body = {
        "prompt": read_prompt(prompt),
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
    ask.generate(url, checked(GenerateIn, body), ask.Show(json=as_json, tree=tree))


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
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Judge a response to an instruction, on a running server."""
    from app.api.schemas import JudgeIn
    from app.cli import ask
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
    ask.judge(url, checked(JudgeIn, body), as_json=as_json)
