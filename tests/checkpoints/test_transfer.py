"""Exports for PEFT and transformers, and imports as new versions."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM, PeftModel
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from typer.testing import CliRunner, Result

from app.checkpoints.manifest import fingerprint, seal
from app.checkpoints.store import CheckpointStore
from app.checkpoints.transfer import AdapterLimits, BaseModel, export_checkpoint, import_checkpoint
from app.cli import cli
from app.db.checkpoints import CheckpointRepository, StoredCheckpoint
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, Role, Versions
from app.errors import CheckpointRefused, Conflict, InvalidRequest, NotFound
from tests.helpers.checkpoint_files import CONFIG, WEIGHTS
from tests.helpers.swapping import LoadingEngine, World, until_served
from tests.helpers.tiny_model import RANK, make_tiny_adapter, make_tiny_model

PUBLIC = "example/tiny"
LIMITS = AdapterLimits(RANK, frozenset({"o_proj", "down_proj"}))
TOKENS = torch.tensor([[1, 5, 9, 4, 700, 33]])
EVALUATION = {
    "primary": {
        "name": "constraints met",
        "candidate": 0.5,
        "incumbent": 0.4,
        "difference": 0.1,
        "low": -0.02,
        "high": 0.2,
        "n": 32,
    },
    "others": [],
    "decision": "better: constraints met",
}


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that PEFT and transformers can run, in place of the other tests' bare tensors."""
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="session")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_adapter(base, tmp_path_factory.mktemp("adapters") / "adapter")


