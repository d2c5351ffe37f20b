"""Settings: command-line options over environment variables over `.env` over defaults."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.domain.checkpoint import Role
from app.domain.dtype import Dtype
from app.domain.iteration import PRESETS
from app.domain.search import QuickVerdictRule
from app.errors import ConfigurationError

PREFIX = "SPAR_"
ENV_FILE = ".env"

Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
PositiveInt = Annotated[int, Field(ge=1)]
RANKS = (8, 16, 32, 64, 128, 256)
"""Adapter ranks that vLLM can allocate (`LoRAConfig.max_lora_rank`)."""


def _cron_expression(text: str | None) -> str | None:
    if not text:
        return None
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(text, datetime.now(UTC)))
    except CronSimError as error:
        example = "write it like '0 3 * * *' (minute, hour, day, month, weekday)"
        raise ValueError(f"not a cron expression: {error}; {example}") from error
    except StopIteration as error:
        raise ValueError("the expression matches no date") from error
    return text


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"unknown preset: use one of {', '.join(PRESETS)}")
    return name


def _rank(rank: int) -> int:
    if rank not in RANKS:
        raise ValueError(f"must be one of {', '.join(map(str, RANKS))}")
    return rank


def _address_list(given: object) -> object:
    """The addresses of a comma-separated or JSON list."""
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return json.loads(given)
    return [address.strip() for address in given.split(",") if address.strip()]


def _json_object(given: object) -> object:
    return (json.loads(given) if given.strip() else {}) if isinstance(given, str) else given


Rank = Annotated[int, AfterValidator(_rank)]
Cron = Annotated[str | None, AfterValidator(_cron_expression)]
PresetName = Annotated[str, AfterValidator(_preset)]
Addresses = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_address_list)]
Arguments = Annotated[dict[str, Any], NoDecode, BeforeValidator(_json_object)]


EVERYWHERE = ("0.0.0.0", "::", "")
"""Hosts that mean every address of a machine."""

RENAMED = {
    "BACKGROUND_CALLS_BESIDE_PEOPLE": "BACKGROUND_CALLS_BUSY",
    "FIRST_LOOK_CRITIQUES": "QUICK_VERDICT_CRITIQUES",
    "FIRST_LOOK_HIGH": "QUICK_VERDICT_HIGH",
    "FIRST_LOOK_LOW": "QUICK_VERDICT_LOW",
    "PATIENCE_SECONDS": "SERVER_RETRY_SECONDS",
}
"""Settings of earlier versions and their names now, without the prefix."""

OTHER_VARIABLES = frozenset(
    {"CACHE", "PARENT_PID", "SERVER_PID", "TEST_POSTGRES", "URL", "WORKER_PID"}
)
"""Variables that are no settings: of the command line, model files, child processes and tests."""


class Settings(BaseSettings):
    """Settings of one server process; `docs/configuration.md` is generated from this class."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(
        Path("data"), description="Folder of the SQLite database and the checkpoints."
    )
    database_url: str | None = Field(
        None,
        description="URL of the database, such as `postgresql://user:password@host/name`; empty"
        " means the SQLite file `spar.db` in `data`.",
    )

    keys: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether requests need an API key: `auto` requires one unless `host` is a"
        " loopback address, `required` always, `off` never. See docs/keys.md.",
    )
    api_key: str | None = Field(
        None,
        repr=False,
        description="API key that the worker and the command line send. The worker started by a"
        " server gets one from it.",
    )
    metrics_key: bool = Field(
        False, description="Whether `/metrics` requires a key too, where keys are required."
    )

    model: str | None = Field(
        None,
        description="Model folder or hub name; empty means the embedded SmolLM2-135M-Instruct.",
    )
    dtype: Dtype = Field(
        "auto",
        description="Number type of serving and training; `auto` takes float32 on a CPU without"
        " bfloat16 instructions, bfloat16 on one that has them, and on a GPU the model's own to"
        " serve and bfloat16 to train. With float32 a seed gives the same tree also under load.",
    )
    context_tokens: PositiveInt = Field(
        4096, description="Context length: prompt and completion together, in tokens."
    )
    kv_cache_gib: float = Field(
        2.0, gt=0, description="Memory for the KV cache on a CPU engine, in GiB."
    )
    gpu_memory_utilization: Fraction = Field(
        0.9, description="Fraction of the GPU's memory the engine may use."
    )
    block_size: PositiveInt = Field(32, description="Tokens per prefix-cache block.")
    max_num_seqs: PositiveInt = Field(
        64, description="Most sequences that the engine decodes in one batch."
    )
    compile: bool = Field(
        False,
        description="Compile the model at start: a slower start, and faster decoding on a GPU.",
    )

    engine_args: Arguments = Field(
        {},
        description="Further arguments of vLLM's `AsyncEngineArgs`, as a JSON object, such as"
        ' `{"tensor_parallel_size": 2}`.',
    )
    engines: Addresses = Field(
        (),
        description="Comma-separated addresses of `vllm serve` processes, used instead of an engine"
        " in this process. See docs/scaling.md.",
    )
    actor_engines: Addresses = Field(
        (), description="The same for the actor alone; requires `refiner_engines`."
    )
    refiner_engines: Addresses = Field(
        (), description="The same for the refiner alone; requires `actor_engines`."
    )
    engines_key: str | None = Field(
        None, repr=False, description="API key (`--api-key`) of these processes."
    )

    separate_engines: bool = Field(
        False,
        description="Run one engine per role: required by full checkpoints; doubles the memory.",
    )
    adapters: int = Field(
        4,
        ge=0,
        description="LoRA adapters in one batch; two versions of two roles need 4. 0 serves the"
        " base model only, slightly faster.",
    )
    adapter_rank: Rank = Field(16, description="Highest LoRA rank: 8, 16, 32, 64, 128 or 256.")
    adapter_targets: tuple[str, ...] | None = Field(
        None,
        description="Linear layers that may have an adapter, as a JSON list; empty means o_proj and"
        " down_proj on a CPU, where each layer costs time, and all on a GPU.",
    )

    swap_seconds: float = Field(
        0.5, gt=0, description="Seconds between polls for promoted checkpoints."
    )
    drain_seconds: float = Field(
        60.0,
        ge=0,
        description="Drain timeout in seconds: how long running requests may finish before full"
        " weights are reloaded or the engine sleeps.",
    )
    keep_versions: PositiveInt = Field(
        3,
        description="Promoted versions of each role that stay loaded for an instant roll back.",
    )

    max_running: PositiveInt = Field(64, description="Most requests that run at the same time.")
    max_waiting: int = Field(256, ge=0, description="Most queued requests; further ones get 429.")
    background_calls: PositiveInt = Field(
        48, description="Concurrent background calls (the worker's) while no request is active."
    )
    background_calls_busy: PositiveInt = Field(
        6, description="Concurrent background calls while requests are active."
    )
    max_body_bytes: PositiveInt = Field(1_048_576, description="Largest request body, in bytes.")
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="Seconds between heartbeats of an event stream."
    )
    shutdown_seconds: PositiveInt = Field(
        30, description="Seconds that running requests may take to finish after SIGTERM."
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="Log format: `text`, or `json` with one object per line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="Lowest log level; `info` logs every request."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry receiver (OTLP over HTTP) for traces, such as"
        " `http://localhost:4318`; empty means no traces.",
    )

    max_tokens: PositiveInt = Field(512, description="Default length limit of a response.")
    max_nodes: PositiveInt = Field(64, description="Default and upper limit of nodes per search.")
    max_seconds: PositiveInt = Field(
        3600, description="Default and upper limit of a search's seconds, queueing included."
    )
    response_temperature: Temperature = Field(
        0.9, description="Default temperature of responses; greedy mode uses 0."
    )
    response_top_p: float = Field(0.9, gt=0, le=1, description="Default top-p of responses.")
    vote_temperature: Temperature = Field(0.7, description="Temperature of votes.")
    critique_tokens: PositiveInt = Field(64, description="Length limit of one vote's critique.")
    quick_verdict_low: Fraction = Field(
        0.1, description="With `search.quick_verdict`, a P(yes) below this rejects without votes."
    )
    quick_verdict_high: Fraction = Field(
        0.9,
        validate_default=True,
        description="With `search.quick_verdict`, a P(yes) of this or more accepts without votes.",
    )
    quick_verdict_critiques: bool = Field(
        False,
        description="With `search.quick_verdict`, write a critique before refining a response that"
        " only a constraint rejected; otherwise the refiner gets the constraint's message alone.",
    )
    refine_temperature: Temperature = Field(0.7, description="Temperature of refinements.")
    check_seconds: float = Field(5.0, gt=0, description="Time limit of one constraint check.")
    check_processes: PositiveInt = Field(1, description="Processes that check constraints.")

    store: Literal["full", "redacted", "none"] = Field(
        "full",
        description="What is stored of searches: everything, everything but texts, or nothing.",
    )
    record_prompts: bool = Field(
        False, description="Store the prompts of requests as prompts for self-play."
    )
    schedule: Cron = Field(
        None,
        description="Cron expression in UTC by which the worker starts iterations, such as"
        " `0 3 * * *` for every night at three; empty means never.",
    )
    schedule_preset: PresetName = Field("tiny", description="Preset of scheduled iterations.")

    worker: bool = Field(
        True, description="Run the self-play worker as a child process of the server."
    )
    worker_url: str | None = Field(
        None,
        description="Server that the worker calls; empty means the one at `host` and `port`.",
    )
    lease_seconds: float = Field(
        15.0, ge=1, description="Seconds after which another worker takes over from one that died."
    )
    server_retry_seconds: float = Field(
        900.0, gt=0, description="How long the worker retries calls to an unavailable server."
    )
    accelerate_config: Path | None = Field(
        None,
        description="File written by `accelerate config`, for training; empty means one process.",
    )
    labelled_pairs: Path | None = Field(
        None,
        description="File of labelled pairs (JSON lines with instruction, output_1, output_2 and"
        " label) on which refiners are evaluated too.",
    )
    training_niceness: int = Field(
        10, ge=0, le=19, description="`nice` value of the trainer's processes."
    )
    sleep_while_training: bool = Field(
        False,
        description="Have the engine sleep and free its GPU memory while the trainer runs; requests"
        " get 503 meanwhile. See docs/scaling.md.",
    )

    @field_validator("record_prompts")
    @classmethod
    def _store_allows(cls, record: bool, info: ValidationInfo) -> bool:
        if record and info.data.get("store", "full") != "full":
            raise ValueError("requires SPAR_STORE=full: prompts are texts")
        return record

    @model_validator(mode="after")
    def _engines_for_both(self) -> "Settings":
        if bool(self.actor_engines) != bool(self.refiner_engines):
            raise ValueError(
                "SPAR_ACTOR_ENGINES and SPAR_REFINER_ENGINES must be set together; SPAR_ENGINES"
                " names servers of both roles"
            )
        if self.engines and self.actor_engines:
            raise ValueError("set either SPAR_ENGINES, for both roles, or one list per role")
        if self.remote_engines and (self.separate_engines or self.engine_args):
            raise ValueError(
                "SPAR_SEPARATE_ENGINES and SPAR_ENGINE_ARGS configure an engine in this process,"
                " which SPAR_ENGINES replaces"
            )
        if self.remote_engines and self.sleep_while_training:
            raise ValueError(
                "SPAR_SLEEP_WHILE_TRAINING requires an engine in this process, not SPAR_ENGINES"
            )
        return self

    @field_validator("quick_verdict_high")
    @classmethod
    def _not_below_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("quick_verdict_low", 0.0)
        if high < low:
            raise ValueError(f"must not be below quick_verdict_low, which is {low}")
        return high

    @property
    def quick_verdict(self) -> QuickVerdictRule:
        """The thresholds of quick verdicts."""
        return QuickVerdictRule(
            self.quick_verdict_low, self.quick_verdict_high, self.quick_verdict_critiques
        )

    @property
    def remote_engines(self) -> Mapping[Role, tuple[str, ...]]:
        """Addresses of each role's remote engines; empty for an engine in this process."""
        if self.actor_engines:
            return {Role.ACTOR: self.actor_engines, Role.REFINER: self.refiner_engines}
        return dict.fromkeys(Role, self.engines) if self.engines else {}

    @property
    def server_url(self) -> str:
        """URL of the server that the worker calls."""
        return self.worker_url or f"http://{reachable(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """Database URL: the configured one, else the SQLite file in `data`."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data / 'spar.db').absolute()}"


