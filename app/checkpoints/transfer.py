"""Export of checkpoints as PEFT or transformers folders, and import of those trained elsewhere."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from os import getpid
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from app.checkpoints.formats import (
    CONFIG,
    MODEL_CONFIG,
    WEIGHTS,
    check_adapter,
    check_model,
    read_object,
)
from app.checkpoints.manifest import MANIFEST, fingerprint, seal
from app.checkpoints.store import CheckpointStore, Limits, is_safe, readable, verify, verify_full
from app.db.checkpoints import BASE_VERSION, CheckpointRepository, StoredCheckpoint
from app.db.session import Database
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.errors import CheckpointRefused, ConfigurationError, Conflict, InvalidRequest

CHECKPOINTS = "checkpoints"
"""The folder of checkpoints in the data folder."""
CARD = "README.md"

OnStep = Callable[[str], None]
"""Called with a description of each step that begins."""


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The model that checkpoints are for.

    path: its folder, or its hub name. name: its public name, for `adapter_config.json` and
    the model card. note: how the local weights differ from those of that name, if they do.
    """

    path: str
    name: str
    note: str | None = None


@dataclass(frozen=True, slots=True)
class AdapterLimits:
    """What the engines that are to serve an import can load; see `store.Limits`."""

    max_adapter_rank: int
    adapter_targets: frozenset[str] | None = None
    separate_roles: bool = False


_ANYTHING = AdapterLimits(2**31, None, True)
"""Exports have no engine limits."""


@dataclass(frozen=True, slots=True)
class Imported:
    """The new version, and warnings about it."""

    role: Role
    version: int
    kind: CheckpointKind
    warnings: tuple[str, ...]


async def export_checkpoint(
    database: Database,
    data: Path,
    base: BaseModel,
    checkpoint: tuple[Role, int],
    target: Path,
    *,
    merge: bool,
    on_step: OnStep,
) -> None:
    """Write a checkpoint to the new folder `target`, for PEFT, transformers or vLLM.

    An adapter becomes a PEFT folder, or with `merge` full weights with the tokenizer; a full
    checkpoint is full weights either way. A model card describes it. The folder appears complete
    or not at all.

    Raises:
        NotFound: no such checkpoint.
        CheckpointRefused: its files are damaged, or made for another base model than `base`.
        Conflict: it cannot be exported in this form.
        InvalidRequest: `target` is not empty.
        ConfigurationError: `target` cannot be written.
        DatabaseError: the database cannot be read.
    """
    store = CheckpointStore(database, data, base.path, _ANYTHING)
    stored = await store.get(*checkpoint)
    name = served_name(*checkpoint)
    if stored.kind is CheckpointKind.BASE:
        raise Conflict(f"{name} is the base model itself, {base.name}: there is nothing to export")
    base_checkpoint = await store.base_checkpoint(stored)
    full = merge or stored.kind is CheckpointKind.FULL
    if base_checkpoint.kind is CheckpointKind.FULL and not full:
        below = served_name(base_checkpoint.role, base_checkpoint.version)
        raise Conflict(
            f"{name} is an adapter on the full weights of {below}, which have no public name:"
            " export it with --merge"
        )
    with _new_folder(target) as folder:
        on_step(f"Verifying {name}")
        weights = await store.weights_folder(base_checkpoint)
        adapter = None
        if stored.kind is CheckpointKind.LORA:
            adapter = await store.adapter_folder(stored, weights)
        if adapter is not None and merge:
            _write_merged(folder, weights, adapter, base, on_step)
        elif adapter is not None:
            _write_adapter(folder, adapter, base)
        else:
            on_step("Copying the weights")
            _copy(weights, folder)
            _write_tokenizer(folder, base)
        (folder / CARD).write_text(model_card(stored, base, adapter, merged=merge), "utf-8")


