"""What is compiled before the rounds: DeepSpeed's own extensions, and the stream that optimizers are compared with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from launch import rank_environment
from trial import HERE, PEERS, ROOT, Options, num_cores

STREAM_LIBRARY = ROOT / ".cache/bench/stream.so"

# What DeepSpeed compiles at its first use; its build takes minutes and must not meet a time limit.
_COMPILE_PEER = """
from deepspeed.accelerator import get_accelerator
accelerator = get_accelerator()
names = {"cpu": ("FusedAdamBuilder", "CPUAdamBuilder", "ShareMemCommBuilder"), "cuda": ("FusedAdamBuilder",)}
for name in names[accelerator._name]:
    builder = accelerator.create_op_builder(name)
    if builder is not None:
        builder.load(verbose=False)
"""


def compile_peer_ops(options: Options) -> None:
    """Once per content of .venv-peers/."""
    environment = rank_environment(PEERS, options.device, num_cores())
    folder = Path(environment["TORCH_EXTENSIONS_DIR"])
    stamp, installed = folder / f".compiled-{options.device}", PEERS.parents[1] / ".installed"
    if stamp.exists() and stamp.read_text() == installed.read_text():
        return
    print("[bench] DeepSpeed's own extensions (two minutes, the first time)", file=sys.stderr, flush=True)
    for lock in folder.glob("*/lock"):
        lock.unlink()  # of a compilation that was interrupted: torch would wait for it for ever
    done = subprocess.run([str(PEERS), "-c", _COMPILE_PEER], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"[bench] DeepSpeed could not compile its extensions:\n{done.stderr[-2000:]}")
    stamp.write_text(installed.read_text())


def compile_stream(options: Options) -> None:
    """For this machine's processor, each time: a second."""
    del options
    STREAM_LIBRARY.parent.mkdir(parents=True, exist_ok=True)
    command = ["g++", "-O3", "-march=native", "-shared", "-fPIC", "-pthread", str(HERE / "stream.cpp")]
    done = subprocess.run([*command, "-o", str(STREAM_LIBRARY)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"[bench] stream.cpp does not compile:\n{done.stderr[-2000:]}")
