"""The files for `accelerate launch`, as far as they can be checked without their machines."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser

from app.doctor import Level, setup

FILES = sorted((Path(__file__).parents[2] / "deploy" / "accelerate").glob("*.yaml"))
OPTIONS = set(vars(launch_command_parser().parse_args(["script"])))
"""What `accelerate launch` knows; of FSDP and DeepSpeed a file has the same names."""


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_accelerate_reads_the_file_and_knows_every_name_in_it(file: Path) -> None:
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    # It raises ValueError for a name of the file itself that it does not know.
    loaded = load_config_from_file(str(file))
    assert loaded.num_processes == content["num_processes"]
    for method in ("fsdp_config", "deepspeed_config"):
        assert set(content.get(method, {})) <= OPTIONS
    assert setup.accelerate(file).level is Level.OK
