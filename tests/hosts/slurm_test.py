"""Launches in real Slurm jobs: the command alone in salloc and sbatch, and behind srun, is the same training."""
import os
import shutil
import signal
import subprocess

import pytest

from launch import ROOT, Launch, needs_package, program, wait_until_gone, within, write_script

SHOW_PLACE = ('echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_SIZE $CROSS_RANK/$CROSS_SIZE $MASTER_ADDR $PWD '
              '${SLURMD_NODENAME}"\n')
WAIT = 'echo "pid$RANK $$ ready"\nexec sleep 1000\n'
SALLOC = ("salloc", "--quiet", "--nodes=2")
TWO_A_HOST = (*SALLOC, "--ntasks-per-node=2")
SRUN_A_HOST = ("srun", "--nodes=2", "--ntasks-per-node=1")
SRUN_A_RANK = ("srun", "--nodes=2", "--ntasks-per-node=2")
END_S = 5


@pytest.fixture
def launch_in(network, slurm, tmp_path):
    """launch_in(words, *flags, body=...): `deepspeed` behind these words, with ranks that run `body`."""
    launches = []

    def start(inside, *flags, body=SHOW_PLACE, environment=None):
        write_script(tmp_path / "rank.sh", body)
        launches.append(Launch(network, tmp_path, *flags, "--no_python", "--no_local_rank", "./rank.sh",
                               environment=slurm.environment | (environment or {}), inside=inside))
        return launches[-1]

    yield start
    for launch in launches:
        launch.kill(signal.SIGTERM)
        launch.wait()


def places(folder, num_hosts, num_local, prefix):
    """The lines of SHOW_PLACE, each behind prefix(host, rank)."""
    world = num_hosts * num_local
    return [f"{prefix(rank // num_local + 1, rank)}{rank}/{world} {rank % num_local}/{num_local} "
            f"{rank // num_local}/{num_hosts} MASTER {folder} node{rank // num_local + 1}" for rank in range(world)]


def shown(text, master):
    return sorted(line.replace(f" {master} ", " MASTER ") for line in text.splitlines() if "/" in line)


def test_salloc_gives_hosts_and_the_first_is_the_master(launch_in, tmp_path):
    launch = launch_in(SALLOC)
    assert launch.wait() == 0, launch.err
    assert shown(launch.out, "10.77.0.1") == places(tmp_path, 2, 1, lambda host, rank: f"[node{host}:{rank}] ")
    assert "2 hosts, 2 ranks, meeting at 10.77.0.1:" in launch.err


def test_tasks_that_salloc_was_asked_for_are_ranks(launch_in, tmp_path):
    launch = launch_in(TWO_A_HOST)
    assert launch.wait() == 0, launch.err
    assert shown(launch.out, "10.77.0.1") == places(tmp_path, 2, 2, lambda host, rank: f"[node{host}:{rank}] ")


def test_flags_choose_among_the_jobs_hosts(launch_in):
    launch = launch_in(("salloc", "--quiet", "--nodes=3"), "--exclude", "node2", "--log_level", "error",
                       body="echo here\n")
    assert launch.wait() == 0, launch.err
    assert sorted(launch.out.splitlines()) == ["[node1:0] here", "[node3:1] here"]


def test_a_batch_script_needs_no_flag_either(network, slurm, tmp_path):
    write_script(tmp_path / "rank.sh", SHOW_PLACE)
    (tmp_path / "job.sh").write_text(f"#!/bin/sh\nexec {program()} --no_python --no_local_rank ./rank.sh\n",
                                     encoding="utf-8")
    done = subprocess.run(
        network.command(0, "sbatch", "--wait", "--nodes=2", "--ntasks-per-node=2", "--output=job.out", "job.sh"),
        cwd=tmp_path, env=os.environ | slurm.environment | {"DS_ACCELERATOR": "cpu"}, capture_output=True, text=True,
        timeout=120, check=False)
    out = (tmp_path / "job.out").read_text(encoding="utf-8")
    assert done.returncode == 0, done.stderr + out
    lines = [line for line in out.splitlines() if line.startswith("[node")]
    assert shown("\n".join(lines), "10.77.0.1") == places(tmp_path, 2, 2, lambda host, rank: f"[node{host}:{rank}] ")


def test_srun_with_a_task_a_host_starts_the_ranks_there(launch_in, tmp_path):
    launch = launch_in((*SALLOC, *SRUN_A_HOST), "--num_gpus", "2")
    assert launch.wait() == 0, launch.err
    assert shown(launch.out, "node1") == places(tmp_path, 2, 2, lambda host, rank: f"[rank {rank}] ")


