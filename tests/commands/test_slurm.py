"""The script of docs/cluster.md in a SLURM of two nodes, both on this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.test_cluster_docs import COUNT, blocks, place, plan, shell  # noqa: F401
from tests.commands.test_work import digests

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(map(shutil.which, ("slurmctld", "slurmd", "munged", "sbatch"))),
        reason="no SLURM: apt-get install slurm-wlm",
    ),
    pytest.mark.skipif(os.name != "posix" or os.getuid() != 0, reason="SLURM's nodes want root"),
]

CONFIG = """
ClusterName=liif
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldPort={ports[0]}
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
ReturnToService=2
SlurmdParameters=config_overrides
MpiDefault=none
NodeName=one NodeHostname=localhost Port={ports[1]} CPUs=2 RealMemory=8000 State=UNKNOWN
NodeName=two NodeHostname=localhost Port={ports[2]} CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=one,two Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Variables that lead SLURM's commands to a cluster of this test's own."""
    folder = tmp_path_factory.mktemp("slurm")
    # munge's socket lies where nobody else may write
    folder.chmod(0o755)
    (folder / "state").mkdir()
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    named = {"socket": "munge.socket", "key-file": "key", "pid-file": "munge.pid"}
    named |= {"log-file": "munge.log", "seed-file": "munge.seed"}
    options = [f"--{name}={folder / file}" for name, file in named.items()]
    subprocess.run(["munged", "--force", *options], check=True)
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(folder=folder, ports=free_ports(3)))
    variables = {"SLURM_CONF": str(config)}
    environment = {**os.environ, **variables}
    try:
        for command in (["slurmctld"], ["slurmd", "-N", "one"], ["slurmd", "-N", "two"]):
            subprocess.run(command, env=environment, check=True)
        yield variables
    finally:
        subprocess.run(["scontrol", "shutdown"], env=environment, check=False)
        subprocess.run(["kill", (folder / "munge.pid").read_text().strip()], check=False)


def test_an_array_of_jobs(place: Path, slurm: dict[str, str]) -> None:  # noqa: F811
    (script,) = (block for block in blocks("sh") if "#SBATCH" in block)
    (place / "liif.sbatch").write_text(script)
    plan(place)
    submitted = shell(place, "sbatch liif.sbatch plan.jsonl", **slurm)
    assert submitted.returncode == 0, submitted.stderr
    limit = time.monotonic() + 300
    while shell(place, "squeue --noheader", **slurm).stdout.strip():
        assert time.monotonic() < limit, shell(place, "squeue; sinfo", **slurm).stdout
        time.sleep(2)
    logs = {path.name: path.read_text() for path in place.glob("slurm-*.out")}
    assert len(logs) == 8, logs
    assert len(digests(place / "large")) == COUNT, logs
    assert shell(place, "liif status plan.jsonl").returncode == 0
