"""A running `deepspeed` command on the head, or on one of the hosts."""
import contextlib
import importlib.util
import os
import pathlib
import select
import shlex
import signal
import subprocess
import tempfile
import threading
import time

import pytest

from network import HEAD

PATIENCE_S = 120
ROOT = pathlib.Path(__file__).resolve().parents[2]
needs_package = pytest.mark.skipif(
    importlib.util.find_spec("deepspeed") is None and "PYTHON" not in os.environ,
    reason="the deepspeed package is not installed: make build")


def program():
    """The command under test: DS_DEEPSPEED_PROGRAM, or the one that `make build` installs."""
    return os.environ.get("DS_DEEPSPEED_PROGRAM", str(ROOT / ".venv/bin/deepspeed"))


def heed_interrupts():
    """A job that a script puts in the background ignores SIGINT, and so does what it starts, the launcher rightly too."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Launch:
    """`inside`: the words of a command that starts ours. Whatever does not end in two minutes is killed."""

    def __init__(self, network, folder, *arguments, number=HEAD, environment=None, program_path=None, inside=()):
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="surrogateescape")
        self.process = subprocess.Popen(
            network.command(number, *inside, program_path or program(), *arguments), cwd=folder, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=self._errors, text=True, errors="surrogateescape",
            env=os.environ | {"DS_ACCELERATOR": "cpu"} | (environment or {}), preexec_fn=heed_interrupts)
        self.out = ""
        self._watchdog = threading.Timer(PATIENCE_S, self.process.kill)
        self._watchdog.start()

    def read_until(self, text, count=1):
        while self.out.count(text) < count:
            line = self.process.stdout.readline()
            assert line, f'ended without saying "{text}" {count} times:\n{self.out}{self.err}'
            self.out += line

    def wait(self):
        """Reads to the end; the exit code, 128 + signal where one ended it."""
        self.out += self.process.stdout.read()
        code = self.process.wait()
        self._watchdog.cancel()
        return 128 - code if code < 0 else code

    @property
    def err(self):
        self._errors.seek(0)
        return self._errors.read()

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)

    def number_after(self, label):
        return int(self.out.split(f"{label} ", 1)[1].split()[0])


@contextlib.contextmanager
def within(seconds):
    """What is inside may take so long: a promise to users."""
    begin = time.monotonic()
    yield
    assert time.monotonic() - begin < seconds


def wait_until_gone(pids, seconds):
    """Whether all processes end in that time."""
    deadline = time.monotonic() + seconds
    for pid in pids:
        try:
            handle = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        try:
            if not select.select([handle], [], [], max(0, deadline - time.monotonic()))[0]:
                return False
        finally:
            os.close(handle)
    return True


def parent_of(pid):
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return int(stat.rpartition(")")[2].split()[1])


def write_script(path, body):
    path.write_text(f"#!/bin/sh\n{body}", encoding="utf-8")
    path.chmod(0o755)
    return shlex.quote(str(path))
