import pytest

import network as network_module
import slurm as slurm_module
from launch import Launch, write_script

NUM_HOSTS = 3


@pytest.fixture(scope="session")
def network(tmp_path_factory):
    reason = network_module.why_not()
    if reason:
        pytest.skip(f"no hosts to launch on: {reason}")
    hosts = network_module.Network(tmp_path_factory.mktemp("network"), NUM_HOSTS)
    yield hosts
    hosts.close()


@pytest.fixture(scope="session")
def cluster(network, tmp_path_factory):
    reason = slurm_module.why_not()
    if reason:
        pytest.skip(f"no Slurm to launch with: {reason}")
    daemons = slurm_module.Slurm(network, tmp_path_factory.mktemp("slurm"))
    try:
        daemons.start()
        yield daemons
    finally:
        daemons.close()


@pytest.fixture
def slurm(cluster):
    """The cluster with all hosts free: a job of the test before may still be on its way out, and jobs go elsewhere then."""
    cluster.wait_until_idle()
    return cluster


@pytest.fixture
def start(network, tmp_path):
    """start(body, *flags): ranks that run `body` as a shell script, on two ranks of host1, one each of host2 and host3."""
    (tmp_path / "hostfile.txt").write_text("host1 slots=2\nhost2 slots=1\nhost3 slots=1\n", encoding="utf-8")
    launches = []

    def start_launch(body, *flags, arguments=(), hostfile="hostfile.txt", **options):
        write_script(tmp_path / "rank.sh", body)
        words = [f"--hostfile={hostfile}", "--launcher_args", f"-F {network.ssh_config}", *flags, "--no_python",
                 "--no_local_rank", "./rank.sh", *arguments]
        launches.append(Launch(network, tmp_path, *words, **options))
        return launches[-1]

    yield start_launch
    for launch in launches:
        launch.kill()
        launch.wait()
