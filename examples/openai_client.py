"""The OpenAI client, once answered greedily and once by search.

The model `actor` answers plainly; `actor:best_of_n`, `actor:bfs` and the like search, with the
options of the search in `extra_body`. The answer then carries a field `search`.
"""

import os

from openai import OpenAI

URL = os.environ.get("SPAR_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("SPAR_API_KEY", "none")


def main() -> None:
    """Ask the same question twice and print both answers."""
    client = OpenAI(base_url=f"{URL}/v1", api_key=KEY)
    print("models:", ", ".join(model.id for model in client.models.list()))
    for model, search in (("actor", None), ("actor:best_of_n", {"search": {"n": 3}})):
        answer = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": "Name three rivers of Europe."}],
            max_tokens=48,
            seed=7,
            extra_body=search,
        )
        print(f"\n{model}: {answer.choices[0].message.content}")
        found = (answer.model_extra or {}).get("search")
        if found:
            print(f"value {found['value']}, stopped: {found['stop_reason']}")
        if answer.usage:
            print(f"{answer.usage.completion_tokens} tokens")


if __name__ == "__main__":
    main()
