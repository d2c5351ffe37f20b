"""`spar demo`: ten instructions with checkable constraints, answered greedily and by search."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.domain.search import Mode

if TYPE_CHECKING:
    from rich.table import Table

    from app.cli.client import Client

INSTRUCTIONS = Path(__file__).with_name("demo.jsonl")
MOST_TOKENS = 64
"""Of one response, so that the demo takes a minute or two on two CPU cores."""
NODES = 8
_SEARCH = {"n": NODES, "branch": 4, "beam": 1, "depth": 4, "votes": 1, "quick_verdict": True}
"""The options of every searching mode; each mode reads those it has, within the budget of nodes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to one instruction. met: whether a program found every constraint met."""

    met: bool
    tokens: int
    seconds: float
    response: str


@dataclass(frozen=True, slots=True)
class Row:
    """One instruction and its two answers."""

    title: str
    greedy: Answer
    search: Answer


def demo(
    mode: Annotated[Mode, typer.Option(help="Search mode to compare with greedy.")] = (
        Mode.BEST_OF_N
    ),
    seed: Annotated[int, typer.Option(help="Seed; makes the result reproducible.", min=0)] = 0,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Compare greedy answers with searched ones, on a running server.

    Ten short instructions with constraints that a program checks; takes a minute or two on two
    CPU cores with the embedded model.
    """
    import json

    from app.cli.client import Client
    from app.cli.console import counting_bar, err, out, print_json

    if mode is Mode.GREEDY:
        raise typer.BadParameter("greedy is what the search is compared with", param_hint="--mode")
    with INSTRUCTIONS.open(encoding="utf-8") as lines:
        items = [json.loads(line) for line in lines]
    rows: list[Row] = []
    with Client(url) as client, counting_bar() as bar:
        task = bar.add_task("demo", total=len(items))
        for item in items:
            if bar.disable and not as_json:
                err().print(f"{len(rows) + 1}/{len(items)} {item['title']}", soft_wrap=True)
            bar.update(task, description=item["title"])
            both = [_ask(client, item, one, seed) for one in (Mode.GREEDY, mode)]
            rows.append(Row(item["title"], *both))
            bar.update(task, advance=1)
    if as_json:
        print_json({"mode": mode.value, "seed": seed, "rows": [asdict(row) for row in rows]})
    else:
        out().print(draw_rows(rows, mode))


def _ask(client: "Client", item: dict[str, Any], mode: Mode, seed: int) -> Answer:
    from app.api.schemas import GenerateIn, GenerateOut

    body = {
        "prompt": item["prompt"],
        "mode": mode,
        "constraints": item["constraints"],
        "search": {} if mode is Mode.GREEDY else _SEARCH,
        "budget": {"max_nodes": NODES},
        "sampling": {"max_tokens": MOST_TOKENS, "seed": seed},
    }
    answer = client.read(GenerateOut, client.generate(GenerateIn.model_validate(body)))
    return Answer(
        met=all(result.satisfied for result in answer.constraints),
        tokens=answer.usage.completion_tokens,
        seconds=round(answer.timing_ms / 1000, 2),
        response=answer.response,
    )


def draw_rows(rows: list[Row], mode: Mode) -> "Table":
    """The answers as a table, with a last line of totals."""
    from rich.text import Text

    from app.cli.draw import new_table

    table = new_table("Instruction", "greedy", "tokens", "s", mode.value, "tokens", "s")
    for column in table.columns[1:]:
        column.justify = "right"
    table.show_footer = True
    columns = [[getattr(row, name) for row in rows] for name in ("greedy", "search")]
    footers = [Text("constraints met, totals")]
    for answers in columns:
        footers += [
            Text(f"{sum(one.met for one in answers)} of {len(answers)}"),
            Text(f"{sum(one.tokens for one in answers):,}"),
            Text(f"{sum(one.seconds for one in answers):.1f}"),
        ]
    for column, footer in zip(table.columns, footers, strict=True):
        column.footer = footer
    for row in rows:
        cells = [Text(row.title)]
        for one in (row.greedy, row.search):
            met = Text("met", "green") if one.met else Text("not met", "red")
            cells += [met, Text(f"{one.tokens:,}"), Text(f"{one.seconds:.1f}")]
        table.add_row(*cells)
    return table
