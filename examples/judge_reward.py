"""The judge as a reward function for TRL's GRPOTrainer.

`reward` has the shape that `GRPOTrainer(reward_funcs=...)` calls: lists of prompts and completions
in conversational form, one float per completion. Further columns of the dataset, such as
`constraints`, arrive as keyword arguments, one entry per completion. In training:

    GRPOTrainer(model=..., reward_funcs=reward, train_dataset=...)
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

URL = os.environ.get("SPAR_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("SPAR_API_KEY", "none")

Messages = list[dict[str, str]]


def reward(
    prompts: Sequence[Messages],
    completions: Sequence[Messages],
    constraints: Sequence[list[dict[str, Any]]] | None = None,
    **_: Any,
) -> list[float]:
    """Return the share of yes votes for each completion, 0 where a constraint is not met.

    Args:
        prompts: the conversations, each ending with the user's message.
        completions: the answers to them, each a list with one assistant message.
        constraints: what a program checks about each answer; none where left out.

    Raises:
        httpx.HTTPError: the server refused, or cannot be reached.
    """
    checked = constraints or [[] for _ in completions]
    headers = {"authorization": f"Bearer {KEY}"}
    with httpx.Client(base_url=URL, timeout=300, headers=headers) as client:

        def judged(prompt: Messages, completion: Messages, checks: list[dict[str, Any]]) -> float:
            response = client.post(
                "/judge",
                json={
                    "messages": prompt,
                    "response": completion[0]["content"],
                    "constraints": checks,
                },
            )
            judgment = response.raise_for_status().json()
            met = all(constraint["satisfied"] for constraint in judgment["constraints"])
            return float(judgment["value"] or 0) if met else 0.0

        # The server judges them side by side; what it has no room for waits in its queue.
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(judged, prompts, completions, checked))


def main() -> None:
    """Print the reward of three answers to the same prompt."""
    prompt = [{"role": "user", "content": "Name the capital of France in at most five words."}]
    short = {
        "id": "length_constraints:number_words",
        "kwargs": {"relation": "at most", "num_words": 5},
    }
    answers = ["Paris", "I do not know.", "The capital of France is the city of Paris."]
    completions = [[{"role": "assistant", "content": answer}] for answer in answers]
    rewards = reward([prompt] * 3, completions, constraints=[[short]] * 3)
    for answer, value in zip(answers, rewards, strict=True):
        print(f"{value:.2f}  {answer}")


if __name__ == "__main__":
    main()
