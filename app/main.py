"""The server process: creates and connects its parts."""

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from rich.console import Console

from app import __version__
from app.api import generate, openai, searches, system
from app.api.admin import checkpoints, iterations, overview, prompts
from app.api.authentication import AuthMiddleware, Authorizer
from app.api.deps import Services
from app.api.middleware import AccessLogMiddleware, BodyLimit
from app.api.problems import RESPONSE, add_handlers
from app.checkpoints.registry import Registry, open_registry
from app.config.settings import Settings, advertised, reachable, settings_from
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.engine.arguments import EngineConfig, usable_cores
from app.engine.base import SleepyEngine
from app.engine.by_role import EnginesByRole, OwnEngine, configs_by_role
from app.engine.pool.pool import EnginePool, EnginePoolConfig
from app.engine.vllm import VllmEngine
from app.errors import ConfigurationError, DatabaseError
from app.keys.limits import CountingEngine
from app.keys.policy import internal_key
from app.observe.logs import configure_logs
from app.observe.observer import Observer, open_observer
from app.serving.admission import Admission, Background
from app.serving.drain import DrainBarrier
from app.serving.roles import make_roles
from app.serving.server_file import announced, server_address
from app.serving.sleep import SleepController
from app.serving.swap import Swapper, SwapTimes
from app.serving.worker_supervisor import keep_worker
from app.web.pages import add_pages

log = logging.getLogger(__name__)

OnEngine = Callable[[ConfigurationError | None], None]
"""Called once: None when the server is ready, or the error for which it cannot start."""


