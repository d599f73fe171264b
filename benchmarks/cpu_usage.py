"""Processor time of a worker and of the servers that it works with."""

from dataclasses import astuple, dataclass

import psutil

from benchmarks.worker_processes import WorkerProcess


@dataclass(frozen=True)
class Spent:
    """Seconds, as user and as system time."""

    worker: float
    temporal: float
    postgres: float

    def milliseconds_each(self, before: "Spent", number: int) -> tuple[float, float, float]:
        """What was spent since then, for each of so many: by the worker, Temporal, PostgreSQL."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        worker, temporal, postgres = ((now - then) * 1000 / number for now, then in pairs)
        return worker, temporal, postgres


@dataclass(frozen=True)
class Servers:
    """The processes of the embedded servers, by their pids."""

    temporal: int
    postgres: int

    async def spent_with(self, worker: WorkerProcess) -> Spent:
        """By now, since each was started."""
        used = await worker.used()
        return Spent(used.cpu_seconds, _of_all(self.temporal), _of_all(self.postgres))


def _of_all(pid: int) -> float:
    """Of a server and its processes, those that have ended included."""
    server = psutil.Process(pid)
    times = server.cpu_times()
    ended = times.children_user + times.children_system
    return ended + sum(map(_of, (server, *server.children(recursive=True))))


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # in the moment between; it is among those that have ended next time
        return 0.0
    return times.user + times.system