def test_srun_with_a_task_a_rank_is_the_same_launch(launch_in, tmp_path):
    launch = launch_in((*TWO_A_HOST, *SRUN_A_RANK))
    assert launch.wait() == 0, launch.err
    assert shown(launch.out, "node1") == places(tmp_path, 2, 2, lambda host, rank: "")


def test_flags_that_srun_has_decided_are_errors(launch_in):
    launch = launch_in((*SALLOC, *SRUN_A_HOST), "--num_nodes", "1")
    assert launch.wait() != 0
    assert "--num_nodes: srun has started 2 of these commands" in launch.err


def test_hostile_arguments_pass_through_srun_unchanged(network, slurm, tmp_path):
    hostile = ["a  b", "'; touch owned; '", "$(touch owned)", "`touch owned`", "*", "", "-h", "x\ny", '"', "\\"]
    write_script(tmp_path / "rank.sh", 'for one in "$@" "$NCCL_EVIL"; do printf "<%s>" "$one"; done > "out.$RANK"\n')
    launch = Launch(network, tmp_path, "--no_python", "--no_local_rank", "./rank.sh", *hostile, inside=SALLOC,
                    environment=slurm.environment | {"NCCL_EVIL": "'; touch owned; $(touch owned)\n"})
    assert launch.wait() == 0, launch.err
    for rank in range(2):
        text = (tmp_path / f"out.{rank}").read_text(encoding="utf-8")
        assert text == "".join(f"<{one}>" for one in [*hostile, "'; touch owned; $(touch owned)\n"])
    assert not (tmp_path / "owned").exists()


@needs_package
@pytest.mark.parametrize("inside, num_ranks", [(SALLOC, 2), ((*SALLOC, *SRUN_A_HOST), 2), ((*TWO_A_HOST, *SRUN_A_RANK), 4)],
                         ids=["salloc", "srun, a task a host", "srun, a task a rank"])
def test_ranks_train_to_the_same_weights(network, slurm, tmp_path, inside, num_ranks):
    shutil.copy(ROOT / "tests/hosts/train.py", tmp_path / "train.py")
    launch = Launch(network, tmp_path, "train.py", environment=slurm.environment, inside=inside)
    assert launch.wait() == 0, launch.out + launch.err
    said = [line.partition("on eth0: ")[2] for line in launch.out.splitlines() if "on eth0: " in line]
    assert len(said) == num_ranks, launch.out
    assert len(set(said)) == 1 and said[0].startswith("True "), launch.out


def test_a_killed_rank_ends_the_job_on_all_hosts(launch_in):
    launch = launch_in(SALLOC, body=WAIT)
    launch.read_until(" ready", 2)
    pids = [launch.number_after(f"pid{rank}") for rank in range(2)]
    with within(END_S):
        os.kill(pids[1], signal.SIGKILL)
        assert launch.wait() == 128 + signal.SIGKILL
    assert wait_until_gone(pids, 0)
    assert launch.err.count("failed first") == 1 and "rank 1 failed first" in launch.err
    assert "host      node2\n" in launch.err and "    | pid1 " in launch.err


def test_a_killed_rank_ends_the_step_that_srun_has_started(launch_in):
    launch = launch_in((*SALLOC, *SRUN_A_HOST), body=WAIT)
    launch.read_until(" ready", 2)
    pids = [launch.number_after(f"pid{rank}") for rank in range(2)]
    with within(END_S):
        os.kill(pids[1], signal.SIGKILL)
        assert launch.wait() != 0
    assert wait_until_gone(pids, END_S)
    assert "rank 1 failed first" in launch.err and "host      node2\n" in launch.err


def test_a_killed_launcher_leaves_nothing(launch_in):
    launch = launch_in(SALLOC, body=WAIT)
    launch.read_until(" ready", 2)
    pids = [launch.number_after(f"pid{rank}") for rank in range(2)]
    launcher = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and is_launcher(int(entry))]
    assert len(launcher) == 1
    with within(END_S):
        os.kill(launcher[0], signal.SIGKILL)
        launch.wait()
        assert wait_until_gone(pids, END_S)


def is_launcher(pid):
    """The `deepspeed` of this test that talks to agents."""
    try:
        words = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
    except OSError:
        return False
    return words[0] == os.fsencode(program()) and b"--no_python" in words and b"--host_agent" not in words
