"""Constraints that a program checks, met by searching instead of by hoping.

`GET /constraints` lists every id with its arguments. What fails a check is not accepted, whatever
the judge says, and the message of the check is what the refiner rewrites the answer by.
"""

import os

import httpx

URL = os.environ.get("SPAR_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("SPAR_API_KEY", "none")

REQUEST = {
    "prompt": "Describe the sea in one sentence of at most 15 words, without a comma.",
    "constraints": [
        {
            "id": "length_constraints:number_words",
            "kwargs": {"relation": "at most", "num_words": 15},
        },
        {"id": "punctuation:no_comma"},
        {"id": "regex", "kwargs": {"pattern": "[Ss]ea"}},
    ],
    "sampling": {"max_tokens": 48, "seed": 5},
}


def main() -> None:
    """Answer one instruction greedily and by tree search, and print what was checked."""
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=URL, timeout=600, headers=headers) as client:
        print(f"{len(client.get('/constraints').raise_for_status().json())} kinds of constraints")
        for mode in ("greedy", "bfs"):
            answer = client.post("/generate", json={"mode": mode, **REQUEST})
            found = answer.raise_for_status().json()
            print(f"\n{mode}: {found['response']}")
            for constraint in found["constraints"]:
                mark = "met    " if constraint["satisfied"] else "not met"
                print(f"  {mark}  {constraint['id']}: {constraint['message']}")
            usage = found["usage"]
            print(f"  {usage['nodes']} nodes, {usage['completion_tokens']} tokens")


if __name__ == "__main__":
    main()
