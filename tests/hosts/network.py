"""Hosts for tests: network namespaces on one bridge, with a real sshd in each.

All of it lives in namespaces and a folder of its own, with keys made for the test. Files and process numbers are shared
by all hosts.
"""
import os
import pathlib
import shutil
import socket
import subprocess
import time

SSH_PORT = 2222
SUBNET = "10.77.0"
HEAD = 0  # the host that has the bridge: where a user would sit


def why_not():
    """A sentence where this machine cannot play hosts; None where it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    for program in ("ip", "tc", "ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            return f"there is no {program} (apt-get install iproute2 openssh-client)"
    if sshd_path() is None:
        return "there is no sshd (apt-get install openssh-server)"
    name = f"ds{os.getpid()}try"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        return f"network namespaces are not allowed here: {tried.stderr.strip()}"
    tried = subprocess.run(["ip", "-n", name, "link", "add", "br0", "type", "bridge"], capture_output=True, text=True,
                           check=False)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None if tried.returncode == 0 else f"no bridges here: {tried.stderr.strip()}"


def sshd_path():
    return shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


def ip(*words):
    subprocess.run(["ip", *map(str, words)], check=True)


class Network:
    """`num_hosts` hosts called host1, host2 ..., and a head without sshd.

    They are node1, node2 ... everywhere too, and on the head for ssh as well, for commands that are given no ssh
    configuration: `ip netns exec` lays what is in /etc/netns/NAME over /etc. Networks of one process
    differ in `tag`.
    """

    def __init__(self, folder, num_hosts, tag=""):
        self.folder = pathlib.Path(folder)
        self._tag = tag
        self.numbers = range(1, num_hosts + 1)
        self._daemons = []
        try:
            self._build()
        except BaseException:
            self.close()  # what stands already would be in the way of the next run
            raise

    def _build(self):
        for number in (HEAD, *self.numbers):
            ip("netns", "add", self.namespace(number))
            ip("-n", self.namespace(number), "link", "set", "lo", "up")
        head = self.namespace(HEAD)
        ip("-n", head, "link", "add", "br0", "type", "bridge")
        ip("-n", head, "addr", "add", f"{self.head_address}/24", "dev", "br0")
        ip("-n", head, "link", "set", "br0", "up")
        for number in self.numbers:
            self._plug_in(number)
        self._make_keys()
        for number in self.numbers:
            self._start_sshd(number)

    def namespace(self, number):
        return f"ds{os.getpid()}{self._tag}h{number}"

    def address(self, number):
        return f"{SUBNET}.{number}"

    @property
    def head_address(self):
        return f"{SUBNET}.100"

    def command(self, number, *words):
        """Words that run `words` on that host."""
        return ["ip", "netns", "exec", self.namespace(number), *map(str, words)]

    def is_daemon(self, pid):
        """Whether that is one of our sshd's, which has to be there for the next test."""
        return pid in [daemon.pid for daemon in self._daemons]

    def set_link(self, number, state):
        """The cable of that host: "up" or "down"."""
        ip("-n", self.namespace(HEAD), "link", "set", f"port{number}", state)

    def limit_link(self, number, megabits):
        """What that host sends, from now on."""
        subprocess.run(["tc", "-n", self.namespace(number), "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate",
                        f"{megabits}mbit", "burst", "32kbit", "latency", "50ms"], check=True)

    def free_link(self, number):
        subprocess.run(["tc", "-n", self.namespace(number), "qdisc", "del", "dev", "eth0", "root"], check=True)

    def add_key(self, name, forced_command):
        """Makes a key with which every host runs that command, whatever it is asked for; the path of its file."""
        path = self.folder / name
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
        public = path.with_suffix(".pub").read_text(encoding="utf-8")
        with open(self.folder / "authorized_keys", "a", encoding="utf-8") as file:
            file.write(f'command="{forced_command}" {public}')
        return path

    def config_with(self, name, changes):
        """A copy of the ssh configuration in which hosts (by number) have these lines first; the path of its file."""
        path = self.folder / name
        blocks = "".join(f"Host host{number}\n" + "".join(f"  {line}\n" for line in lines)
                         for number, lines in changes.items())
        path.write_text(blocks + self.ssh_config.read_text(encoding="utf-8"), encoding="utf-8")
        return path

    @property
    def ssh_config(self):
        return self.folder / "ssh_config"

    def _etc(self, number):
        return pathlib.Path("/etc/netns") / self.namespace(number)

    def close(self):
        for number in (HEAD, *self.numbers):
            shutil.rmtree(self._etc(number), ignore_errors=True)
        for daemon in self._daemons:
            daemon.kill()
            daemon.wait()
        for number in (HEAD, *self.numbers):
            subprocess.run(["ip", "netns", "del", self.namespace(number)], check=False)

    def _plug_in(self, number):
        head, host = self.namespace(HEAD), self.namespace(number)
        ip("-n", head, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", host)
        ip("-n", head, "link", "set", f"port{number}", "master", "br0", "up")
        ip("-n", host, "addr", "add", f"{self.address(number)}/24", "dev", "eth0")
        ip("-n", host, "link", "set", "eth0", "up")

    def _make_keys(self):
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name], check=True)
        shutil.copy(self.folder / "user_key.pub", self.folder / "authorized_keys")
        common = (f"  Port {SSH_PORT}\n  IdentityFile {self.folder}/user_key\n  IdentitiesOnly yes\n"
                  "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n")
        names = "".join(f"Host host{n}\n  HostName {self.address(n)}\n" for n in self.numbers)
        self.ssh_config.write_text(f"{names}Host *\n{common}", encoding="utf-8")
        names = f"127.0.0.1 localhost\n127.0.1.1 {socket.gethostname()}\n{self.head_address} head\n" + "".join(
            f"{self.address(n)} node{n}\n" for n in self.numbers)
        for number in (HEAD, *self.numbers):
            self._etc(number).mkdir(parents=True)
            (self._etc(number) / "hosts").write_text(names, encoding="utf-8")
        (self._etc(HEAD) / "ssh").mkdir()
        (self._etc(HEAD) / "ssh/ssh_config").write_text(f"Host node*\n{common}", encoding="utf-8")
        (self.folder / "sshd_config").write_text(
            f"Port {SSH_PORT}\nHostKey {self.folder}/host_key\nAuthorizedKeysFile {self.folder}/authorized_keys\n"
            "StrictModes no\nUsePAM no\nPidFile none\nPermitRootLogin yes\nPasswordAuthentication no\n",
            encoding="utf-8")

    def _start_sshd(self, number):
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)  # sshd insists on it
        log = self.folder / f"sshd{number}.log"  # a pipe that nobody reads would fill up, and sshd stand still
        with open(log, "w", encoding="utf-8") as file:
            daemon = subprocess.Popen(self.command(number, sshd_path(), "-D", "-e", "-f", self.folder / "sshd_config"),
                                      stdin=subprocess.DEVNULL, stderr=file)
        self._daemons.append(daemon)
        while "Server listening on 0.0.0.0" not in log.read_text(encoding="utf-8"):
            if daemon.poll() is not None:
                raise RuntimeError(f"sshd of host{number} ended with {daemon.returncode}: {log.read_text('utf-8')}")
            time.sleep(0.05)
