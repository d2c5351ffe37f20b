"""The functions that the checking processes are told to run.

The server imports this module to name them, so the verifier library is imported inside.
"""

import signal
from collections.abc import Mapping
from typing import Any

from app.constraints.kinds import Verdict


def start() -> None:
    """Prepare a new process: load the library once, before the first check.

    A process that is stuck inside a C function never gets to pebble's Python signal handler, so
    SIGTERM is given back its plain meaning.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from app.constraints.verify import warm_up

    warm_up()


def check(constraint_id: str, kwargs: Mapping[str, Any], response: str, seconds: float) -> Verdict:
    """See `app.constraints.verify.verify`."""
    from app.constraints.verify import verify

    return verify(constraint_id, kwargs, response, seconds)
