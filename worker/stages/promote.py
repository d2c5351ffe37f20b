"""Apply the promotion gate, and promote."""

from collections.abc import Mapping

from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository
from app.domain.checkpoint import CheckpointStatus, PromotionCause, Role, Versions, served_name
from app.evaluation.statistics import RoleReport
from worker.context import StageRun
from worker.gate import Decision, GateRule, decide
from worker.stages.train import Candidates


async def promote(
    stage: StageRun, candidates: Candidates, reports: Mapping[Role, RoleReport]
) -> None:
    """Promote the candidates that pass the gate, both roles at once, and record the others.

    All in one transaction; an iteration promotes at most once.
    """
    context = stage.context
    limits = context.options.evaluation
    rule = GateRule(limits.min_gain, limits.confidence, limits.margin)
    unmeasured = candidates.keys() - reports.keys()
    decision = decide(reports, rule, context.iteration.promote, unmeasured)
    async with context.lease.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.lock_serving()
        if not await checkpoints.promoted_by(context.id):
            versions = await _record(checkpoints, candidates, decision, reports)
            if decision.promoted:
                await checkpoints.promote(versions, PromotionCause.ITERATION, context.id)
        report = {
            "promoted": sorted(decision.promoted),
            "reasons": {role.value: reason for role, reason in decision.reasons.items()},
            "reports": {role.value: one.to_dict() for role, one in reports.items()},
        }
        await IterationRepository(session).record_report(context.id, report)
    for role, version in candidates.items():
        promoted = role in decision.promoted
        stage.metrics[served_name(role, version)] = "promoted" if promoted else "rejected"
    await stage.progress(len(candidates), len(candidates))


async def _record(
    checkpoints: CheckpointRepository,
    candidates: Candidates,
    decision: Decision,
    reports: Mapping[Role, RoleReport],
) -> Versions:
    """Record the decision on each candidate; returns the versions to serve."""
    # Not the incumbents: an administrator may have promoted another version since.
    versions = (await checkpoints.serving()).versions
    for role, version in candidates.items():
        measured = reports[role].to_dict() if role in reports else {}
        evaluation = measured | {"decision": decision.reasons[role]}
        status = CheckpointStatus.REJECTED
        if role in decision.promoted:
            versions = versions.with_version(role, version)
            status = CheckpointStatus.PROMOTED
        elif await _is_promoted(checkpoints, role, version):
            # It was promoted by hand before the gate decided.
            status = CheckpointStatus.PROMOTED
        await checkpoints.decide(role, version, status, evaluation)
    return versions


async def _is_promoted(checkpoints: CheckpointRepository, role: Role, version: int) -> bool:
    stored = await checkpoints.get(role, version)
    return stored is not None and stored.status is CheckpointStatus.PROMOTED
