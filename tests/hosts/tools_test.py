"""ds_hosts, ds_check, ds_ssh and ds_report on eight hosts, with faults on several of them at once."""
import contextlib
import subprocess
import sys

import pytest

import network as network_module
from launch import within
from tools import Tools, fake_torch, stand_in

NUM_HOSTS = 8
REPORT_S = 10  # a promise to users: all faults of eight hosts in one report
NAMES = [f"host{number}" for number in range(1, NUM_HOSTS + 1)]


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    reason = network_module.why_not()
    if reason:
        pytest.skip(f"no hosts to ask: {reason}")
    hosts = network_module.Network(tmp_path_factory.mktemp("wide"), NUM_HOSTS, tag="w")
    yield hosts
    hosts.close()


@pytest.fixture
def tools(wide, tmp_path):
    return Tools(wide, tmp_path)


@pytest.fixture(scope="module")
def faulty(wide, tmp_path_factory):
    """A configuration of ssh: host4 wants a password, host5 has nobody listening, host6 has an old deepspeed, host7 has
    another torch."""
    folder = tmp_path_factory.mktemp("stand_ins")
    old = stand_in(folder, "old", "echo 'deepspeed host probe, protocol 1, version 0.0.1'; exec cat")
    other = stand_in(folder, "other", f"PYTHONPATH={fake_torch(folder / 'packages', '2.99.0')}; export PYTHONPATH")
    return wide.config_with("faulty", {
        4: ["PubkeyAuthentication no"],
        5: ["Port 2223"],
        6: [f"IdentityFile {wide.add_key('old_key', old)}"],
        7: [f"IdentityFile {wide.add_key('other_key', other)}"],
    })


@contextlib.contextmanager
def unplugged(network, number):
    network.set_link(number, "down")
    try:
        yield
    finally:
        network.set_link(number, "up")


