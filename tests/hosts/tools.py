"""The programs about hosts, called on the head of a network."""
import json
import os
import pathlib
import shlex
import subprocess
import sys
import time

from launch import program, write_script
from network import HEAD

TOOLS = ("ds_check", "ds_hosts", "ds_report", "ds_ssh")


def tool_path(name):
    """Beside the command under test: installed together, or each in its folder of a build tree."""
    command = pathlib.Path(program())
    beside = command.with_name(name)
    return beside if beside.exists() else command.parents[1] / name / name


class Tools:
    """One folder with all programs and a `python3` that is this one, as an environment has it."""

    def __init__(self, network, folder):
        self.network = network
        self.bin = pathlib.Path(folder) / "bin"
        self.bin.mkdir()
        for name in TOOLS:
            (self.bin / name).symlink_to(tool_path(name))
        write_script(self.bin / "python3", f'exec {shlex.quote(sys.executable)} "$@"\n')
        self.seconds = 0.0

    def run(self, name, *arguments, config=None, number=HEAD):
        """The finished process; `seconds` is how long it took."""
        words = [self.bin / name, "--launcher_args", f"-F {config or self.network.ssh_config}", *arguments]
        begin = time.monotonic()
        result = subprocess.run(self.network.command(number, *words), cwd=self.bin.parent, stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, timeout=120, check=False,
                                env=os.environ | {"PYTHON": ""})
        self.seconds = time.monotonic() - begin
        return result

    def json(self, name, *arguments, **options):
        result = self.run(name, "--json", *arguments, **options)
        return result.returncode, json.loads(result.stdout)

    def hostfile(self, *names, slots=1):
        path = self.bin.parent / "hostfile.txt"
        path.write_text("".join(f"{name} slots={slots}\n" for name in names), encoding="utf-8")
        return path


def stand_in(folder, name, setting):
    """A forced command that does what it was asked for, after `setting` (lines of sh)."""
    return write_script(pathlib.Path(folder) / name, f'{setting}\nexec /bin/sh -c "$SSH_ORIGINAL_COMMAND"\n')


def fake_torch(folder, version):
    """A folder for PYTHONPATH with a torch of that version, which cannot be imported."""
    folder = pathlib.Path(folder)
    (folder / "torch").mkdir(parents=True)
    (folder / "torch/__init__.py").write_text("raise SystemExit('torch was imported')\n", encoding="utf-8")
    (folder / "torch/version.py").write_text(f"__version__ = '{version}'\ncuda = None\n", encoding="utf-8")
    (folder / f"torch-{version}.dist-info").mkdir()
    (folder / f"torch-{version}.dist-info/METADATA").write_text(
        f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n", encoding="utf-8")
    return folder
