"""What the launcher does on several hosts: where ranks start, with what, and what it refuses."""
import pytest

from launch import Launch, program, write_script

SHOW_PLACE = 'echo "$RANK/$WORLD_SIZE $LOCAL_RANK/$LOCAL_SIZE $CROSS_RANK/$CROSS_SIZE $MASTER_ADDR $PWD"\n'


def test_ranks_of_all_hosts_find_their_place_and_the_first_host_is_the_master(start, tmp_path):
    launch = start(SHOW_PLACE)
    assert launch.wait() == 0, launch.err
    assert sorted(launch.out.splitlines()) == [
        f"[host1:0] 0/4 0/2 0/3 10.77.0.1 {tmp_path}",
        f"[host1:1] 1/4 1/2 0/3 10.77.0.1 {tmp_path}",
        f"[host2:2] 2/4 0/1 1/3 10.77.0.1 {tmp_path}",
        f"[host3:3] 3/4 0/1 2/3 10.77.0.1 {tmp_path}",
    ]


def test_a_launch_from_the_first_host_meets_at_an_address_that_others_reach(start, network):
    ssh_config = network.ssh_config.read_text(encoding="utf-8")
    looped = network.folder / "looped_config"
    looped.write_text(ssh_config.replace("HostName 10.77.0.1\n", "HostName 127.0.0.1\n"), encoding="utf-8")
    launch = start("echo $MASTER_ADDR\n", "--launcher_args", f"-F {looped}", number=1)
    assert launch.wait() == 0, launch.err
    assert launch.out.count("] 10.77.0.1\n") == 4


def test_addresses_are_hosts_too_and_the_port_may_be_a_flag(start, network, tmp_path):
    (tmp_path / "addresses").write_text("10.77.0.2 slots=1 # second\n\n10.77.0.3 slots=1\n", encoding="utf-8")
    key = network.folder / "user_key"
    launch = start(SHOW_PLACE, "--ssh_port", "2222", "--launcher_args",
                   f"-i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -F /dev/null",
                   hostfile="addresses")
    assert launch.wait() == 0, launch.err
    assert "[10.77.0.3:1] 1/2 0/1 1/2 10.77.0.2 " in launch.out


@pytest.mark.parametrize("flags, hosts", [
    (["--include", "host3@host1:1"], ["host1:0", "host3:1"]),
    (["--exclude", "host1"], ["host2:0", "host3:1"]),
    (["--num_nodes", "2"], ["host1:0", "host1:1", "host2:2"]),
    (["--num_nodes", "2", "--num_gpus", "1"], ["host1:0", "host2:1"]),
])
def test_filters_choose_hosts_and_slots(start, flags, hosts):
    launch = start("echo here\n", *flags)
    assert launch.wait() == 0, launch.err
    assert sorted(launch.out.splitlines()) == [f"[{one}] here" for one in hosts]


def test_one_other_host_is_reached_and_never_replaced_by_this_one(start):
    launch = start("ip -br -4 addr show eth0\n", "--include", "host2")
    assert launch.wait() == 0, launch.err
    assert "10.77.0.2/24" in launch.out


def test_arguments_and_variables_reach_ranks_unchanged_and_no_shell(start, tmp_path):
    hostile = ["a  b", "'; touch owned; '", "$(touch owned)", "`touch owned`", "*", "", "-h", "x\ny", '"', "\\", "\udcff"]
    launch = start('for one in "$@" "$NCCL_EVIL" "$FROM_FILE"; do printf "<%s>" "$one"; done > "out.$RANK"\n',
                   arguments=hostile, environment={"NCCL_EVIL": "'; touch owned; $(touch owned)\n", "NOT_SENT": "1"})
    (tmp_path / "nothing").touch()
    assert launch.wait() == 0, launch.err
    expected = "".join(f"<{one}>" for one in [*hostile, "'; touch owned; $(touch owned)\n", ""])
    for rank in range(4):
        assert (tmp_path / f"out.{rank}").read_text(encoding="utf-8", errors="surrogateescape") == expected
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("line", ["-oProxyCommand=touch${IFS}owned slots=1", "$(touch owned) slots=1",
                                  "host1;touch${IFS}owned slots=1", "`id` slots=1"])