@contextlib.contextmanager
def listening(network, number, port):
    """Somebody else's server on that host, which greets whoever comes."""
    script = (f"import socket, sys, threading\ns = socket.create_server(('', {port})); guests = []\n"
              "def greet():\n  while True: guests.append(s.accept()[0]); guests[-1].sendall(b'220 mail\\r\\n')\n"
              "threading.Thread(target=greet, daemon=True).start(); print('up', flush=True); sys.stdin.read()")
    server = subprocess.Popen(network.command(number, sys.executable, "-c", script), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout.readline() == "up\n"
        yield
    finally:
        server.communicate()


def faults_of(report):
    return {(fault["host"], fault["severity"]): fault["what"] for fault in report["findings"]}


def test_ds_hosts_writes_those_that_answer_and_says_why_others_do_not(tools, wide, faulty):
    with unplugged(wide, 2), within(REPORT_S):
        result = tools.run("ds_hosts", "host[1-5]", "nosuchhost", "-o", "hostfile.txt", config=faulty)
    assert result.returncode == 1, result.stderr
    hosts = (tools.bin.parent / "hostfile.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(" slots=")[0] for line in hosts] == ["host1", "host3"]
    assert all(int(line.split("slots=")[1]) >= 1 for line in hosts)
    assert "4 of 6 hosts did not answer" in result.stdout
    for line in ("  host2: no ", "  host4: ssh needs a password", "  host5: connection refused",
                 "  nosuchhost: the name has no address"):
        assert line in result.stdout, result.stdout
    assert "ssh-copy-id host4" in result.stdout


def test_ds_hosts_counts_gpus_on_a_host_that_has_nothing_of_ours(tools, wide, tmp_path):
    smi = tmp_path / "nvidia-smi"
    smi.write_text("#!/bin/sh\nfor i in 0 1 2 3; do echo \"GPU $i: NVIDIA H100 (UUID: GPU-$i)\"; done\n",
                   encoding="utf-8")
    smi.chmod(0o755)
    key = wide.add_key("gpu_key", stand_in(tmp_path, "gpus", f"PATH={tmp_path}:/usr/bin:/bin; export PATH"))
    config = wide.config_with("gpus", {3: [f"IdentityFile {key}"]})
    code, report = tools.json("ds_hosts", "host3", "host8", "-o", "out.txt", config=config)
    assert code == 0
    assert report["hosts"][0]["gpus"] == ["NVIDIA H100"] * 4 and report["hosts"][1]["gpus"] == []
    assert "host3 slots=4 # 4 x NVIDIA H100\n" in (tmp_path / "out.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["-oProxyCommand=touch owned", "$(touch owned)", "a;touch owned", "host[1-", "`id`"])
def test_no_name_of_a_host_reaches_a_shell(tools, tmp_path, name):
    result = tools.run("ds_hosts", "--", name)
    assert result.returncode == 2 and "column " in result.stderr
    assert not (tmp_path / "owned").exists()


def test_a_key_of_a_host_that_is_not_known_is_said(tools, wide):
    config = wide.config_with("strict", {1: ["StrictHostKeyChecking yes"]})
    code, report = tools.json("ds_hosts", "host1", config=config)
    assert code == 1 and report["hosts"][0]["reason"] == "host_key_unknown"


def test_good_hosts_have_no_errors_and_meet_at_the_first(tools):
    code, report = tools.json("ds_check", "-H", tools.hostfile(*NAMES[:3]), "--master_port", "29655")
    assert code == 0, report["findings"]
    assert report["master_addr"] == "10.77.0.1" and report["master_port"] == 29655
    assert all(host["facts"]["host_name"] for host in report["hosts"])
    assert [host["meeting"]["interface"] for host in report["hosts"][1:]] == ["eth0", "eth0"]
    assert all(abs(host["clock_ahead_s"]) < 1 for host in report["hosts"])
    assert report["hosts"][0]["facts"]["python"]["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_all_faults_of_eight_hosts_are_in_one_report_in_time(tools, wide, faulty):
    hostfile = tools.hostfile(*NAMES)
    with unplugged(wide, 3), listening(wide, 1, 29656), within(REPORT_S):
        code, report = tools.json("ds_check", "-H", hostfile, "--master_port", "29656", config=faulty)
    assert code == 1
    faults = faults_of(report)
    assert "port 29656 is not free: Address already in use" in faults[("host1", "error")]
    assert {report["hosts"][number - 1]["reason"] for number in (3,)} <= {"timed_out", "no_route"}
    assert "ssh needs a password" in faults[("host4", "error")]
    assert "connection refused" in faults[("host5", "error")]
    assert "version 0.0.1" in faults[("host6", "error")]
    assert "torch is 2.99.0, but " in faults[("host7", "error")] and " on 3 of 4 hosts" in faults[("host7", "error")]
    assert ("host2", "error") not in faults and ("host8", "error") not in faults


def test_the_report_for_people_has_the_same_faults(tools, wide, faulty):
    with unplugged(wide, 3), within(REPORT_S):
        result = tools.run("ds_check", "-H", tools.hostfile(*NAMES), config=faulty)
    assert result.returncode == 1, result.stderr
    for text in ("  error   host3: no ", "  error   host4: ssh needs a password", "  error   host5: connection refused",
                 "  error   host6: its deepspeed-cpp is version 0.0.1", "  error   host7: torch is 2.99.0"):
        assert text in result.stdout, result.stdout


def test_an_address_that_others_do_not_reach_is_an_error_of_each(tools):
    code, report = tools.json("ds_check", "-H", tools.hostfile(*NAMES[:3]), "--master_addr", "10.99.0.1")
    assert code == 1
    faults = faults_of(report)
    assert all("does not reach host1 at 10.99.0.1:" in faults[(name, "error")] for name in ("host2", "host3"))


def test_somebody_else_under_the_address_is_not_taken_for_the_first_host(tools, wide):
    with listening(wide, 2, 29657):
        code, report = tools.json("ds_check", "-H", tools.hostfile(*NAMES[:2]), "--master_addr", "127.0.0.1",
                                  "--master_port", "29657")
    assert code == 1
    assert "127.0.0.1:29657: somebody else answers under this address" in faults_of(report)[("host2", "error")]


def test_the_bandwidth_of_a_slow_link_is_measured_and_costed(tools, wide):
    wide.limit_link(2, 100)
    try:
        code, report = tools.json("ds_check", "-H", tools.hostfile(*NAMES[:3]), "--bandwidth", "--model", "350m")
    finally:
        wide.free_link(2)
    assert code == 0, report["findings"]
    megabits = {(pair["from"], pair["to"]): pair["bytes_per_s"] * 8e-6 for pair in report["pairs"]}
    assert len(megabits) == 6
    for to in ("host1", "host3"):
        assert 80 < megabits[("host2", to)] < 105, megabits
    assert all(rate > 200 for (sender, _), rate in megabits.items() if sender != "host2"), megabits
    assert all(0 < pair["latency_s"] < 0.05 for pair in report["pairs"])
    stages = report["advice"]["stages"]
    slowest = min(megabits.values()) * 1e6 / 8
    assert stages[3]["network_s"] == pytest.approx(stages[3]["sent_host_bytes"] / slowest, rel=1e-6)
    assert "a ZeRO-3 step of a 350m model moves" in report["advice"]["sentence"]


def test_ds_ssh_shows_whose_line_it_is_and_passes_words_as_they_are(tools):
    words = ["a  b", "$HOME", "'; touch owned; '", "*", ""]
    result = tools.run("ds_ssh", "-f", tools.hostfile(*NAMES), "printf", "<%s>\\n", *words)
    assert result.returncode == 0, result.stderr
    expected = sorted(f"{name}: <{word}>" for name in NAMES for word in words)
    assert sorted(result.stdout.splitlines()) == expected


def test_ds_ssh_takes_one_word_as_a_text_for_the_shell_there(tools, wide):
    result = tools.run("ds_ssh", "-f", tools.hostfile("host1", "host2"), "ip -br -4 addr show eth0 | awk '{print $3}'")
    assert sorted(result.stdout.splitlines()) == ["host1: 10.77.0.1/24", "host2: 10.77.0.2/24"]


def test_ds_ssh_ends_with_the_code_of_the_first_host_that_fails(tools, wide, faulty):
    text = 'ip -br -4 addr show eth0 | grep -q 0.2/ && { echo bad >&2; exit 7; }; exit 0'
    result = tools.run("ds_ssh", "-f", tools.hostfile("host1", "host2", "host4"), text, config=faulty)
    assert result.returncode == 7
    assert "host2: bad\n" in result.stderr
    assert "failed on 2 of 3 hosts:\n  host2: exit code 7\n  host4: ssh needs a password" in result.stderr


def test_ds_report_marks_what_differs_between_hosts(tools, faulty):
    result = tools.run("ds_report", "-H", tools.hostfile("host1", "host2", "host7", "host4"), config=faulty)
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    assert next(line for line in lines if line.startswith("torch ")).endswith("* host7: 2.99.0")
    assert sum(" * host" in line for line in lines) == 1, result.stdout
    assert "1 of 4 hosts did not answer:\n  host4: ssh needs a password" in result.stdout


def test_ds_report_of_this_machine_needs_no_host(tools):
    code, facts = tools.json("ds_report")
    assert code == 0
    assert facts["python"]["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert facts["shared_memory_bytes"] > 0
    result = tools.run("ds_report", "--hide_operator_status", "--hide_errors_and_warnings")
    assert result.returncode == 0 and "CPU kernels" not in result.stdout and "warning" not in result.stdout
