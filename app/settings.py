"""Every setting of the server, read from the environment (`SPAR_...`) or a `.env` file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

Fraction = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=2)]
PositiveInt = Annotated[int, Field(ge=1)]


class Settings(BaseSettings):
    """Settings of one server process; `docs/configuration.md` is generated from this class."""

    model_config = SettingsConfigDict(
        env_prefix="SPAR_", env_file=".env", extra="ignore", frozen=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    data: Path = Field(Path("data"), description="Folder of the database and the checkpoints.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; empty means the SQLite file `spar.db` in `data`."
    )

    model: str | None = Field(
        None,
        description="Model folder or hub name; empty means the embedded SmolLM2-135M-Instruct.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Number type of the weights; `auto` takes the model's own. With float32 a seed"
        " gives the same tree also under load.",
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

    max_running: PositiveInt = Field(64, description="Requests worked on at the same time.")
    max_waiting: int = Field(
        256, ge=0, description="Requests that may wait for their turn; more get 429."
    )
    max_body_bytes: PositiveInt = Field(1_048_576, description="Largest request body, in bytes.")
    heartbeat_seconds: float = Field(
        10.0, gt=0, description="Pause between heartbeats of an event stream."
    )
    shutdown_seconds: PositiveInt = Field(
        30, description="How long running requests may finish after SIGTERM."
    )

    max_tokens: PositiveInt = Field(512, description="Default length limit of a response.")
    max_nodes: PositiveInt = Field(64, description="Default and upper limit of nodes per search.")
    response_temperature: Temperature = Field(
        0.9, description="Default temperature of responses; greedy mode uses 0."
    )
    response_top_p: float = Field(0.9, gt=0, le=1, description="Default top-p of responses.")
    vote_temperature: Temperature = Field(0.7, description="Temperature of votes.")
    critique_tokens: PositiveInt = Field(64, description="Length limit of one vote's critique.")
    refine_temperature: Temperature = Field(0.7, description="Temperature of refinements.")
    reflection_tokens: int = Field(
        64, ge=0, description="Length limit of the reflection before a rewrite; 0 skips it."
    )
    check_seconds: float = Field(5.0, gt=0, description="Time limit of one constraint check.")
    check_processes: PositiveInt = Field(1, description="Processes that check constraints.")

    @property
    def url(self) -> str:
        """The database to use: the configured one, or the file in `data`."""
        return self.database_url or f"sqlite+aiosqlite:///{(self.data / 'spar.db').absolute()}"
