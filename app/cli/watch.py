"""Following a search while it runs: a live tree or a line of counts, and text as it comes."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from app.api.schemas import NodeOut
from app.cli.client import (
    ConnectionLost,
    Event,
    Final,
    JsonObject,
    NodeAccepted,
    NodeSeen,
    TextDelta,
)
from app.cli.console import clean, count, err, out
from app.cli.draw import draw_tree, is_judged


class Progress:
    """What is known of a running search."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.nodes: dict[int, NodeOut] = {}
        self.text = ""

    def add(self, event: Event) -> None:
        """Take one event into account."""
        match event:
            case NodeSeen(node):
                self.nodes[node.id] = node
            case NodeAccepted(node_id) if node_id in self.nodes:
                node = self.nodes[node_id]
                self.nodes[node_id] = node.model_copy(update={"accepted": True})
            case TextDelta(text):
                self.text += text
            case _:
                pass

    @property
    def counts(self) -> str:
        """`5 nodes, 3 judged, best value 0.60`."""
        nodes = [node for node in self.nodes.values() if node.parent is not None]
        values = [node.value for node in nodes if node.value is not None]
        parts = [count(len(nodes), "node"), f"{sum(map(is_judged, nodes))} judged"]
        if values:
            parts.append(f"best value {max(values):.2f}")
        return ", ".join(parts)


class Display:
    """A spinner with counts on standard error, or with the tree on standard output.

    Draws nothing where there is no terminal, and leaves nothing behind.
    """

    def __init__(self, progress: Progress, *, tree: bool) -> None:
        self._progress = progress
        self._tree = tree
        self._spinner = Spinner("dots", Text("asking the server"))
        self._live = Live(
            self._spinner,
            console=out() if tree else err(),
            transient=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "Display":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self) -> None:
        """Show the progress made."""
        self._spinner.update(text=Text(self._progress.counts))
        self._live.update(self._frame())

    def stop(self) -> None:
        """Remove what is shown."""
        # Emptied first: rich would print a frame taller than the screen in full and leave it.
        self._live.update(Text(""))
        self._live.stop()

    def _frame(self) -> RenderableType:
        if not self._tree:
            return self._spinner
        return Group(self._spinner, draw_tree(self._progress.prompt, self._progress.nodes.values()))


def follow(
    events: Iterable[Event], progress: Progress, display: Display, *, write_text: bool
) -> JsonObject:
    """Show events until the final one, and return its answer.

    With `write_text` the text of a greedy answer goes to standard output as it comes. Raises
    `ConnectionLost` where the events end without an answer.
    """
    try:
        for event in events:
            if isinstance(event, Final):
                return event.answer
            progress.add(event)
            if isinstance(event, TextDelta) and write_text:
                display.stop()
                print(clean(event.text), end="", flush=True)
            else:
                display.update()
    finally:
        if write_text and progress.text:
            print()
    raise ConnectionLost("the server ended its events early")
