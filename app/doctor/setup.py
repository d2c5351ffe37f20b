"""Checks of the configuration: model, adapters, database, keys, training, traces."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import prod
from pathlib import Path
from urllib.parse import urlsplit

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, make_url, select
from sqlalchemy.exc import ArgumentError

from app.checkpoints.formats import read_model_tensors
from app.config.settings import Settings
from app.db.errors import DriverError, explain
from app.db.session import open_engine
from app.db.upgrade import alembic_config
from app.doctor import Finding, fail, ok, tried, warn
from app.domain.dtype import BYTES, Dtype
from app.errors import ConfigurationError
from app.http_client import is_loopback
from app.keys.policy import check_keys, keys_needed
from app.model_files.resolve import check_model_folder, default_model_folder, resolve_model

DATABASE_SECONDS = 1.5


def model_folder(name: str | None) -> Path | None:
    """The folder of the model, or None if it has to be fetched.

    Raises:
        ConfigurationError: the name is neither a folder nor a hub name.
    """
    if name is None:
        folder = default_model_folder()
        return folder if folder.is_dir() else None
    resolved = Path(resolve_model(name))
    return resolved if resolved.is_dir() else None


def model(name: str | None) -> Finding:
    """Whether the model is usable."""
    try:
        folder = model_folder(name)
        if folder is not None:
            check_model_folder(folder)
    except ConfigurationError as error:
        return fail("model", error.message, "correct SPAR_MODEL")
    if folder is not None:
        return ok("model", str(folder))
    if name is None:
        return ok("model", "embedded; converted at the first start (about 30 s)")
    return warn("model", f"{name} is a hub name", "it is downloaded unless cached")


def weights_gib(folder: Path, dtype: Dtype) -> float:
    """Size of a model's weights in memory, in GiB, in a number type.

    Raises:
        CheckpointRefused: a weights file is damaged.
    """
    numbers = sum(prod(tensor.shape) for tensor in read_model_tensors(folder).values())
    return numbers * BYTES[dtype] / 2**30


def context(folder: Path, context_tokens: int) -> Finding:
    """Whether the model supports this context length."""
    try:
        longest = json.loads((folder / "config.json").read_bytes()).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        longest = None
    if isinstance(longest, int) and context_tokens > longest:
        words = f"{context_tokens} tokens; the model supports {longest}"
        return fail("context", words, f"set SPAR_CONTEXT_TOKENS={longest}")
    return ok("context", f"{context_tokens} tokens")


def adapters(checkpoints: Path, rank: int, count: int) -> Finding:
    """Whether the engine can serve the existing adapters."""
    found = list(_ranks(checkpoints.glob("*/adapter_config.json")))
    if found and not count:
        words = f"{len(found)} checkpoint(s), and the engine serves none"
        return fail("adapters", words, "set SPAR_ADAPTERS=4")
    too_big = [(name, needed) for name, needed in found if needed > rank]
    if too_big:
        name, needed = max(too_big, key=lambda item: item[1])
        words = f"{name} has rank {needed}; the engine allows {rank}"
        return fail("adapters", words, f"set SPAR_ADAPTER_RANK={needed}")
    return ok("adapters", f"{len(found)} checkpoint(s), rank up to {rank}")


def schedule(expression: str | None, *, worker: bool) -> Finding:
    """Whether a worker runs the scheduled iterations."""
    if expression and not worker:
        words = f"`{expression}`, but this server starts no worker"
        return warn("schedule", words, "set SPAR_WORKER=true, or run a worker on another machine")
    return ok("schedule", f"`{expression}`" if expression else "none")


def accelerate(file: Path | None) -> Finding:
    """Whether the configuration file of accelerate is valid."""
    if file is None:
        return ok("training", "one process")
    import yaml

    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        words = f"{file} cannot be read ({type(error).__name__})"
        return fail("training", words, "correct SPAR_ACCELERATE_CONFIG")
    if not isinstance(content, dict) or "distributed_type" not in content:
        words = f"{file} is not written by `accelerate config`"
        return fail("training", words, "run `accelerate config --config_file FILE`")
    return ok("training", f"{content['distributed_type']}, by {file}")


def keys(settings: Settings, *, ready: bool) -> Finding:
    """Whether a key exists if requests need one; `ready`: the database can be queried."""
    if not keys_needed(settings):
        if is_loopback(settings.host):
            return ok("keys", "not needed")
        words = f"off: every client that reaches {settings.host} has full access"
        return warn("keys", words, "unset SPAR_KEYS, and run `spar keys create NAME`")
    if not ready:
        words = f"needed at {settings.host}; the database cannot be queried"
        return warn("keys", words, "see above, then `spar keys create NAME`")
    return tried("keys", "needed, and created", lambda: asyncio.run(check_keys(settings)))


def sleeping(*, wanted: bool, on_cpu: bool) -> Finding:
    """Whether the engine can sleep, if the setting asks for it."""
    if wanted and on_cpu:
        return fail("sleep", "an engine on a CPU cannot sleep", "unset SPAR_SLEEP_WHILE_TRAINING")
    return ok("sleep", "while training" if wanted else "never")


def labelled_pairs(file: Path | None) -> Finding:
    """Whether the file of labelled pairs exists."""
    if file is not None and not file.is_file():
        return fail("pairs", f"there is no file {file}", "correct SPAR_LABELLED_PAIRS")
    return ok("pairs", "none" if file is None else str(file))


def traces(endpoint: str | None) -> Finding:
    """Whether the traces endpoint is a URL and OpenTelemetry is installed."""
    if not endpoint:
        return ok("traces", "off")
    if urlsplit(endpoint).scheme not in ("http", "https") or not urlsplit(endpoint).hostname:
        words = f"{endpoint} is not a URL"
        return fail("traces", words, "write it like SPAR_OTLP_ENDPOINT=http://localhost:4318")
    try:
        import opentelemetry.sdk.trace  # noqa: F401
    except ImportError:
        return fail("traces", "OpenTelemetry is not installed", "install spar[tracing]")
    return ok("traces", f"sent to {endpoint}")


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """State of the database.

    Attributes:
        heads: Its revisions.
        missing: Number of migrations to run; None if the database is newer than this program.
        now: Its clock; None for SQLite.
    """

    heads: frozenset[str]
    missing: int | None
    now: datetime | None


def database(url: str) -> tuple[Finding, DatabaseState | None]:
    """Whether the database answers and has this version's schema."""
    try:
        parsed = make_url(url)
        file = parsed.database or ""
        if parsed.get_backend_name() == "sqlite" and not Path(file).is_file():
            return ok("database", "created at the first start"), None
        state = asyncio.run(_read_state(url))
    except (ConfigurationError, ArgumentError) as error:
        fix = "correct SPAR_DATABASE_URL"
        return fail("database", str(error).split(". ")[0], fix), None
    except DriverError as error:
        fix = "start it, or correct SPAR_DATABASE_URL"
        return fail("database", explain(error).message, fix), None
    except TimeoutError:
        words = f"no answer within {DATABASE_SECONDS} s"
        return fail("database", words, "start it, or correct SPAR_DATABASE_URL"), None
    return migrations(state), state


