"""Settings of a process: what is given to it wins over the environment."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal

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

Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
PositiveInt = Annotated[int, Field(ge=1)]
RANKS = (8, 16, 32, 64, 128, 256)
"""What vLLM can set aside for an adapter."""


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
        raise ValueError("this moment never comes") from error
    return text


def _preset(name: str) -> str:
    if name not in PRESETS:
        raise ValueError(f"there is no such preset: use one of {', '.join(PRESETS)}")
    return name


def _rank(rank: int) -> int:
    if rank not in RANKS:
        raise ValueError(f"the engine knows {', '.join(map(str, RANKS))}")
    return rank


def _address_list(given: object) -> object:
    """Addresses with commas between them, or as a JSON list."""
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
"""Hosts that stand for every address of a machine."""


class Settings(BaseSettings):
    """Settings of one server process; `docs/configuration.md` is generated from this class."""

    model_config = SettingsConfigDict(
        env_prefix="SPAR_", env_file=".env", env_ignore_empty=True, extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(Path("data"), description="Folder of the database and the checkpoints.")
    database_url: str | None = Field(
        None,
        description="URL of the database, such as `postgresql://user:password@host/name`; empty"
        " means the SQLite file `spar.db` in `data`.",
    )

    keys: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Whether requests need a key: `auto` asks for one as soon as `host` is not"
        " this machine alone, `required` always, `off` never. See docs/keys.md.",
    )
    api_key: str | None = Field(
        None,
        repr=False,
        description="Key that the worker shows to a server that asks for one; the command line"
        " reads the same variable. The worker beside a server needs none.",
    )
    metrics_key: bool = Field(
        False, description="Whether `/metrics` needs a key too, where keys are needed."
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
        4096, description="Longest prompt and completion together, in tokens."
    )
    kv_cache_gib: float = Field(
        2.0, gt=0, description="Memory for the KV cache on a CPU engine, in GiB."
    )
    gpu_memory_utilization: Fraction = Field(
        0.9, description="Share of the GPU's memory the engine may use."
    )
    block_size: PositiveInt = Field(
        32, description="Tokens per prefix-cache block; prompts share whole blocks."
    )
    max_num_seqs: PositiveInt = Field(
        64, description="Sequences the engine decodes at the same time."
    )
    compile: bool = Field(
        False, description="Compile the model at start (slower start; a GPU gains from it)."
    )

    engine_args: Arguments = Field(
        {},
        description="More arguments of vLLM's engine (`AsyncEngineArgs`), as a JSON object, such as"
        ' `{"tensor_parallel_size": 2}`.',
    )
    engines: Addresses = Field(
        (),
        description="Addresses of `vllm serve` processes, with commas between them: they run the"
        " models instead of an engine in this process. See docs/scaling.md.",
    )
    actor_engines: Addresses = Field(
        (), description="The same for the actor alone; together with `refiner_engines`."
    )
    refiner_engines: Addresses = Field(
        (), description="The same for the refiner alone; together with `actor_engines`."
    )
    engines_key: str | None = Field(
        None, repr=False, description="Key (`--api-key`) that these servers ask for."
    )

    separate_engines: bool = Field(
        False,
        description="Run one engine for each role: needed for full checkpoints, and twice the"
        " memory.",
    )
    adapters: int = Field(
        4,
        ge=0,
        description="Adapters (LoRA) that one batch may mix; two versions of two roles need 4."
        " 0 serves the base model only, a little faster.",
    )
    adapter_rank: Rank = Field(
        16, description="Highest rank of an adapter: 8, 16, 32, 64, 128 or 256."
    )
    adapter_targets: tuple[str, ...] | None = Field(
        None,
        description="Linear layers that may have an adapter, as a JSON list; empty means o_proj"
        " and down_proj on a CPU, where each layer costs time, and all on a GPU.",
    )

    swap_seconds: float = Field(
        0.5, gt=0, description="Pause between looks at which checkpoints are promoted."
    )
    drain_seconds: float = Field(
        60.0,
        ge=0,
        description="How long running requests may finish before full weights are replaced, for"
        " which new ones wait, or before the engine sleeps.",
    )
    keep_versions: PositiveInt = Field(
        3,
        description="Promoted versions of each role that stay loaded, so that rolling back takes"
        " no time.",
    )

    max_running: PositiveInt = Field(64, description="Requests worked on at the same time.")
    max_waiting: int = Field(
        256, ge=0, description="Requests that may wait for their turn; more get 429."
    )
    background_calls: PositiveInt = Field(
        48, description="Background calls run at the same time while nobody asks."
    )
    background_calls_beside_people: PositiveInt = Field(
        6, description="Background calls run at the same time while somebody does."
    )
    max_body_bytes: PositiveInt = Field(1_048_576, description="Largest request body, in bytes.")
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="Pause between heartbeats of an event stream."
    )
    shutdown_seconds: PositiveInt = Field(
        30, description="How long running requests may finish after SIGTERM."
    )

    log_format: Literal["text", "json"] = Field(
        "text", description="How log lines look: `text` for people, `json` one object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", description="Least level that is logged; `info` has a line for each request."
    )
    otlp_endpoint: str | None = Field(
        None,
        description="OpenTelemetry receiver (OTLP over HTTP) for traces, such as"
        " `http://localhost:4318`; empty means no traces.",
    )

    max_tokens: PositiveInt = Field(512, description="Default length limit of a response.")
    max_nodes: PositiveInt = Field(64, description="Default and upper limit of nodes per search.")
    max_seconds: PositiveInt = Field(
        3600, description="Default and upper limit of a search's seconds, its wait included."
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
        description="With `search.quick_verdict`, write a critique before rewriting a response that"
        " only a program rejected; otherwise the program's finding has to do.",
    )
    refine_temperature: Temperature = Field(0.7, description="Temperature of refinements.")
    check_seconds: float = Field(5.0, gt=0, description="Time limit of one constraint check.")
    check_processes: PositiveInt = Field(1, description="Processes that check constraints.")

    store: Literal["full", "redacted", "none"] = Field(
        "full",
        description="What is kept of people's searches: all, all but the texts (figures and the"
        " shape of the tree), or nothing.",
    )
    record_prompts: bool = Field(
        False, description="Keep the prompts of answered requests, for self-play to practise on."
    )
    schedule: Cron = Field(
        None,
        description="When the worker starts an iteration by itself: a cron expression in UTC, such"
        " as `0 3 * * *` for every night at three; empty means never.",
    )
    schedule_preset: PresetName = Field(
        "tiny", description="Preset of the iterations that the schedule starts."
    )

    worker: bool = Field(
        True, description="Run the self-play worker beside the server; it waits until asked."
    )
    worker_url: str | None = Field(
        None,
        description="Server whose models the worker plays with; empty means the one at `host` and"
        " `port`.",
    )
    lease_seconds: float = Field(
        15.0, ge=1, description="After a worker died, how long until another takes over."
    )
    patience_seconds: float = Field(
        900.0, gt=0, description="How long an iteration waits for a server that is gone."
    )
    accelerate_config: Path | None = Field(
        None,
        description="File of `accelerate config` for training; empty means one process.",
    )
    labelled_pairs: Path | None = Field(
        None,
        description="File of labelled pairs (JSON lines with instruction, output_1, output_2 and"
        " label) that refiners are measured on as well.",
    )
    training_niceness: int = Field(
        10, ge=0, le=19, description="How far training steps back behind serving, as `nice`."
    )
    sleep_while_training: bool = Field(
        False,
        description="Have the engine leave its GPU's memory to the trainer while it runs; requests"
        " get 503 meanwhile. See docs/scaling.md.",
    )

    @field_validator("record_prompts")
    @classmethod
    def _store_allows(cls, record: bool, info: ValidationInfo) -> bool:
        if record and info.data.get("store", "full") != "full":
            raise ValueError("prompts cannot be kept where SPAR_STORE keeps no texts")
        return record

    @model_validator(mode="after")
    def _engines_for_both(self) -> "Settings":
        if bool(self.actor_engines) != bool(self.refiner_engines):
            raise ValueError(
                "SPAR_ACTOR_ENGINES and SPAR_REFINER_ENGINES need each other; SPAR_ENGINES names"
                " servers for both roles"
            )
        if self.engines and self.actor_engines:
            raise ValueError("SPAR_ENGINES serves both roles: leave it, or the lists for each role")
        if self.remote_engines and (self.separate_engines or self.engine_args):
            raise ValueError(
                "SPAR_SEPARATE_ENGINES and SPAR_ENGINE_ARGS are for an engine in this process,"
                " which SPAR_ENGINES replaces"
            )
        if self.remote_engines and self.sleep_while_training:
            raise ValueError(
                "SPAR_SLEEP_WHILE_TRAINING is for an engine in this process: those of SPAR_ENGINES"
                " do not sleep"
            )
        return self

    @field_validator("quick_verdict_high")
    @classmethod
    def _not_below_low(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("quick_verdict_low", 0.0)
        if high < low:
            raise ValueError(f"it must not be below quick_verdict_low, which is {low}")
        return high

    @property
    def quick_verdict(self) -> QuickVerdictRule:
        """What a quick verdict decides, for the searches that ask for one."""
        return QuickVerdictRule(
            self.quick_verdict_low, self.quick_verdict_high, self.quick_verdict_critiques
        )

    @property
    def remote_engines(self) -> Mapping[Role, tuple[str, ...]]:
        """The addresses of each role's engines; none where the engine is in this process."""
        if self.actor_engines:
            return {Role.ACTOR: self.actor_engines, Role.REFINER: self.refiner_engines}
        return dict.fromkeys(Role, self.engines) if self.engines else {}

    @property
    def server_url(self) -> str:
        """The server the worker talks to."""
        return self.worker_url or f"http://{reachable(self.host)}:{self.port}"

    @property
    def url(self) -> str:
        """The database to use: the configured one, or the file in `data`."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data / 'spar.db').absolute()}"


def reachable(host: str) -> str:
    """Where a server that listens on `host` is reached from its own machine."""
    if host in EVERYWHERE:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def advertised(host: str) -> str:
    """The name under which other machines know a server that listens on `host` of this one."""
    return gethostname() if host in EVERYWHERE else reachable(host)


def settings_from(**options: object) -> Settings:
    """The settings with the options that are not None put over the environment's.

    Raises `ConfigurationError` naming the first setting that is wrong.
    """
    overrides = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings.model_validate(overrides)
    except ValidationError as error:
        raise ConfigurationError(_explain(error.errors(include_url=False)[0], overrides)) from error


def _explain(problem: ErrorDetails, overrides: dict[str, object]) -> str:
    if not problem["loc"]:
        return problem["msg"].removeprefix("Value error, ")
    name = str(problem["loc"][0])
    source = "--" + name.replace("_", "-") if name in overrides else f"SPAR_{name.upper()}"
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{source} is set to {problem['input']!r}: {reason}"
