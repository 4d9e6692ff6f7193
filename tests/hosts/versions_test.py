"""Hosts with different versions: said before anything starts, unless the user wants it so."""
import pathlib
import shutil
import sys

import pytest

from launch import Launch, program, write_script
from tools import fake_torch, stand_in


@pytest.fixture
def launch_with_two_torches(network, tmp_path):
    """launch(*flags): a script on three hosts, the second of which has another torch on its PATH's Python."""
    copy = tmp_path / "deepspeed"  # with no python3 beside it
    shutil.copy(program(), copy)
    config_of = {}
    for number, version in ((1, "2.98.0"), (2, "2.99.0"), (3, "2.98.0")):
        folder = tmp_path / f"host{number}"
        packages = fake_torch(folder, version)
        write_script(folder / "python3", f'PYTHONPATH={packages}:$PYTHONPATH exec {sys.executable} "$@"\n')
        key_name = f"versions_key{number}_{tmp_path.name}"
        key = network.add_key(key_name, stand_in(folder, "setting", f"PATH={folder}:/usr/bin:/bin; export PATH"))
        config_of[number] = [f"IdentityFile {key}"]
    config = network.config_with(f"versions_{tmp_path.name}", config_of)
    (tmp_path / "hostfile.txt").write_text("host1 slots=1\nhost2 slots=1\nhost3 slots=1\n", encoding="utf-8")
    (tmp_path / "script.py").write_text("print('ran')\n", encoding="utf-8")

    def launch(*flags):
        words = ["-H", "hostfile.txt", "--launcher_args", f"-F {config}", *flags, "script.py"]
        return Launch(network, pathlib.Path(tmp_path), *words, program_path=copy, environment={"PYTHON": ""})

    return launch


def test_another_torch_on_one_host_is_an_error_before_anything_starts(launch_with_two_torches):
    launch = launch_with_two_torches()
    assert launch.wait() == 2
    assert "1 of 3 hosts cannot take part, so nothing was started" in launch.err
    assert "  host2: [launcher] its torch is 2.99.0, on 2 of 3 hosts it is 2.98.0." in launch.err
    assert "--no_ssh_check" in launch.err and launch.out == ""


def test_who_asks_for_it_starts_all_the_same(launch_with_two_torches):
    launch = launch_with_two_torches("--no_ssh_check")
    assert launch.wait() == 0, launch.err
    assert launch.out.count("] ran\n") == 3