def create_app(settings: Settings, model: str, on_engine: OnEngine = lambda _: None) -> FastAPI:
    """The application; it serves at once and loads the engine in the background.

    `model` is a model folder or hub name; the database must have been upgraded. Until the engine
    is ready, `/readyz` and the routes that need it respond with 503.
    """
    observer = open_observer(settings.otlp_endpoint)
    worker_settings, worker_key = internal_key(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with _services(worker_settings, model, on_engine, observer) as services:
            app.state.services = services
            authorizer = app.state.authorizer = Authorizer(settings, services.database, worker_key)
            yield
            await authorizer.key_cache.close()

    app = FastAPI(
        title="spar",
        version=__version__,
        summary="Inference-time search over vLLM: best-of-N, refinement, tree search.",
        lifespan=lifespan,
        # FastAPI's own pages load scripts from a CDN; the API reference is in app/web.
        docs_url=None,
        redoc_url=None,
        responses={"4XX": RESPONSE, "5XX": RESPONSE},
    )
    app.add_middleware(BodyLimit, max_bytes=settings.max_body_bytes)
    app.add_middleware(AuthMiddleware)
    app.add_middleware(AccessLogMiddleware, metrics=observer.metrics)
    add_handlers(app)
    for routes in (generate, openai, searches, iterations, checkpoints, prompts, overview, system):
        app.include_router(routes.router)
    add_pages(app)
    return app


@asynccontextmanager
async def _services(
    settings: Settings, model: str, on_engine: OnEngine, observer: Observer
) -> AsyncIterator[Services]:
    """Open the services; close them in reverse order, after the pending records are written."""
    engine = _engine(settings, model)
    checker = Checker(settings.check_processes, settings.check_seconds)
    database = Database(settings.url)
    recorder = Recorder(database, keep_prompts=settings.record_prompts, store=settings.store)
    try:
        registry = await open_registry(database, settings.data, engine, model)
    except DatabaseError as error:
        # It was available for the upgrade. Nothing else has been started yet.
        await database.close()
        failure = ConfigurationError(error.message, field="database_url")
        on_engine(failure)
        raise failure from error
    await checker.start()
    admission = Admission(settings.max_running, settings.max_waiting)
    swapper = _swapper(settings, database, registry, engine, admission.drain_barrier, observer)
    swapper.start()
    loading = asyncio.create_task(_load(settings, engine, registry, on_engine))
    sleeping = asyncio.create_task(_sleep(settings, database, engine, admission.drain_barrier))
    try:
        yield Services(
            settings=settings,
            engine=engine,
            checker=checker,
            roles=make_roles(settings, CountingEngine(engine), checker),
            database=database,
            recorder=recorder,
            admission=admission,
            background=Background(
                admission,
                idle=settings.background_calls,
                busy=settings.background_calls_busy,
            ),
            registry=registry,
            started_at=int(time.time()),
            observer=observer,
        )
    finally:
        await recorder.close(settings.shutdown_seconds)
        for task in (loading, sleeping):
            task.cancel()
        await asyncio.gather(loading, sleeping, return_exceptions=True)
        await swapper.close()
        await engine.close()
        await checker.close()
        await database.close()
        await asyncio.to_thread(observer.close)


async def _load(
    settings: Settings, engine: OwnEngine, registry: Registry, on_engine: OnEngine
) -> None:
    """Start the engine, then the worker once the checkpoints are loaded."""
    try:
        await engine.start()
    except ConfigurationError as error:
        on_engine(error)
    else:
        await registry.wait_ready()
        on_engine(None)
        if settings.worker:
            await keep_worker(settings)


async def _sleep(
    settings: Settings, database: Database, engine: OwnEngine, drain_barrier: DrainBarrier
) -> None:
    """Let the engine sleep during trainings, if configured."""
    if settings.sleep_while_training and isinstance(engine, SleepyEngine):
        poll, drain = settings.swap_seconds, settings.drain_seconds
        await SleepController(database, engine, drain_barrier, poll=poll, drain=drain).watch()


def _swapper(
    settings: Settings,
    database: Database,
    registry: Registry,
    engine: OwnEngine,
    drain_barrier: DrainBarrier,
    observer: Observer,
) -> Swapper:
    return Swapper(
        database,
        registry,
        engine,
        drain=drain_barrier,
        url=f"http://{advertised(settings.host)}:{settings.port}",
        keep=settings.keep_versions,
        times=SwapTimes(poll=settings.swap_seconds, drain=settings.drain_seconds),
        on_swap=observer.metrics.swap,
    )


def _engine(settings: Settings, model: str) -> OwnEngine:
    if settings.remote_engines:
        return EnginePool(
            EnginePoolConfig(
                servers=settings.remote_engines,
                context_tokens=settings.context_tokens,
                adapter_rank=settings.adapter_rank,
                adapter_targets=settings.adapter_targets,
                api_key=settings.engines_key,
            )
        )
    config = _engine_config(settings, model)
    if not settings.separate_engines:
        return VllmEngine(config)
    shares = configs_by_role(config, usable_cores())
    return EnginesByRole({role: VllmEngine(share) for role, share in shares.items()})


def _engine_config(settings: Settings, model: str) -> EngineConfig:
    shared = {one.name for one in fields(EngineConfig)} & Settings.model_fields.keys() - {"model"}
    return EngineConfig(
        model=model,
        sleeps=settings.sleep_while_training,
        more=settings.engine_args,
        **{name: getattr(settings, name) for name in shared},
    )


def serve(settings: Settings, model: str) -> None:
    """Run the server until SIGTERM or SIGINT.

    Raises:
        ConfigurationError: it cannot start.
    """
    configure_logs(settings.log_format, settings.log_level, "server")
    if settings.port == 0:  # A free port, chosen here so that it can be printed and announced.
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        with socket.create_server((settings.host, 0), family=family) as free:
            settings = settings.model_copy(update={"port": free.getsockname()[1]})
    failure: list[ConfigurationError] = []

    def on_engine(error: ConfigurationError | None) -> None:
        if error is None:
            _print_ready(settings)
        else:
            failure.append(error)
            server.should_exit = True

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, model, on_engine),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    )
    # The error is reported by the caller; uvicorn would log a traceback of it.
    logging.getLogger("uvicorn.error").addFilter(lambda _: not failure)
    # After a graceful stop uvicorn raises the signal again for the previous handlers; these
    # ignore it, so that the process exits normally.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, lambda *_: None)
    url = f"http://{reachable(settings.host)}:{settings.port}"
    try:
        with announced(settings.data, url):
            server.run()
    except SystemExit:
        if not failure:
            raise
    if failure:
        raise failure[0]


def _print_ready(settings: Settings) -> None:
    """Print where the server listens, and requests to try; `spar` must find this very server."""
    url = f"http://{reachable(settings.host)}:{settings.port}"
    spar = sys.argv[0] if Path(sys.argv[0]).name == "spar" else "spar"
    try:
        found = os.environ.get("SPAR_URL") or server_address(settings_from())
    except ConfigurationError:  # An option of this server replaces an invalid variable.
        found = ""
    option = "" if found.rstrip("/") == url else f" --url {url}"
    Console(stderr=True).print(
        f"\nReady: {url}\n"
        f"  documentation  {url}/docs\n"
        f"  demo           {spar} demo{option}\n"
        f"  try it         {spar} generate 'Name three rivers, in capitals.' --tree{option}\n"
        f"  or             curl {url}/generate -H 'content-type: application/json' "
        """-d '{"prompt": "Name three rivers, in capitals.", "mode": "bfs"}'\n""",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
