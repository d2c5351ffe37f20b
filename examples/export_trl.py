"""The training data of an iteration, in TRL's formats, loaded with `datasets`.

The actor's samples are preference pairs (`prompt`, `chosen`, `rejected`: DPOTrainer), the
refiner's are dialogues (`messages`: SFTTrainer). `spar export` writes the same files. Run an
iteration first (`spar iterate --preset micro`); its id is the argument, else the newest is taken.
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from datasets import Dataset, disable_progress_bars

URL = os.environ.get("SPAR_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("SPAR_API_KEY", "none")


def samples(client: httpx.Client, iteration: str, role: str) -> Iterator[dict[str, Any]]:
    """Yield what a role was trained on, page by page.

    Raises:
        httpx.HTTPError: the server refused, or cannot be reached.
    """
    query: dict[str, str | int] | None = {"role": role, "limit": 200}
    while query:
        answer = client.get(f"/admin/iterations/{iteration}/samples", params=query)
        page = answer.raise_for_status().json()
        yield from (sample["content"] for sample in page["samples"])
        cursor = page["next_cursor"]
        query = None if cursor is None else {**query, "cursor": cursor}


def main() -> None:
    """Export both roles' data and print what `datasets` reads from it."""
    disable_progress_bars()
    headers = {"authorization": f"Bearer {KEY}"}
    with (
        httpx.Client(base_url=URL, timeout=60, headers=headers) as client,
        TemporaryDirectory() as folder,
    ):
        iterations = client.get("/admin/iterations").raise_for_status().json()["iterations"]
        finished = [each["id"] for each in iterations if each["status"] == "succeeded"]
        wanted = sys.argv[1:] or finished[:1]
        if not wanted:
            raise SystemExit("No iteration has finished yet: run `spar iterate --preset micro`.")
        print(f"iteration {wanted[0]}")
        for role in ("actor", "refiner"):
            file = Path(folder, f"{role}.jsonl")
            lines = [json.dumps(row) + "\n" for row in samples(client, wanted[0], role)]
            print(f"\n{role}: {len(lines)} samples")
            if lines:
                file.write_text("".join(lines), encoding="utf-8")
                dataset = Dataset.from_json(str(file))
                print(dataset)
                print(json.dumps(dataset[0], indent=2)[:600])


if __name__ == "__main__":
    main()