async def import_checkpoint(
    database: Database,
    data: Path,
    base: BaseModel,
    source: Path,
    role: Role,
    limits: Limits,
    on_step: OnStep,
) -> Imported:
    """Record the PEFT adapter or the full weights in `source` as a new version of a role.

    The files are copied and verified as those of any other checkpoint. The new version is a
    candidate on the base model: it serves once it is promoted, and not before.

    Raises:
        CheckpointRefused: the folder has no checkpoint that these engines can serve.
        ConfigurationError: the data folder cannot be written.
        DatabaseError: the database cannot be written.
    """
    on_step(f"Checking {source}")
    try:
        with readable():
            kind = _check(source, base, limits)
    except CheckpointRefused as error:
        raise CheckpointRefused(f"{source} cannot be imported: {error.message}") from error
    async with database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.ensure_base_checkpoints(base.path)
        await checkpoints.lock_serving()  # so that no other process takes the same version
        version = await checkpoints.begin(role, kind=kind, model=base.path, parent=BASE_VERSION)
    relative = Path(CHECKPOINTS, served_name(role, version))
    written = False
    try:
        with _new_folder(data / relative) as folder:
            on_step(f"Copying {source}")
            _copy(source, folder, (CONFIG, WEIGHTS) if kind is CheckpointKind.LORA else None)
            digest = seal(folder, role, version, kind, fingerprint(base.path))
            on_step(f"Verifying {relative.name}")
            _verify(folder, digest, kind, role, version, base, limits)
        written = True
        async with database.session() as session:
            await CheckpointRepository(session).complete(role, version, str(relative), digest)
    except BaseException:
        if written:
            shutil.rmtree(data / relative, ignore_errors=True)
        async with database.session() as session:
            await CheckpointRepository(session).discard(role, version)
        raise
    return Imported(role, version, kind, tuple(_warnings(source, kind, base)))


def _check(source: Path, base: BaseModel, limits: Limits) -> CheckpointKind:
    """The kind of the checkpoint in `source`.

    Raises:
        CheckpointRefused: it cannot be served.
    """
    if (source / CONFIG).is_file():
        if not (source / WEIGHTS).is_file() and (source / "adapter_model.bin").is_file():
            raise CheckpointRefused(
                "adapter_model.bin is a pickle, which can run any program when loaded: save the"
                " adapter again with `save_pretrained`, which writes safetensors"
            )
        check_adapter(
            source,
            base_model=base.path,
            max_rank=limits.max_adapter_rank,
            targets=limits.adapter_targets,
        )
        return CheckpointKind.LORA
    if (source / MODEL_CONFIG).is_file():
        if not limits.separate_roles:
            raise CheckpointRefused(
                "it holds full weights, which need an engine for each role: set"
                " SPAR_SEPARATE_ENGINES=true, or import a LoRA adapter"
            )
        check_model(source, base_model=base.path)
        return CheckpointKind.FULL
    raise CheckpointRefused(
        f"it holds neither {CONFIG} (a PEFT adapter) nor {MODEL_CONFIG} (full weights): give the"
        " folder that `save_pretrained` wrote"
    )


def _verify(
    folder: Path,
    digest: str,
    kind: CheckpointKind,
    role: Role,
    version: int,
    base: BaseModel,
    limits: Limits,
) -> None:
    if kind is CheckpointKind.FULL:
        verify_full(folder, digest, role=role, version=version, base_model=base.path)
        return
    verify(
        folder,
        digest,
        role=role,
        version=version,
        base_model=base.path,
        max_rank=limits.max_adapter_rank,
        targets=limits.adapter_targets,
    )


def _warnings(source: Path, kind: CheckpointKind, base: BaseModel) -> Iterator[str]:
    if kind is not CheckpointKind.LORA:
        return
    named = read_object(source / CONFIG).get("base_model_name_or_path")
    # Last parts only: the folder of a model differs between machines.
    if named and Path(str(named)).name not in (Path(base.name).name, Path(base.path).name):
        # Shapes distinguish models of one family, but not a model from its fine-tuned variant.
        yield f"{CONFIG} names the base model {named}, and {base.name} is served: compare them"


