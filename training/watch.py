"""Ends this process when the worker or the launcher has ended."""

import os
import select
import threading

WORKER_PID = "SPAR_WORKER_PID"
"""Environment variable with the worker's process id; without it nothing is watched."""


def exit_with_worker() -> None:
    """Watch the worker and the launcher from a thread, and exit when one has ended.

    No cleanup is needed: an interrupted training is resumed from its last checkpoint.
    """
    worker = os.environ.get(WORKER_PID)
    if worker is not None:
        # Some launchers start the trainers in new sessions, which the signals that end the
        # launcher do not reach.
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
