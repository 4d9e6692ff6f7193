"""A host that dies in the middle of training: the launch goes on with the others from the last checkpoint."""
import os
import shutil
import signal
import subprocess

import pytest

from launch import ROOT, Launch, needs_package, within

RECOVERY_S = 30
NUM_STEPS = 6
HANG_AT = 3


@pytest.fixture
def start(network, tmp_path):
    """start(hosts, *arguments, flags=()): training on a rank of each host; whatever still runs after the test is ended."""
    launches = []

    def start_training(hosts, *arguments, flags=()):
        (tmp_path / "hostfile.txt").write_text("".join(f"{host} slots=1\n" for host in hosts), encoding="utf-8")
        shutil.copy(ROOT / "tests/hosts/elastic.py", tmp_path / "elastic.py")
        words = ["-H", "hostfile.txt", *flags, "--no_local_rank", "elastic.py", *map(str, arguments)]
        launches.append(Launch(network, tmp_path, *words))
        return launches[-1]

    yield start_training
    for launch in launches:
        launch.kill()
        launch.wait()


def losses(out):
    """The lines about steps, without their prefix."""
    return [line.partition("] ")[2] for line in out.splitlines() if "] step " in line]


def kill_host(network, number):
    """Pulls its cable and kills all that runs there but sshd, so that nobody is told."""
    network.set_link(number, "down")
    pids = subprocess.run(["ip", "netns", "pids", network.namespace(number)], capture_output=True, text=True, check=True)
    for pid in map(int, pids.stdout.split()):
        if not network.is_daemon(pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass


@needs_package
def test_training_goes_on_without_a_host_that_died_with_the_same_global_batch(start, network, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    launch = start(["node1", "node2", "node3"], "checkpoints", NUM_STEPS, HANG_AT,
                   flags=["--max_restarts", "2", "--min_nodes", "2"])
    launch.read_until(" ready", 3)
    assert "from step 0 with 3 ranks, 2 micro-batches" in launch.out
    shutil.copytree(tmp_path / "checkpoints", tmp_path / "copy")
    try:
        with within(RECOVERY_S):
            kill_host(network, 3)
            launch.read_until(f"step {HANG_AT} loss")
        assert launch.wait() == 0, launch.out + launch.err
    finally:
        network.set_link(3, "up")
    assert "deepspeed: host node3 was lost; restart 1 of 2 on 2 hosts.\n" in launch.err
    assert f"from step {HANG_AT} with 2 ranks, 3 micro-batches" in launch.out
    begun_again = losses(launch.out)[HANG_AT:]

    alone = start(["node1", "node2"], "copy", NUM_STEPS)
    assert alone.wait() == 0, alone.out + alone.err
    assert f"from step {HANG_AT} with 2 ranks, 3 micro-batches" in alone.out
    assert begun_again == losses(alone.out) and len(begun_again) == NUM_STEPS - HANG_AT


@needs_package
def test_a_killed_rank_resumes_from_its_last_checkpoint_on_all_hosts(start, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    launch = start(["node1", "node2"], "checkpoints", NUM_STEPS, HANG_AT, flags=["--max_restarts", "1"])
    launch.read_until(" ready", 2)
    with within(RECOVERY_S):
        os.kill(launch.number_after("pid1"), signal.SIGKILL)
        assert launch.wait() == 0, launch.out + launch.err
    assert "deepspeed: rank 1 failed (SIGKILL); restart 1 of 1 on 2 hosts.\n" in launch.err
    assert f"from step {HANG_AT} with 2 ranks, 3 micro-batches" in launch.out
    assert len(losses(launch.out)) == NUM_STEPS


@needs_package
def test_a_global_batch_that_does_not_divide_says_so(network, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "hostfile.txt").write_text("node1 slots=5\n", encoding="utf-8")
    shutil.copy(ROOT / "tests/hosts/elastic.py", tmp_path / "elastic.py")
    launch = Launch(network, tmp_path, "-H", "hostfile.txt", "--no_local_rank", "elastic.py", "checkpoints", "1")
    assert launch.wait() == 1
    assert "train_batch_size must be" in launch.err and "12 is not 2 x 1 x 5" in launch.err
