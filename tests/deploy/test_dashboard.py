"""The dashboard asks only for figures that a server has, by labels that they have."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.observe.metrics import Metrics
from tests.helpers.whole import client_of, whole_server

DEPLOY = Path(__file__).parents[2] / "deploy"
HISTOGRAM = ("_bucket", "_count", "_sum")


@pytest.fixture
def dashboard() -> dict[str, Any]:
    content: dict[str, Any] = json.loads((DEPLOY / "grafana" / "spar.json").read_text())
    return content


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    """Every query of every panel."""
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def names_in(expression: str) -> set[str]:
    """The metric names that a query uses."""
    return set(re.findall(r"\b(?:spar|process)_\w+", expression))


def names_of(text: str) -> set[str]:
    """The sample names of what a server answered."""
    names: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE):
        names |= {name + end for end in HISTOGRAM} if kind == "histogram" else {name}
    return names


async def test_every_query_uses_names_that_there_are(
    dashboard: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, migrated_file: Path
) -> None:
    database = Path(shutil.copy(migrated_file, tmp_path / "spar.db"))
    async with whole_server(monkeypatch, tmp_path, database) as app, client_of(app) as client:
        there = names_of((await client.get("/metrics")).text)
    for expression in expressions(dashboard):
        used = names_in(expression)
        assert used, expression
        assert used <= there, expression
    ours = {name for name in there if name.startswith("spar_")}
    shown = set().union(*map(names_in, expressions(dashboard)))
    bases = {re.sub("(_bucket|_count|_sum)$", "", name) for name in ours}
    missing = {base for base in bases if not any(name.startswith(base) for name in shown)}
    assert not missing, "a figure that nobody sees"


def test_labels_that_are_grouped_by_are_labels_of_the_figure(dashboard: dict[str, Any]) -> None:
    labels = {
        f"{metric._name}": set(metric._labelnames)
        for metric in vars(Metrics()).values()
        if hasattr(metric, "_labelnames")
    }
    for expression in expressions(dashboard):
        grouped = re.findall(
            r"by \(([^)]*)\) \((?:rate\()?(\w+?)(?:_total|_bucket|_sum|_count)?\{", expression
        )
        for listed, name in grouped:
            if name in labels:
                wanted = set(re.split(r", *", listed)) - {"le", "instance"}
                assert wanted <= labels[name], expression


def test_panels_are_apart_and_have_a_source_that_can_be_chosen(dashboard: dict[str, Any]) -> None:
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == [
        "Health",
        "Traffic",
        "Search",
        "Engine",
        "Self-play",
    ]
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(dashboard["panels"])))
    assert used == variables


def test_prometheus_scrapes_the_route_that_there_is() -> None:
    [job] = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]
    assert job["metrics_path"] == "/metrics"