def reachable(host: str) -> str:
    """Host by which this machine reaches a server that listens on `host`."""
    if host in EVERYWHERE:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def advertised(host: str) -> str:
    """Host by which other machines reach a server that listens on `host` of this one."""
    return gethostname() if host in EVERYWHERE else reachable(host)


def settings_from(**options: object) -> Settings:
    """The settings, with the options that are not None over the environment.

    Raises:
        ConfigurationError: a variable is unknown, or a value is invalid; names the first one.
    """
    check_variables()
    overrides = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate(overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain(error.errors(include_url=False)[0], overrides)) from error


def check_variables() -> None:
    """Check that every `SPAR_...` variable, of the environment or of `.env`, has a meaning.

    Raises:
        ConfigurationError: names the variable, and its new name or the most similar one.
    """
    known = {name.upper() for name in Settings.model_fields} | OTHER_VARIABLES
    for variable in sorted({*os.environ, *dotenv_values(ENV_FILE)}):
        name = variable.upper().removeprefix(PREFIX)
        if name == variable.upper() or name in known:
            continue
        if successor := RENAMED.get(name):
            raise ConfigurationError(f"{variable} has been renamed to {PREFIX}{successor}")
        similar = get_close_matches(name, known, n=1)
        hint = f"did you mean {PREFIX}{similar[0]}?" if similar else "see docs/configuration.md"
        raise ConfigurationError(f"{variable} is not a setting: {hint}")


def _explain(problem: ErrorDetails, overrides: dict[str, object]) -> str:
    reason = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return reason
    name = str(problem["loc"][0])
    source = "--" + name.replace("_", "-") if name in overrides else f"{PREFIX}{name.upper()}"
    return f"{source} is set to {problem['input']!r}: {reason}"
