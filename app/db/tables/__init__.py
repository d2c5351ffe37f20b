"""The tables. A change here needs a migration; a test compares the two."""

from app.db.tables.base import Base
from app.db.tables.checkpoints import CheckpointRow, PromotionRow, ServerRow
from app.db.tables.evaluations import EvaluatedItemRow, EvaluationRow
from app.db.tables.iterations import (
    ItemRow,
    IterationRow,
    LeaseRow,
    SampleRow,
    StageRow,
    TrainingStepRow,
)
from app.db.tables.keys import AuditRow, KeyRow
from app.db.tables.prompts import ConversationRow, FeedbackRow, PromptRow
from app.db.tables.searches import NodeRow, SearchRow, VoteRow

__all__ = [
    "AuditRow",
    "Base",
    "CheckpointRow",
    "ConversationRow",
    "EvaluatedItemRow",
    "EvaluationRow",
    "FeedbackRow",
    "ItemRow",
    "IterationRow",
    "KeyRow",
    "LeaseRow",
    "NodeRow",
    "PromotionRow",
    "PromptRow",
    "SampleRow",
    "SearchRow",
    "ServerRow",
    "StageRow",
    "TrainingStepRow",
    "VoteRow",
]
