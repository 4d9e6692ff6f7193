"""utils/timer.py with a clock that the test sets."""

from __future__ import annotations

import pytest

from deepspeed.utils import timer
from deepspeed.utils.timer import NoopTimer, SynchronizedWallClockTimer, ThroughputTimer


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(timer, "_now", made)
    return made


def test_intervals_add_up_in_milliseconds(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    timers = SynchronizedWallClockTimer()
    for seconds in (1.0, 3.0):
        timers("fwd").start()
        clock.seconds += seconds
        timers("fwd").stop()
    assert timers("fwd").mean() == 2000.0
    timers.log(["fwd", "never started"])
    assert capsys.readouterr().out == "[Rank 0] time (ms) | fwd: 4000.00\n"
    assert timers("fwd").elapsed() == 0.0


def test_unbalanced_calls_are_errors(clock: Clock) -> None:
    one = SynchronizedWallClockTimer()("x")
    with pytest.raises(RuntimeError, match="x: stop"):
        one.stop()
    one.start()
    with pytest.raises(RuntimeError, match="x: start"):
        one.start()


def test_throughput_leaves_the_first_steps_out(clock: Clock) -> None:
    lines: list[str] = []
    throughput = ThroughputTimer(None, batch_size=8, start_step=2, steps_per_output=1, logging_fn=lines.append)
    for _ in range(4):
        throughput.start()
        clock.seconds += 2.0
        throughput.stop(global_step=True)
    assert throughput.avg_samples_per_sec() == 4.0
    assert len(lines) == 2 and "RunningAvgSamplesPerSec=4.000, CurrSamplesPerSec=4.000" in lines[-1]


def test_the_noop_timer_measures_nothing() -> None:
    noop = NoopTimer()
    noop("x").start()
    noop("x").stop(record=True)
    assert noop("x").elapsed(reset=False) == 0.0 and noop.get_timers() == {}
