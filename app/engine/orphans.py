"""A vLLM plugin that ends the engine's processes when their server has ended.

vLLM's engine core does not notice that its parent was killed, and would keep its memory. vLLM loads
this plugin (`pyproject.toml`, `vllm.general_plugins`) in each of its processes; it does nothing
unless `SERVER_PID` is set, as a spar server does.
"""

import os
import select
import signal
import threading

SERVER_PID = "SPAR_SERVER_PID"


def exit_with_server() -> None:
    """Watch the server's process, if there is one, and kill this one when it has ended."""
    server = int(os.environ.get(SERVER_PID, os.getpid()))
    if server != os.getpid():
        threading.Thread(target=_watch, args=(server,), daemon=True).start()


def _watch(server: int) -> None:
    try:
        handle = os.pidfd_open(server)
    except ProcessLookupError:
        pass  # It has ended already.
    else:
        select.select([handle], [], [])
    os.kill(os.getpid(), signal.SIGKILL)
