"""The resident memory of a server and of the processes that it started."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import psutil

PAUSE_SECONDS = 1.0
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory in MiB when `answered` searches had been answered.

    engine: of all processes that the server started, together; what they share counts in each.
    """

    answered: int
    server: float
    engine: float


@dataclass(slots=True)
class Memory:
    """Samples of one server, in the order of time."""

    server: psutil.Process
    answered: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)

    def look(self) -> None:
        """Take one sample."""
        engine = 0.0
        for child in self.server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended since
                engine += _mib(child)
        self.samples.append(Sample(self.answered(), _mib(self.server), engine))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Take a sample before the block, one every second, and one after it."""
        self.look()
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        self.look()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            self.look()


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory in MiB: before the first search, after the first some, at most, at the end."""

    start: float
    early: float
    most: float
    end: float

    @classmethod
    def of(cls, samples: Sequence[Sample], early: int, size: Callable[[Sample], float]) -> "Growth":
        """From all samples; `early` is how many answers the second figure waits for."""
        then = next((each for each in samples if each.answered >= early), samples[-1])
        sizes = [size(each) for each in samples]
        return cls(sizes[0], size(then), max(sizes), sizes[-1])

    @property
    def ratio(self) -> float:
        """The most / after the first some."""
        return self.most / self.early


def server_at(url: str) -> psutil.Process:
    """The child of this process that was told to listen at a URL's port. Raises RuntimeError."""
    port = str(urlsplit(url).port)
    for child in psutil.Process().children():
        if child.cmdline()[-2:] == ["--port", port]:
            return child
    raise RuntimeError(f"no process of this benchmark listens at {url}")


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / _MIB)
