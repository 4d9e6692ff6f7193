"""Training on two hosts: the guide's command, as it is written there, and ranks that end with the same weights."""
import re
import shutil

from launch import ROOT, Launch, needs_package

GUIDE = ROOT / "tests/python/guide"


@needs_package
def test_the_guides_command_for_two_hosts_trains_over_gloo(network, tmp_path):
    shutil.copy(GUIDE / "simple.py", tmp_path / "my_training_script.py")
    shutil.copy(GUIDE / "simple_config.json", tmp_path / "ds_config.json")
    (tmp_path / "hostfile.txt").write_text("node1 slots=1\nnode2 slots=1\n", encoding="utf-8")
    launch = Launch(network, tmp_path, "--hostfile=hostfile.txt", "my_training_script.py", "--deepspeed",
                    "--deepspeed_config", "ds_config.json")
    assert launch.wait() == 0, launch.out + launch.err
    assert "2 hosts, 2 ranks, meeting at 10.77.0.1:" in launch.err


@needs_package
def test_ranks_on_two_hosts_have_the_same_weights_after_training_on_data_of_their_own(network, tmp_path):
    shutil.copy(ROOT / "tests/hosts/train.py", tmp_path / "train.py")
    (tmp_path / "hostfile.txt").write_text("node1 slots=1\nnode2 slots=1\n", encoding="utf-8")
    launch = Launch(network, tmp_path, "-H", "hostfile.txt", "train.py")
    assert launch.wait() == 0, launch.out + launch.err
    said = dict(line.split(" on ", 1) for line in launch.out.splitlines() if " on eth0: " in line)
    assert set(said) == {"[node1:0]", "[node2:1]"}, launch.out
    assert said["[node1:0]"] == said["[node2:1]"] and said["[node1:0]"].startswith("eth0: True ")


@needs_package
def test_torch_distributed_over_two_hosts_of_two_ranks_equals_gloo_and_sends_less(network, tmp_path):
    shutil.copy(ROOT / "tests/hosts/several_hosts.py", tmp_path / "several_hosts.py")
    (tmp_path / "hostfile.txt").write_text("node1 slots=2\nnode2 slots=2\n", encoding="utf-8")
    launch = Launch(network, tmp_path, "-H", "hostfile.txt", "several_hosts.py")
    assert launch.wait() == 0, launch.out + launch.err
    said = re.findall(r"differs by (\S+), sends (\d+) MiB where Gloo sends (\d+)", launch.out)
    assert len(said) == 4, launch.out
    for difference, ours, gloos in said:
        assert float(difference) < 1e-6
        assert 8 <= int(ours) <= 9 and int(gloos) >= 11  # a ring over four ranks crosses a host's network with 1.5 x 8
