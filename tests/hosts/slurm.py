"""A real Slurm on the hosts of a test: slurmctld on the head, a slurmd on each host, called node1, node2 ...

All of it, with its key and its logs, lives in a folder of its own; nothing of the machine's own Slurm is read.
"""
import os
import pathlib
import shutil
import subprocess
import time

from network import HEAD

PATIENCE_S = 60
DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("srun", "sbatch", "salloc", "sinfo")


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def why_not():
    """A sentence where there is no Slurm here; None where there is."""
    missing = [program for program in (*DAEMONS, *COMMANDS) if find(program) is None]
    return f"there is no {', '.join(missing)} (apt-get install slurm-wlm munge)" if missing else None


class Slurm:
    def __init__(self, network, folder):
        self.network = network
        self.folder = pathlib.Path(folder)
        self.environment = {"SLURM_CONF": str(self.folder / "slurm.conf")}
        self._log = open(self.folder / "daemons.log", "w+", encoding="utf-8")  # closed with the daemons
        self._daemons = []
        (self.folder / "state").mkdir()
        self._write_configuration()

    def start(self):
        """Returns once all hosts take jobs. What it has started is for close() to end, also where it fails."""
        self._start_munge()
        self._start(HEAD, "slurmctld", "-D")
        for number in self.network.numbers:
            self._start(number, "slurmd", "-D", "-N", f"node{number}")
        self.wait_until_idle()

    def wait_until_idle(self):
        """Until every host is up and has no job."""
        deadline = time.monotonic() + PATIENCE_S
        while self._states() != {"idle"}:
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def close(self):
        for daemon in reversed(self._daemons):
            daemon.terminate()
        for daemon in self._daemons:
            try:
                daemon.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        self._log.close()

    def _write_configuration(self):
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(256))
        key.chmod(0o600)
        folder, numbers = self.folder, list(self.network.numbers)
        nodes = "".join(f"NodeName=node{n} NodeAddr={self.network.address(n)} NodeHostname=node{n} CPUs=4 "
                        "Sockets=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=500 State=UNKNOWN\n" for n in numbers)
        (folder / "slurm.conf").write_text(
            f"ClusterName=test\nSlurmctldHost=localhost({self.network.head_address})\nSlurmUser=root\n"
            f"AuthType=auth/munge\nAuthInfo=socket={folder}/munge.socket\nStateSaveLocation={folder}/state\n"
            f"SlurmdSpoolDir={folder}/spool-%n\nSlurmctldPidFile={folder}/slurmctld.pid\n"
            f"SlurmdPidFile={folder}/slurmd-%n.pid\nProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\n"
            "SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\nReturnToService=2\nMpiDefault=none\n"
            "JobAcctGatherType=jobacct_gather/none\nSlurmdParameters=config_overrides\nSwitchType=switch/none\n"
            f"{nodes}PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n", encoding="utf-8")
        (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n", encoding="utf-8")

    def _start_munge(self):
        folder = self.folder
        self._daemons.append(subprocess.Popen(
            [find("munged"), "--foreground", "--force", f"--key-file={folder}/munge.key",
             f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log",
             f"--seed-file={folder}/munge.seed"], stdout=self._log, stderr=self._log))
        deadline = time.monotonic() + PATIENCE_S
        while not (folder / "munge.socket").exists():
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)

    def _start(self, number, program, *arguments):
        self._daemons.append(subprocess.Popen(self.network.command(number, find(program), *arguments),
                                              env=os.environ | self.environment, stdin=subprocess.DEVNULL,
                                              stdout=self._log, stderr=self._log))

    def _states(self):
        done = subprocess.run(self.network.command(HEAD, find("sinfo"), "--noheader", "--Node", "--format=%T"),
                              env=os.environ | self.environment, capture_output=True, text=True, check=False)
        return set(done.stdout.split())

    def said(self):
        return (self.folder / "daemons.log").read_text(encoding="utf-8")[-4000:]
