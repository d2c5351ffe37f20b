"""Health, metrics, constraint types and tokenization."""

from typing import Annotated, Any, Self

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field, model_validator

from app import __version__
from app.api.deps import ServicesDep
from app.api.openai_schemas import ChatMessageIn, Continuing, check_answerable, conversation
from app.api.schemas import Text
from app.api.server_metrics import ServerMetrics
from app.constraints.catalogue import catalogue
from app.engine.base import is_asleep
from app.engine.process import engine_asleep
from app.errors import EngineUnavailable

router = APIRouter()


class HealthOut(BaseModel):
    status: str
    version: str
    engine_ready: bool
    engine_asleep: bool
    engine_restarts: int
    engine_calls: int
    requests: int
    searches_unwritten: int
    searches_lost: int


class ReadyOut(BaseModel):
    status: str


@router.get("/healthz", tags=["health"])
async def healthz(services: ServicesDep) -> HealthOut:
    """Liveness: the process runs. Includes the state of the engine and of the recorder."""
    return HealthOut(
        status="ok",
        version=__version__,
        engine_ready=services.engine.ready,
        engine_asleep=is_asleep(services.engine),
        engine_restarts=services.engine.restarts,
        engine_calls=services.engine.unfinished,
        requests=services.admission.admitted,
        searches_unwritten=services.recorder.pending,
        searches_lost=services.recorder.lost,
    )


@router.get("/readyz", tags=["health"])
async def readyz(services: ServicesDep) -> ReadyOut:
    """Readiness: 200 once the engine and the promoted checkpoints are loaded, else 503."""
    if is_asleep(services.engine):
        raise engine_asleep()
    if not services.engine.ready:
        raise EngineUnavailable("the engine is starting or restarting", retry_after=10)
    if not services.registry.ready:
        raise EngineUnavailable("the checkpoints are being loaded", retry_after=5)
    return ReadyOut(status="ready")


@router.get(
    "/metrics",
    tags=["health"],
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: ServicesDep) -> Response:
    """Metrics of this server in Prometheus' text format."""
    now = ServerMetrics(services, await services.stored.get())
    text = generate_latest(services.observer.metrics.registry) + generate_latest(now)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


class ConstraintKindOut(BaseModel):
    """A type of constraint; `arguments` has the JSON schema of each of its kwargs."""

    id: str
    description: str
    arguments: dict[str, Any]


@router.get("/constraints", tags=["answer"])
async def list_constraints() -> list[ConstraintKindOut]:
    """Every type of constraint that a program can check, with its arguments."""
    return [
        ConstraintKindOut(id=kind.id, description=kind.description, arguments=dict(kind.kwargs))
        for kind in catalogue()
    ]


class TokenizeIn(Continuing):
    """Either `prompt`, a bare text, or `messages`, rendered by the chat template.

    `model` may be any name: all models served here share a tokenizer. `add_special_tokens`
    (default true) requires `prompt`; in a conversation the chat template adds them.
    """

    model: Text | None = None
    prompt: Text | None = None
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=1000)] | None = None
    add_special_tokens: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either `prompt` or `messages`")
        if self.messages is not None:
            check_answerable(self.messages)
            self.check_continuation(self.messages)
            if self.add_special_tokens:
                raise ValueError("`add_special_tokens` requires `prompt`")
        return self


class TokenizeOut(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]


@router.post("/tokenize", tags=["openai"])
async def tokenize(body: TokenizeIn, services: ServicesDep) -> TokenizeOut:
    """Token ids of a text or of a conversation, in the shape of vLLM's `/tokenize`."""
    engine = services.engine
    if body.messages is not None:
        tokens = await engine.tokenize(conversation(body.messages))
    else:
        assert body.prompt is not None, "the schema requires one of the two"
        special = body.add_special_tokens is not False
        tokens = await engine.tokenize(body.prompt, special_tokens=special)
    return TokenizeOut(count=len(tokens), max_model_len=engine.context_tokens, tokens=tokens)
