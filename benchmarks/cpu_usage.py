"""Processor time of a worker, Temporal and PostgreSQL."""

from dataclasses import astuple, dataclass

import psutil

from benchmarks.worker_processes import WorkerProcess


@dataclass(frozen=True)
class CpuUsage:
    """Seconds of user and system time."""

    worker: float
    temporal: float
    postgres: float

    def milliseconds_each(self, before: "CpuUsage", number: int) -> tuple[float, float, float]:
        """Return the milliseconds per item since `before`: of the worker, Temporal and PostgreSQL."""
        pairs = zip(astuple(self), astuple(before), strict=True)
        worker, temporal, postgres = ((now - then) * 1000 / number for now, then in pairs)
        return worker, temporal, postgres


@dataclass(frozen=True)
class ServerProcesses:
    """The process IDs of the embedded servers."""

    temporal: int
    postgres: int

    async def usage_with(self, *workers: WorkerProcess) -> CpuUsage:
        """Return the processor time of all workers together and of the servers, since their start."""
        of_workers = sum([(await worker.usage()).cpu_seconds for worker in workers])
        return CpuUsage(of_workers, _of_all(self.temporal), _of_all(self.postgres))


def _of_all(pid: int) -> float:
    """Return the seconds of a server and all its child processes, including those that have ended."""
    server = psutil.Process(pid)
    times = server.cpu_times()
    ended = times.children_user + times.children_system
    return ended + sum(map(_of, (server, *server.children(recursive=True))))


def _of(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:  # It has just ended; the next call counts it among the ended children.
        return 0.0
    return times.user + times.system