class Transfers:
    """Exports and imports in the world's data folder."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.base = BaseModel(str(world.base), PUBLIC)
        self.steps: list[str] = []

    async def export(self, target: Path, version: int = 1, *, merge: bool = False) -> Path:
        await export_checkpoint(
            self.world.database,
            self.world.data,
            self.base,
            (Role.ACTOR, version),
            target,
            merge=merge,
            on_step=self.steps.append,
        )
        return target

    async def bring(self, source: Path, limits: AdapterLimits = LIMITS) -> StoredCheckpoint:
        """Import, and return the record."""
        imported = await import_checkpoint(
            self.world.database,
            self.world.data,
            self.base,
            source,
            Role.ACTOR,
            limits,
            self.steps.append,
        )
        self.warnings = imported.warnings
        return await self.world.row(Role.ACTOR, imported.version)


@pytest.fixture
async def transfers(world: World, adapter: Path) -> Transfers:
    """`actor@1` is an adapter for the base model."""
    made = Transfers(world)
    stored = await made.bring(adapter)
    assert stored.version == 1
    return made


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model.to(torch.float32)(TOKENS).logits
    return found


def stored_logits(world: World) -> torch.Tensor:
    """The logits of the stored adapter on the base model."""
    model = AutoModelForCausalLM.from_pretrained(world.base, dtype=torch.float32)
    return logits(PeftModel.from_pretrained(model, str(world.folder(Role.ACTOR, 1))))


async def test_an_exported_adapter_loads_with_peft_and_has_the_same_logits(
    transfers: Transfers, tmp_path: Path
) -> None:
    folder = await transfers.export(tmp_path / "out")
    assert {file.name for file in folder.iterdir()} == {CONFIG, WEIGHTS, "README.md"}
    config = json.loads((folder / CONFIG).read_text())
    assert config["base_model_name_or_path"] == PUBLIC
    # Where the public name can be loaded from, this is all that a user needs.
    config["base_model_name_or_path"] = str(transfers.world.base)
    (folder / CONFIG).write_text(json.dumps(config))
    model = AutoPeftModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    torch.testing.assert_close(logits(model), stored_logits(transfers.world))


async def test_merged_weights_need_no_peft_and_have_the_same_logits(
    transfers: Transfers, tmp_path: Path
) -> None:
    folder = await transfers.export(tmp_path / "out", merge=True)
    model = AutoModelForCausalLM.from_pretrained(folder)
    # Weights are stored in the base model's bfloat16, which has 8 bits of precision.
    assert model.dtype == torch.bfloat16
    wanted = stored_logits(transfers.world)
    torch.testing.assert_close(logits(model), wanted, atol=2e-2, rtol=2e-2)
    bare = AutoModelForCausalLM.from_pretrained(transfers.world.base, dtype=torch.float32)
    assert (logits(bare) - wanted).abs().max() > 0.1
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert "Merging the adapter" in transfers.steps


async def test_the_model_card_describes_the_checkpoint(
    transfers: Transfers, tmp_path: Path
) -> None:
    async with transfers.world.database.session() as session:
        await CheckpointRepository(session).decide(
            Role.ACTOR, 1, CheckpointStatus.REJECTED, EVALUATION
        )
    card = (await transfers.export(tmp_path / "out") / "README.md").read_text()
    assert card.startswith(f'---\nbase_model: "{PUBLIC}"\nlibrary_name: "peft"\n')
    assert "| version | actor@1 |" in card
    assert "| parent | the base model |" in card
    assert "LoRA of rank 8, alpha 64, on down_proj, o_proj" in card
    assert "| constraints met | 0.500 | 0.400 | +0.100 (-0.020 to +0.200) | 32 |" in card
    assert str(transfers.world.base) not in card


async def test_an_exported_folder_is_imported_as_a_candidate(
    transfers: Transfers, engine: LoadingEngine, tmp_path: Path
) -> None:
    stored = await transfers.bring(await transfers.export(tmp_path / "out"))
    assert (stored.version, stored.kind) == (2, CheckpointKind.LORA)
    assert (stored.status, stored.parent) == (CheckpointStatus.CANDIDATE, 0)
    assert transfers.warnings == ()
    world = transfers.world
    store = CheckpointStore(world.database, world.data, str(world.base), LIMITS)
    assert await store.adapter_folder(stored, world.base) == world.folder(Role.ACTOR, 2)
    async with world.database.session() as session:
        assert (await CheckpointRepository(session).serving()).versions == Versions()
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(2, 0)
        await until_served(registry, 2, 0)


async def test_merged_weights_are_imported_where_full_weights_can_be_served(
    transfers: Transfers, tmp_path: Path
) -> None:
    folder = await transfers.export(tmp_path / "out", merge=True)
    with pytest.raises(CheckpointRefused, match="SPAR_SEPARATE_ENGINES=true"):
        await transfers.bring(folder)
    stored = await transfers.bring(folder, AdapterLimits(RANK, None, separate_roles=True))
    assert (stored.version, stored.kind) == (2, CheckpointKind.FULL)
    again = await transfers.export(tmp_path / "again", version=2)
    assert (again / "tokenizer.json").is_file()
    torch.testing.assert_close(
        *(logits(AutoModelForCausalLM.from_pretrained(one)) for one in (folder, again))
    )


def cut(folder: Path) -> None:
    file = folder / WEIGHTS
    file.write_bytes(file.read_bytes()[:-1])


def remove_weights(folder: Path) -> None:
    (folder / WEIGHTS).unlink()


def pickle_weights(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "adapter_model.bin")


def remove_config(folder: Path) -> None:
    (folder / CONFIG).unlink()


def change_shape(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    name = next(name for name in tensors if "lora_A" in name)
    save_file(tensors | {name: tensors[name][:, :-1].copy()}, folder / WEIGHTS)


def raise_rank(folder: Path) -> None:
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"r": 512}))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "is not a readable safetensors file"),
        (remove_weights, f"{WEIGHTS} is missing"),
        (pickle_weights, "save the adapter again"),
        (remove_config, "give the folder that `save_pretrained` wrote"),
        (change_shape, "in the base model; the adapter is for"),
        (raise_rank, r"at most 8 \(SPAR_ADAPTER_RANK\)"),
    ],
)
async def test_a_failed_import_leaves_no_files(
    transfers: Transfers, tmp_path: Path, damage: Any, reason: str
) -> None:
    folder = await transfers.export(tmp_path / "out")
    damage(folder)
    with pytest.raises(CheckpointRefused, match=reason):
        await transfers.bring(folder)
    async with transfers.world.database.session() as session:
        assert {one.version for one in await CheckpointRepository(session).all()} == {0, 1}
    checkpoints = transfers.world.data / "checkpoints"
    assert [one.name for one in checkpoints.iterdir()] == ["actor@1"]


async def test_an_import_that_fails_late_discards_its_version(
    transfers: Transfers, tmp_path: Path, adapter: Path
) -> None:
    in_the_way = transfers.world.folder(Role.ACTOR, 2)
    in_the_way.mkdir()
    (in_the_way / "file").touch()
    with pytest.raises(InvalidRequest, match="exists and is not an empty folder"):
        await transfers.bring(adapter)
    assert (in_the_way / "file").exists()
    (in_the_way / "file").unlink()
    assert (await transfers.bring(adapter)).version == 2


async def test_another_base_model_by_name_is_a_warning(
    transfers: Transfers, tmp_path: Path
) -> None:
    folder = await transfers.export(tmp_path / "out")
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {"base_model_name_or_path": "example/other"}))
    await transfers.bring(folder)
    [warning] = transfers.warnings
    assert "example/other" in warning


async def test_what_cannot_be_exported(transfers: Transfers, tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="the base model itself"):
        await transfers.export(tmp_path / "out", version=0)
    with pytest.raises(NotFound, match="actor@9"):
        await transfers.export(tmp_path / "out", version=9)
    transfers.world.damage(Role.ACTOR, 1)
    with pytest.raises(CheckpointRefused, match="is cut short"):
        await transfers.export(tmp_path / "out")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(InvalidRequest, match="not an empty folder"):
        await transfers.export(tmp_path / "full")
    assert not (tmp_path / "out").exists()


async def test_an_adapter_on_full_weights_is_exported_merged(
    transfers: Transfers, tmp_path: Path, adapter: Path
) -> None:
    merged = await transfers.export(tmp_path / "merged", merge=True)
    full = await transfers.bring(merged, AdapterLimits(RANK, None, separate_roles=True))
    world = transfers.world
    above = world.folder(Role.ACTOR, 3)
    shutil.copytree(adapter, above)
    print_of_full = fingerprint(world.folder(Role.ACTOR, full.version))
    digest = seal(above, Role.ACTOR, 3, CheckpointKind.LORA, print_of_full)
    values = {"kind": CheckpointKind.LORA, "digest": digest, "parent": full.version}
    await world.record(Role.ACTOR, 3, values)
    with pytest.raises(Conflict, match="full weights of actor@2"):
        await transfers.export(tmp_path / "out", version=3)
    folder = await transfers.export(tmp_path / "out", version=3, merge=True)
    weights = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    wanted = logits(PeftModel.from_pretrained(weights, str(adapter)))
    found = logits(AutoModelForCausalLM.from_pretrained(folder))
    torch.testing.assert_close(found, wanted, atol=2e-2, rtol=2e-2)


def test_the_commands(
    base: Path, adapter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPAR_MODEL", str(base))
    monkeypatch.setenv("SPAR_ADAPTER_TARGETS", '["o_proj", "down_proj"]')

    def spar(*arguments: str) -> Result:
        return CliRunner().invoke(cli, [*arguments, "--data", str(tmp_path / "data")])

    imported = spar("checkpoints", "import", str(adapter), "--role", "actor")
    assert imported.exit_code == 0
    assert "spar checkpoints promote actor@1" in imported.stdout
    out = tmp_path / "out"
    assert spar("checkpoints", "export", "actor@1", "--to", str(out)).exit_code == 0
    assert json.loads((out / CONFIG).read_text())["base_model_name_or_path"] == str(base)
    assert "checkpoints import actor@1" in spar("keys", "audit").stdout
    refused = spar("checkpoints", "export", "actor@1", "--to", str(out))
    assert refused.exit_code == 1
    assert "not an empty folder" in refused.stderr
    assert spar("checkpoints", "export", "actor", "--to", str(out)).exit_code == 2