def test_a_hostfile_cannot_hold_more_than_hosts(start, tmp_path, line):
    (tmp_path / "bad").write_text(f"host1 slots=1\n{line}\n", encoding="utf-8")
    launch = start("echo ran\n", hostfile="bad")
    assert launch.wait() == 2
    assert "bad line 2, column " in launch.err
    assert not (tmp_path / "owned").exists()


def test_a_program_in_a_folder_with_a_hostile_name_is_found_there(network, start, tmp_path):
    folder = tmp_path / "a b'; touch owned; $(touch owned)"
    folder.mkdir()
    copy = folder / "deepspeed"
    copy.symlink_to(program())
    write_script(tmp_path / "rank.sh", "echo ran\n")
    start("echo ran\n").wait()
    words = ["--hostfile=hostfile.txt", "--launcher_args", f"-F {network.ssh_config}", "--no_python", "./rank.sh"]
    launch = Launch(network, tmp_path, *words, program_path=copy)
    assert launch.wait() == 0, launch.err
    assert launch.out.count("] ran\n") == 4
    assert not list(tmp_path.rglob("owned"))


def test_the_environment_file_goes_to_all_hosts_and_secrets_are_not_shown(start, tmp_path):
    (tmp_path / ".deepspeed_env").write_text("# for all\n\nMY_TOKEN=abc123\nNCCL_DEBUG=from the file\n", encoding="utf-8")
    launch = start('echo "$MY_TOKEN|$NCCL_DEBUG"\n', environment={"NCCL_DEBUG": "from here", "HOME": "/nowhere"})
    assert launch.wait() == 0, launch.err
    assert launch.out.count("] abc123|from the file\n") == 4
    assert launch.err.count("variables for all hosts") == 1
    assert "MY_TOKEN=***" in launch.err and "abc123" not in launch.err


def test_all_hosts_that_cannot_take_part_are_in_one_report_and_nothing_starts(start, tmp_path):
    (tmp_path / "some_wrong").write_text("host1 slots=1\nnosuchhost slots=1\n127.0.0.1 slots=1\n", encoding="utf-8")
    launch = start("echo ran\n", hostfile="some_wrong")
    assert launch.wait() == 1
    assert "2 of 3 hosts cannot take part, so nothing was started" in launch.err
    assert "  nosuchhost: no agent there (exit code 255): ssh: Could not resolve hostname nosuchhost" in launch.err
    assert "  127.0.0.1: no agent there (exit code 255): ssh: connect to host 127.0.0.1" in launch.err
    assert "host1:" not in launch.err and launch.out == ""


def test_a_script_that_a_host_does_not_have_is_its_own_words(start, network, tmp_path):
    launch = Launch(network, tmp_path, "--hostfile=hostfile.txt", "--launcher_args", f"-F {network.ssh_config}",
                    "no_such.py")
    assert launch.wait() == 2
    assert "3 of 3 hosts cannot take part" in launch.err
    assert f"  host2: [launcher] no script no_such.py in {tmp_path}" in launch.err


def test_the_same_command_by_hand_on_each_host_is_one_launch(start):
    launches = [start(SHOW_PLACE, "--include", "host1@host2", "--no_ssh", f"--node_rank={i}",
                      "--master_addr=10.77.0.1", "--master_port=29711", number=i + 1) for i in range(2)]
    for launch in launches:
        assert launch.wait() == 0, launch.err
    assert "[rank 1] 1/3 1/2 0/2 10.77.0.1" in launches[0].out
    assert launches[1].out.startswith("2/3 0/1 1/2 10.77.0.1")


def test_every_host_writes_logs_and_pid_files(start, tmp_path):
    launch = start('ls /tmp/$PPID.deepspeed; echo "pid$RANK $$ ready" > "up.$RANK"\n', "--enable_each_rank_log", "logs",
                   "--save_pid")
    assert launch.wait() == 0, launch.err
    logs = sorted((tmp_path / "logs").iterdir())
    assert [path.name[14:] for path in logs] == [f"_rank{rank}.log" for rank in range(4)]
    for path in logs:
        assert path.read_text(encoding="utf-8").endswith(".deepspeed\n"), path.read_text(encoding="utf-8")
    assert "launcher pid: " in launch.out and launch.err.count("agent pid ") == 3
