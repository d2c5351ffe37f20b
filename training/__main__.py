"""`python -m training CONFIG.json`: train, exit with an `ExitCode`, the reason as the last line."""

import os
import sys
import traceback
import warnings
from pathlib import Path

from training.config import ExitCode, Refused, TrainingConfig, failure_line
from training.watch import exit_with_worker

QUIET = {
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
USAGE = "usage: python -m training CONFIG.json"


def main(arguments: list[str]) -> ExitCode:
    """Run one training; the exit code and the last line on stderr classify a failure."""
    exit_with_worker()
    try:
        if len(arguments) != 1:
            raise Refused(USAGE)
        config = TrainingConfig.read(Path(arguments[0]))
        if config.finished and not config.work.exists():
            return ExitCode.DONE
        _train_quietly(config)
    except Refused as error:
        return _fail(ExitCode.REFUSED, str(error))
    except Exception as error:
        # The boundary of the process: every error becomes its exit status and last line.
        from training.run import classify

        traceback.print_exc()
        return _fail(*classify(error))
    return ExitCode.DONE


def _train_quietly(config: TrainingConfig) -> None:
    warnings.simplefilter("ignore")
    os.environ.update(QUIET)
    # A run's data must not remain in the user's cache.
    os.environ["HF_DATASETS_CACHE"] = str(config.work / "datasets")
    from training.run import train

    train(config)


def _fail(outcome: ExitCode, reason: str) -> ExitCode:
    print(failure_line(outcome, reason), file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
