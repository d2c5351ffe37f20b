"""lm-eval drives the OpenAI endpoint unchanged: plain answers, and searched ones."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.server import Server

pytestmark = pytest.mark.engine

TASK = """\
task: capitals
dataset_path: json
dataset_kwargs:
  data_files:
    test: {questions}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}} Answer in one word."
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: []
  max_gen_toks: 12
filter_list:
  - name: found
    filter:
      - function: regex
        regex_pattern: "(Paris|Rome)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
QUESTIONS = [
    {"question": "What is the capital of France?", "answer": "Paris"},
    {"question": "What is the capital of Italy?", "answer": "Rome"},
]


@pytest.mark.parametrize(("model", "least"), [("actor", 1.0), ("actor:bfs", 0.0)])
def test_lm_eval_measures_a_served_model(
    server: Server, tmp_path: Path, model: str, least: float
) -> None:
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(map(json.dumps, QUESTIONS)))
    (tmp_path / "capitals.yaml").write_text(TASK.format(questions=questions))
    found = subprocess.run(
        [
            *(sys.executable, "-m", "lm_eval", "run", "--model", "local-chat-completions"),
            *("--model_args", f"model={model},base_url={server.url}/v1/chat/completions"),
            *("--tasks", "capitals", "--include_path", str(tmp_path), "--apply_chat_template"),
            *("--output_path", str(tmp_path / "out")),
        ],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
    )
    assert found.returncode == 0, found.stderr[-3000:]
    (results,) = (tmp_path / "out").rglob("results_*.json")
    found_out = json.loads(results.read_text())
    assert found_out["n-samples"]["capitals"]["effective"] == len(QUESTIONS)
    # The small model knows both capitals; a search may prefer another answer.
    assert found_out["results"]["capitals"]["exact_match,found"] >= least
