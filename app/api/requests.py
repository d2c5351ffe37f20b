"""Builds the domain values of a search or judgment from request bodies."""

import time

from ulid import ULID

from app.api.deps import Services
from app.api.schemas import BudgetIn, CheckpointIn, GenerateIn, PromptIn, SamplingIn, SearchIn
from app.domain.checkpoint import Versions
from app.domain.prompt import Constraint, Message, Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions
from app.domain.tree import PROMPT, given_response
from app.errors import InvalidRequest
from app.search.base import SearchRequest
from app.search.context_budget import response_budget


def prompt_from(body: PromptIn, services: Services, field: str = "constraints") -> Prompt:
    """The prompt of a body; `field` is the path of its constraints in the request.

    Raises:
        InvalidRequest: a constraint is invalid.
    """
    constraints = tuple(Constraint(item.id, item.kwargs) for item in body.constraints)
    services.checker.validate(constraints, field)
    if body.prompt is not None:
        return Prompt.from_text(body.prompt, constraints)
    assert body.messages is not None, "the schema requires one of the two"
    messages = tuple(Message(message.role, message.content) for message in body.messages)
    return Prompt(messages, constraints)


async def search_request(
    body: GenerateIn, services: Services, *, priority: int = 0
) -> SearchRequest:
    """The search of a body, pinned to the versions it names, else to those served now.

    Raises:
        InvalidRequest: a constraint or a limit is invalid.
        PromptTooLong: the prompt leaves no space for an answer.
        EngineUnavailable: the engine or the checkpoints are not loaded; for named versions also
            what `Registry.pin` raises.
    """
    started = time.monotonic()
    prompt = prompt_from(body, services)
    room = await response_budget(
        services.engine,
        prompt,
        body.mode,
        critique_tokens=services.settings.critique_tokens,
        given=body.response,
    )
    return SearchRequest(
        id=str(ULID()),
        mode=body.mode,
        prompt=prompt,
        options=_options(body.search, services),
        budget=_budget(body.budget, services),
        sampling=_sampling(body.sampling, body.mode, room, services),
        started=started,
        versions=await pinned(body.checkpoint, services),
        priority=priority,
        stream=body.stream,
        root=PROMPT if body.response is None else given_response(body.response),
    )


async def pinned(body: CheckpointIn, services: Services) -> Versions:
    """The versions of one request. Raises what `Registry.pin` raises."""
    return await services.registry.pin(body.actor, body.refiner)


def _options(body: SearchIn, services: Services) -> SearchOptions:
    shape = body.model_dump(exclude={"quick_verdict"})
    return SearchOptions(
        **shape, quick_verdict=services.settings.quick_verdict if body.quick_verdict else None
    )


def _budget(body: BudgetIn, services: Services) -> Budget:
    limit = services.settings.max_nodes
    if body.max_nodes is not None and body.max_nodes > limit:
        raise InvalidRequest(
            f"`budget.max_nodes` may be at most {limit} on this server", field="budget.max_nodes"
        )
    longest = services.settings.max_seconds * 1000
    if body.deadline_ms is not None and body.deadline_ms > longest:
        raise InvalidRequest(
            f"`budget.deadline_ms` may be at most {longest} on this server",
            field="budget.deadline_ms",
        )
    return Budget(body.max_nodes or limit, body.max_tokens, body.deadline_ms or longest)


def _sampling(body: SamplingIn, mode: Mode, room: int, services: Services) -> Sampling:
    """The body's sampling; defaults are greedy decoding in greedy mode, else the settings."""
    settings = services.settings
    greedy = mode is Mode.GREEDY
    temperature = 0.0 if greedy else settings.response_temperature
    top_p = 1.0 if greedy else settings.response_top_p
    return Sampling(
        temperature=temperature if body.temperature is None else body.temperature,
        top_p=top_p if body.top_p is None else body.top_p,
        max_tokens=min(body.max_tokens or settings.max_tokens, room),
        seed=body.seed,
        stop=tuple(body.stop),
    )
