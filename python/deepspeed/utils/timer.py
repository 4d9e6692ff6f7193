"""Wall-clock timers that wait for the device first, and the throughput that `steps_per_print` reports."""

from __future__ import annotations

import time
from typing import Any, Callable

from deepspeed.accelerator import get_accelerator
from deepspeed.utils.log import log_dist

__all__ = ["NoopTimer", "SynchronizedWallClockTimer", "ThroughputTimer"]


def _now() -> float:
    """Seconds, once everything handed to the device is done."""
    get_accelerator().synchronize()
    return time.perf_counter()


class SynchronizedWallClockTimer:
    """Named timers: `timers("fwd").start()`, `timers("fwd").stop()`, `timers.log(["fwd"])`."""

    class Timer:
        """Adds up the time between starts and stops. Times are given out in milliseconds."""

        def __init__(self, name: str) -> None:
            self.name_ = name
            self.started_ = False
            self._start = 0.0
            self._records: list[float] = []

        def start(self) -> None:
            if self.started_:
                raise RuntimeError(f"[deepspeed.utils.timer] {self.name_}: start() without stop() before it.")
            self.started_, self._start = True, _now()

        def stop(self, reset: bool = False, record: bool = False) -> None:
            """Ends the interval; `reset` forgets the ones before it."""
            if not self.started_:
                raise RuntimeError(f"[deepspeed.utils.timer] {self.name_}: stop() without start() before it.")
            interval = _now() - self._start
            self._records = [interval] if reset else [*self._records, interval]
            self.started_ = False

        def reset(self) -> None:
            self.started_, self._records = False, []

        def elapsed(self, reset: bool = True) -> float:
            """The sum of all intervals, the open one included."""
            was_started = self.started_
            if was_started:
                self.stop()
            total = sum(self._records) * 1e3
            if reset:
                self.reset()
            if was_started:
                self.start()
            return total

        def mean(self) -> float:
            return sum(self._records) * 1e3 / len(self._records) if self._records else 0.0

    def __init__(self) -> None:
        self.timers: dict[str, SynchronizedWallClockTimer.Timer] = {}

    def __call__(self, name: str) -> SynchronizedWallClockTimer.Timer:
        return self.timers.setdefault(name, self.Timer(name))

    def get_timers(self) -> dict[str, SynchronizedWallClockTimer.Timer]:
        return self.timers

    def get_mean(self, names: list[str], normalizer: float = 1.0, reset: bool = True) -> dict[str, float]:
        """Milliseconds per timer of `names` that exists, divided by `normalizer`."""
        means = {name: self.timers[name].mean() / normalizer for name in names if name in self.timers}
        if reset:
            for name in means:
                self.timers[name].reset()
        return means

    def log(
        self,
        names: list[str],
        normalizer: float = 1.0,
        reset: bool = True,
        memory_breakdown: bool = False,
        ranks: Any = None,
    ) -> None:
        """Prints one line with the timers of `names` that exist, on `ranks` (0 by default), at any log level."""
        from deepspeed import comm

        rank = comm.get_rank() if comm.is_initialized() else 0
        known = [name for name in names if name in self.timers]
        times = [f"{name}: {self.timers[name].elapsed(reset) / normalizer:.2f}" for name in known]
        if times and rank in (ranks or [0]):
            print(f"[Rank {rank}] time (ms) | {' | '.join(times)}", flush=True)


class NoopTimer:
    """Has the timers' methods and measures nothing."""

    class Timer:
        def start(self) -> None: ...

        def stop(self, **_: Any) -> None: ...

        def reset(self) -> None: ...

        def elapsed(self, **_: Any) -> float:
            return 0.0

        def mean(self) -> float:
            return 0.0

    def __init__(self) -> None:
        self._timer = self.Timer()

    def __call__(self, name: str) -> NoopTimer.Timer:
        return self._timer

    def get_timers(self) -> dict[str, Any]:
        return {}

    def log(self, names: list[str], **_: Any) -> None: ...


class ThroughputTimer:
    """Samples a second over the steps after the first `start_step` ones, which warm up."""

    def __init__(
        self,
        config: Any,
        batch_size: int,
        start_step: int = 2,
        steps_per_output: int | None = None,
        monitor_memory: bool = False,
        logging_fn: Callable[[str], None] | None = None,
    ) -> None:
        self.batch_size = max(1, batch_size)
        self.start_step = start_step
        self.steps_per_output = steps_per_output
        self.micro_step_count = self.global_step_count = self.epoch_count = 0
        self.total_elapsed_time = 0.0
        self._logging = logging_fn or (lambda message: log_dist(message, ranks=[0]))
        self._start: float | None = None
        self._step_elapsed = 0.0

    def update_epoch_count(self) -> None:
        self.epoch_count, self.micro_step_count = self.epoch_count + 1, 0

    def start(self) -> None:
        """Before a micro-batch."""
        if self.global_step_count >= self.start_step:
            self._start = _now()

    def stop(self, global_step: bool = False, report_speed: bool = True) -> None:
        """After a micro-batch; `global_step` says that the optimizer stepped."""
        self.micro_step_count += 1
        self.global_step_count += global_step
        if self._start is None:
            return
        elapsed, self._start = _now() - self._start, None
        self.total_elapsed_time += elapsed
        self._step_elapsed += elapsed
        if not global_step:
            return
        if report_speed and self.steps_per_output and self.global_step_count % self.steps_per_output == 0:
            self._report()
        self._step_elapsed = 0.0

    def avg_samples_per_sec(self) -> float:
        """Over all measured steps; minus infinity before the first."""
        steps = self.global_step_count - self.start_step
        if steps <= 0 or self.total_elapsed_time <= 0:
            return float("-inf")
        return self.batch_size * steps / self.total_elapsed_time

    def _report(self) -> None:
        accelerator = get_accelerator()
        self._logging(
            f"epoch={self.epoch_count}/micro_step={self.micro_step_count}/global_step={self.global_step_count}, "
            f"RunningAvgSamplesPerSec={self.avg_samples_per_sec():.3f}, "
            f"CurrSamplesPerSec={self.batch_size / self._step_elapsed:.3f}, "
            f"MemAllocated={accelerator.memory_allocated() / 2**30:.2f}GB, "
            f"MaxMemAllocated={accelerator.max_memory_allocated() / 2**30:.2f}GB"
        )