@contextmanager
def _new_folder(target: Path) -> Iterator[Path]:
    """An empty folder, which becomes `target` when the block ends without an error.

    Raises:
        InvalidRequest: `target` is not empty.
        ConfigurationError: `target` cannot be written.
    """
    target = target.absolute()
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise InvalidRequest(f"{target} exists and is not an empty folder: name another one")
    unfinished = target.with_name(f".{target.name}.{getpid()}")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.replace(target)
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise ConfigurationError(f"{target} cannot be written: {reason}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _copy(source: Path, folder: Path, names: tuple[str, ...] | None = None) -> None:
    """Copy these files; by default all that a checkpoint may hold, without subfolders."""
    for file in source.iterdir():
        wanted = (
            is_safe(file.name) and file.name != MANIFEST if names is None else file.name in names
        )
        if wanted and file.is_file():
            shutil.copyfile(file, folder / file.name)


def _write_adapter(folder: Path, adapter: Path, base: BaseModel) -> None:
    shutil.copyfile(adapter / WEIGHTS, folder / WEIGHTS)
    config = read_object(adapter / CONFIG) | {"base_model_name_or_path": base.name}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def _write_merged(
    folder: Path, weights: Path, adapter: Path, base: BaseModel, on_step: OnStep
) -> None:
    """Merge in float32, and store in the number type of the base model, which engines expect."""
    import torch
    from peft import PeftModel
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    on_step("Loading the base model")
    stored = AutoConfig.from_pretrained(weights).dtype or torch.float32
    model = AutoModelForCausalLM.from_pretrained(weights, dtype=torch.float32, use_safetensors=True)
    on_step("Merging the adapter")
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    on_step("Writing the weights")
    merged.to(stored).save_pretrained(folder)
    _write_tokenizer(folder, base)


def _write_tokenizer(folder: Path, base: BaseModel) -> None:
    from transformers import AutoTokenizer

    AutoTokenizer.from_pretrained(base.path).save_pretrained(folder)


_ROLES = {
    Role.ACTOR: "answers instructions",
    Role.REFINER: "judges answers and rewrites them",
}

_LOAD_ADAPTER = """\
from peft import AutoPeftModelForCausalLM
from transformers import AutoTokenizer

model = AutoPeftModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("{base}")
"""
_LOAD_MODEL = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("FOLDER")
tokenizer = AutoTokenizer.from_pretrained("FOLDER")
"""


def model_card(
    stored: StoredCheckpoint, base: BaseModel, adapter: Path | None, *, merged: bool
) -> str:
    """The README.md of an export: kind, origin, usage and metrics."""
    name = served_name(stored.role, stored.version)
    is_adapter = adapter is not None and not merged
    front = {
        "base_model": base.name,
        "library_name": "peft" if is_adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["spar", "lora"] if adapter is not None else ["spar"],
    }
    parent = stored.parent or BASE_VERSION
    rows = {
        "version": name,
        "base model": base.name,
        "parent": served_name(stored.role, parent) if parent else "the base model",
        "training": _training(adapter, merged=merged),
        "iteration": stored.iteration_id or "none: imported",
        "status": str(stored.status),
        "created": f"{stored.created_at:%Y-%m-%d %H:%M} UTC",
    }
    parts = [
        # JSON is YAML.
        "---\n" + "".join(f"{key}: {json.dumps(value)}\n" for key, value in front.items()) + "---",
        f"# {name}",
        f"{'A LoRA adapter' if is_adapter else 'Full weights'} for the {stored.role} of spar, the"
        f" model that {_ROLES[stored.role]}.",
        _table(("property", "value"), *rows.items()),
        *([base.note] if base.note and stored.iteration_id else []),
        "## Evaluation",
        *_measured(stored.evaluation or {}),
        "## Use",
        "```python\n"
        + (_LOAD_ADAPTER.format(base=base.name) if is_adapter else _LOAD_MODEL)
        + "```",
    ]
    return "\n\n".join(parts) + "\n"


def _training(adapter: Path | None, *, merged: bool) -> str:
    if adapter is None:
        return "full weights"
    config = read_object(adapter / CONFIG)
    layers = ", ".join(sorted(config["target_modules"]))
    lora = f"LoRA of rank {config['r']}, alpha {config['lora_alpha']}, on {layers}"
    return f"{lora}; merged" if merged else lora


def _measured(evaluation: Mapping[str, Any]) -> Iterator[str]:
    """The gate's comparison with the version that served then (`RoleReport.to_dict`)."""
    metrics = [evaluation["primary"], *evaluation["others"]] if "primary" in evaluation else []
    if not metrics:
        yield "Not measured."
    else:
        yield _table(
            ("metric", "this version", "incumbent", "difference (95 % interval)", "n"),
            *(
                (
                    one["name"],
                    f"{one['candidate']:.3f}",
                    f"{one['incumbent']:.3f}",
                    f"{one['difference']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})",
                    str(one["n"]),
                )
                for one in metrics
            ),
        )
    if decision := evaluation.get("decision"):
        yield f"Decision: {decision}."


def _table(*rows: tuple[str, ...]) -> str:
    head, *body = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])
