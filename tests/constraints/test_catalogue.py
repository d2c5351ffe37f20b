import json
import subprocess
import sys

from app.constraints.catalogue import KINDS, catalogue
from app.constraints.kinds import LANGUAGES, language_name

ASK_THE_LIBRARY = """
import inspect, json
from app.constraints import library
from if_verifiable.ifeval.instructions_util import LANGUAGE_CODES
takes = {
    name: sorted(
        parameter.name
        for parameter in inspect.signature(checker.build_description).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    )
    for name, checker in library._CHECKERS.items()
}
print(json.dumps({"takes": takes, "languages": dict(LANGUAGE_CODES)}))
"""


def test_agrees_with_the_library() -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ASK_THE_LIBRARY], check=True, capture_output=True, text=True
    )
    library = json.loads(answer.stdout)
    ours = {kind.id: sorted(kind.kwargs) for kind in catalogue()}
    ours = {name: takes for name, takes in ours.items() if name not in ("json_schema", "regex")}
    without_data = {"ratio:stop_words", "words:start_verb"}
    assert ours == {n: takes for n, takes in library["takes"].items() if n not in without_data}
    assert {code: language_name(code) for code in LANGUAGES} == library["languages"]


def test_every_kind_is_described_with_types() -> None:
    kinds = {kind.id: kind for kind in catalogue()}
    assert list(kinds) == list(KINDS)
    assert all(kind.description for kind in kinds.values())
    words = kinds["length_constraints:number_words"].kwargs
    assert words["num_words"] == {"type": "integer", "minimum": 0, "maximum": 1_000_000}
    assert words["relation"]["enum"] == ["less than", "at least", "at most"]
    assert kinds["json_schema"].kwargs["schema"]["type"] == "object"
    assert "default" in kinds["regex"].kwargs["match"]


def test_the_server_side_loads_neither_the_library_nor_an_engine() -> None:
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, app.constraints.checker; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert {"if_verifiable", "nltk", "langdetect", "torch", "vllm"}.isdisjoint(loaded)
    assert "app.constraints.checker" in loaded
