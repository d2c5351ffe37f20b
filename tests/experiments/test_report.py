"""A report as Markdown, as compressed JSON, and as plots in a folder."""

import gzip
import json
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.evaluation.base import Metric
from experiments import report
from experiments.report import Line, Plot, Report, Table, markdown, point, require_matplotlib, write

HALF = Metric("right", 0.5, 0.25, 0.75, 8)
LINE = Line("bfs", [point(1, HALF), point(2, HALF)])
REPORT = Report(
    name="some",
    title="Some experiment",
    shows="A table of the paper.",
    facts=[("seed", "7")],
    tables=[
        Table("By mode", [{"mode": "bfs", "right": HALF, "p": 0.0421, "n": 1200, "none": None}])
    ],
    plots=[Plot("some-plot", "By mode", "generations", [LINE])],
    notes=["Read this."],
)


def test_figures_are_shown_with_their_intervals() -> None:
    text = markdown(REPORT)
    assert "| mode | right | p | n | none |" in text
    assert "| bfs | 50.0% (25.0% to 75.0%) | 0.0421 | 1,200 |  |" in text
    assert "![By mode](some-plot.png)" in text
    assert "* Read this." in text
    assert "| seed | 7 |" in text


def test_a_report_becomes_files(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "some"
    written = write(REPORT, folder)
    assert [file.name for file in written] == [
        "some.md",
        "some.json.gz",
        "some-plot.png",
    ]
    values = json.loads(gzip.decompress((folder / "some.json.gz").read_bytes()))
    assert values["tables"][0]["rows"][0]["right"]["low"] == 0.25
    assert values["plots"][0]["lines"][0]["points"][1]["x"] == 2
    assert (folder / "some-plot.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_report_becomes_the_same_files(tmp_path: Path) -> None:
    first = [file.read_bytes() for file in write(REPORT, tmp_path)]
    assert [file.read_bytes() for file in write(REPORT, tmp_path)] == first


def test_a_table_without_rows_is_written_too(tmp_path: Path) -> None:
    empty = Report("none", "None", "Nothing.", [], [Table("Empty", [])])
    assert write(empty, tmp_path)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(ConfigurationError, match="cannot write to"):
        write(REPORT, file / "folder")


def test_missing_matplotlib_is_an_error_before_the_experiment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="extra `experiments`"):
        require_matplotlib()
