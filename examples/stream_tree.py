"""A search tree, printed as it grows.

With `stream` the answer is server-sent events: `start`, `node` when a node has its text, `judged`
when it has its votes, `accepted` for the one that ends the search, then `final` with the whole
answer, or `error`. Each event is two lines, `event: NAME` and `data: JSON`.
"""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

URL = os.environ.get("SPAR_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("SPAR_API_KEY", "none")

REQUEST = {
    "prompt": "Write a slogan for a tea shop.",
    "mode": "bfs",
    "stream": True,
    "search": {"branch": 2, "beam": 2, "depth": 2},
    "sampling": {"max_tokens": 32, "seed": 3},
    "constraints": [
        {
            "id": "length_constraints:number_words",
            "kwargs": {"relation": "at most", "num_words": 8},
        }
    ],
}


def events(request: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the data of each event of a search.

    Raises:
        urllib.error.URLError: the server refused, or cannot be reached.
    """
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    call = Request(f"{URL}/generate", json.dumps(request).encode(), headers)
    name = ""
    with urlopen(call, timeout=600) as response:
        for line in response:  # bytes, whose lines end with \n: text has more kinds of line ends
            field, _, value = line.decode().rstrip("\r\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                yield name, json.loads(value)


def main() -> None:
    """Print each node when it is judged, indented by its depth."""
    for name, data in events(REQUEST):
        match name:
            case "judged":
                text = " ".join(data["text"].split())[:60]
                mark = "accepted" if data["accepted"] else "rejected"
                print(f"{'  ' * data['depth']}{data['kind']} {data['id']}", end="")
                print(f" (of {data['parent']})  {data['value']:.2f} {mark}  {text}", flush=True)
            case "final":
                print(f"\n{data['response']}\nstopped: {data['stop_reason']}", end="")
                print(f", {data['usage']['nodes']} nodes in {data['timing_ms'] / 1000:.1f} s")
            case "error":
                raise SystemExit(f"error: {data['message']}")


if __name__ == "__main__":
    main()