def migrations(state: DatabaseState) -> Finding:
    """Whether the schema is this version's."""
    if state.missing is None:
        newer = ", ".join(sorted(state.heads))
        return fail("database", f"newer than this spar (revision {newer})", "update spar")
    if state.missing:
        words = f"{state.missing} migration(s) missing"
        return warn("database", words, "run `spar db upgrade`, or start the server")
    return ok("database", f"answers, revision {', '.join(sorted(state.heads))}")


async def _read_state(url: str) -> DatabaseState:
    engine = open_engine(url)
    try:
        async with asyncio.timeout(DATABASE_SECONDS), engine.connect() as connection:
            heads, missing = await connection.run_sync(_revisions)
            now = None
            if connection.dialect.name != "sqlite":
                now = await connection.scalar(select(func.now()))
    finally:
        await engine.dispose()
    return DatabaseState(heads, missing, now and now.astimezone(UTC))


def _revisions(connection: Connection) -> tuple[frozenset[str], int | None]:
    """The database's revisions, and the number of missing migrations."""
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    heads = frozenset(MigrationContext.configure(connection).get_current_heads())
    known = {script.revision for script in scripts.walk_revisions()}
    if not heads <= known:
        return heads, None
    done = {script.revision for head in heads for script in scripts.iterate_revisions(head, "base")}
    return heads, len(known - done)


def _ranks(files: Iterable[Path]) -> Iterable[tuple[str, int]]:
    for file in files:
        try:
            rank = json.loads(file.read_bytes())["r"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # loading a damaged checkpoint reports the reason
        if isinstance(rank, int):
            yield file.parent.name, rank
