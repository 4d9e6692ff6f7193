"""Faults on three hosts: who died first is said once, all ranks end in time, and nothing is left anywhere."""
import os
import signal

import pytest

from launch import parent_of, wait_until_gone, within

END_S = 5  # after a death that the kernel tells
SILENCE_S = 15  # after a host that says nothing any more
# Each rank leaves a process of a session of its own that ignores SIGTERM, then waits for ever.
RANK = """setsid sh -c 'trap "" TERM; echo "child$RANK $$ ready"; while :; do sleep 1000; done' &
echo "pid$RANK $$ ready"
exec sleep 1000
"""


@pytest.fixture
def running(start):
    launch = start(RANK)
    launch.read_until(" ready", 8)
    launch.pids = [launch.number_after(f"{label}{rank}") for label in ("pid", "child") for rank in range(4)]
    return launch


def agent_of(launch, rank):
    return parent_of(launch.number_after(f"pid{rank}"))


def test_a_killed_rank(running):
    with within(END_S):
        os.kill(running.number_after("pid2"), signal.SIGKILL)
        assert running.wait() == 128 + signal.SIGKILL
    assert wait_until_gone(running.pids, 0)
    assert running.err.count("failed first") == 1
    assert "rank 2 failed first" in running.err and "host      host2\n" in running.err
    assert "SIGKILL: killed" in running.err and "    | pid2 " in running.err


def test_a_rank_that_gives_up(start):
    launch = start('[ $RANK = 3 ] && { seq 30; exit 7; }\necho "pid$RANK $$"\nexec sleep 1000\n')
    assert launch.wait() == 7
    assert "rank 3 failed first" in launch.err and "exit code 7" in launch.err
    assert "    | 11\n" in launch.err and "    | 10\n" not in launch.err


@pytest.mark.parametrize("who", ["agent", "guard"])
def test_a_killed_agent(running, who):
    agent = agent_of(running, 2)
    with within(END_S):
        os.kill(agent if who == "agent" else parent_of(agent), signal.SIGKILL)
        code = running.wait()
        assert wait_until_gone(running.pids, END_S)
    assert "host host2 was lost first" in running.err and "rank 2 of 4" in running.err
    assert code in (1, 128 + signal.SIGKILL)


def test_a_killed_launcher(running):
    with within(END_S):
        running.kill()
        running.wait()
        assert wait_until_gone(running.pids, END_S)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_launcher(running, number):
    with within(END_S):
        running.kill(number)
        assert running.wait() == 128 + number
    assert wait_until_gone(running.pids, 0)
    assert f"got {number.name}, all ranks were ended" in running.err


def test_a_stopped_host(running):
    agent = agent_of(running, 2)
    stopped = [parent_of(agent), agent, running.number_after("pid2")]
    on_others = [running.number_after(f"{label}{rank}") for label in ("pid", "child") for rank in (0, 1, 3)]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        with within(SILENCE_S):
            assert running.wait() == 1
            assert wait_until_gone(on_others, 0)
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)
    assert "host host2 was lost first" in running.err and "nothing was heard from it for 8 s" in running.err
    assert wait_until_gone(running.pids, END_S)


def test_an_unreachable_host(running, network):
    network.set_link(3, "down")
    try:
        with within(SILENCE_S):
            assert running.wait() == 1
            assert wait_until_gone(running.pids, SILENCE_S)  # on the host that is cut off as well
    finally:
        network.set_link(3, "up")
    assert "host host3 was lost first" in running.err
