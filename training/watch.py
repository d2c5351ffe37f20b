"""Ends this process when the worker that wanted the result, or the launcher, is gone."""

import os
import select
import threading

WORKER_PID = "SPAR_WORKER_PID"
"""Environment variable by which the worker leaves its process id; without it nobody watches."""


def exit_with_worker() -> None:
    """Watch the worker and the launcher from a thread, and exit at once when one has ended.

    An interrupted training is resumed from its last checkpoint, so nothing needs to be tidied.
    """
    worker = os.environ.get(WORKER_PID)
    if worker is not None:
        # The launcher too: some start the trainers in sessions of their own, out of reach of
        # the signals that end the launcher.
        watched = {int(worker), os.getppid()}
        threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(processes: set[int]) -> None:
    try:
        handles = [os.pidfd_open(process) for process in processes]
    except ProcessLookupError:
        pass  # One has ended already.
    else:
        select.select(handles, [], [])
    os._exit(1)
