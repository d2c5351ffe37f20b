"""lm-eval's IFEval scoring in a separate process: `python -m tests.helpers.lm_eval_scores`.

Reads a JSON array of published rows, each with a `response`, and writes for each what lm-eval's
`process_results` says. In a process of its own, because of what it does to the modules:

* lm-eval downloads NLTK's tables when its scoring is imported and does not find them. Importing
  `app.constraints.library` first has NLTK take the same tables from a package, and nothing is
  downloaded. That module also seeds langdetect, which otherwise guesses differently every time.
* `lm_eval.tasks` imports every kind of task and metric, for many seconds. The scoring needs none
  of it, so a bare package with the same path stands in for it; what scores is lm-eval's own file.
"""

import json
import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def main() -> None:
    """Score standard input to standard output."""
    import_module("app.constraints.library")
    found = find_spec("lm_eval")
    assert found is not None
    assert found.submodule_search_locations is not None
    tasks = ModuleType("lm_eval.tasks")
    tasks.__path__ = [f"{place}/tasks" for place in found.submodule_search_locations]
    sys.modules["lm_eval.tasks"] = tasks
    scoring = import_module("lm_eval.tasks.ifeval.utils")
    rows = json.load(sys.stdin)
    scores = [scoring.process_results(row, [row["response"]]) for row in rows]
    sys.stdout.write("\n" + json.dumps(scores))


if __name__ == "__main__":
    main()
