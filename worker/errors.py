"""What can go wrong in the worker, for people to read."""

from app.errors import SparError


class TrainingFailed(SparError):
    """A training run ended without a result; the text is the reason."""

    type = "training_failed"
    title = "Training failed"
