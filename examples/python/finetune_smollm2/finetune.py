"""Fine-tunes SmolLM2-135M-Instruct on the Python standard library's source, with DeepSpeed.

    deepspeed --num_gpus 2 examples/python/finetune_smollm2/finetune.py \\
        --deepspeed --deepspeed_config examples/python/finetune_smollm2/ds_config.json

Only DeepSpeed's public interface is used, and nothing here depends on the ZeRO stage: change the config, not this file.
"""

from __future__ import annotations

import argparse
import resource
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

import torch
from tqdm import tqdm

import deepspeed
import smollm2
from deepspeed import comm as dist
from deepspeed.accelerator import get_accelerator
from deepspeed.utils import RepeatingLoader
from python_source import Blocks, read_blocks

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPT = "def read_json(path):\n"
NUM_HELD_OUT = 8


@dataclass
class History:
    """What training measured, one entry a step; the losses are means over all ranks."""

    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    tokens_per_step: int = 0

    def tokens_per_s(self) -> float:
        """Over the steps after the first, which also warms up."""
        steady = self.seconds[1:] or self.seconds
        return self.tokens_per_step * len(steady) / sum(steady)


def parse_arguments() -> argparse.Namespace:
    on_gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200 if on_gpu else 24, help="optimizer steps")
    parser.add_argument("--block_tokens", type=int, default=512 if on_gpu else 128, help="tokens of one sequence")
    parser.add_argument("--answer_tokens", type=int, default=56, help="tokens of the answers printed at the end")
    parser.add_argument("--out", type=Path, default=Path("out/demo"), help="folder for the checkpoint and the picture")
    parser.add_argument("--local_rank", type=int, default=-1, help="set by the launcher")
    return deepspeed.add_config_arguments(parser).parse_args()


def mean_over_ranks(value: torch.Tensor) -> float:
    """The mean of one number over all ranks; every rank must call it."""
    total = value.detach().float().clone()
    dist.all_reduce(total)
    return total.item() / dist.get_world_size()


def peak_memory_gb() -> float:
    """The most memory that any rank has held so far: of its GPU, or of the process on CPUs."""
    accelerator = get_accelerator()
    on_cpu = accelerator.device_name() == "cpu"
    resident_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    peak_bytes = resident_bytes if on_cpu else accelerator.max_memory_allocated()
    peak = torch.tensor(float(peak_bytes), device=accelerator.current_device_name())
    dist.all_reduce(peak, op=dist.ReduceOp.MAX)
    return peak.item() / 2**30


@torch.no_grad()
def answer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, num_tokens: int) -> str:
    """The most likely continuation of PROMPT. All ranks call it, so that it also works where parameters are sharded."""
    model.eval()
    tokens = tokenizer(PROMPT, return_tensors="pt").to(model.device)
    out = model.generate(**tokens, max_new_tokens=num_tokens, do_sample=False, pad_token_id=tokenizer.eos_token_id)
    return tokenizer.decode(out[0], skip_special_tokens=True)


@torch.no_grad()
def held_out_loss(engine: deepspeed.DeepSpeedEngine, blocks: Blocks) -> float:
    """The mean loss on blocks that training never sees; each rank computes its part."""
    engine.eval()
    my_indices = range(dist.get_rank(), len(blocks), dist.get_world_size())
    mine = torch.stack([blocks[index] for index in my_indices]).to(engine.device)
    return mean_over_ranks(engine(input_ids=mine, labels=mine, use_cache=False).loss)


def train(engine: deepspeed.DeepSpeedEngine, batches: Iterator[torch.Tensor], num_steps: int) -> History:
    """Runs `num_steps` optimizer steps with a progress bar on rank 0."""
    history = History()
    engine.train()
    bar = tqdm(total=num_steps, desc="training", unit="step", disable=dist.get_rank() != 0, dynamic_ncols=True)
    for _ in range(num_steps):
        start = time.perf_counter()
        step_losses = []
        for _ in range(engine.gradient_accumulation_steps()):
            batch = next(batches).to(engine.device)
            loss = engine(input_ids=batch, labels=batch, use_cache=False).loss
            engine.backward(loss)
            engine.step()
            step_losses.append(loss.detach())
        history.losses.append(mean_over_ranks(torch.stack(step_losses).mean()))
        history.grad_norms.append(float(engine.get_global_grad_norm() or 0.0))
        history.seconds.append(time.perf_counter() - start)
        history.tokens_per_step = engine.train_batch_size() * batch.shape[1]
        bar.set_postfix_str(
            f"loss {history.losses[-1]:.3f}, {history.tokens_per_s():.0f} tokens/s, {peak_memory_gb():.2f} GB a rank"
        )
        bar.update()
    bar.close()
    return history


def draw_losses(history: History, file: Path) -> None:
    """Writes the loss of each step, and its running mean, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    steps = range(1, len(history.losses) + 1)
    window = max(1, len(history.losses) // 6)
    smooth = [sum(part) / len(part) for part in (history.losses[max(0, i - window) : i] for i in steps)]
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    axes.plot(steps, history.losses, color="0.75", label="each step")
    axes.plot(steps, smooth, color="tab:blue", label=f"mean of {window} steps")
    axes.set(xlabel="step", ylabel="loss", title="SmolLM2-135M on the Python standard library")
    axes.legend()
    figure.savefig(file, dpi=120)


def main() -> None:
    args = parse_arguments()
    deepspeed.init_distributed()
    is_first = dist.get_rank() == 0
    if is_first:
        smollm2.prepare()
    dist.barrier()

    torch.manual_seed(0)
    model, tokenizer = smollm2.load(smollm2.CACHE)
    training, held_out = read_blocks(tokenizer, args.block_tokens, NUM_HELD_OUT)
    engine, _, loader, _ = deepspeed.initialize(
        args=args, model=model, model_parameters=model.parameters(), training_data=training
    )

    answer_before = answer(engine.module, tokenizer, args.answer_tokens)
    loss_before = held_out_loss(engine, held_out)
    history = train(engine, iter(RepeatingLoader(loader)), args.steps)
    loss_after = held_out_loss(engine, held_out)
    answer_after = answer(engine.module, tokenizer, args.answer_tokens)

    args.out.mkdir(parents=True, exist_ok=True)
    engine.save_checkpoint(str(args.out))
    memory_gb = peak_memory_gb()
    if is_first:
        picture = args.out / "loss.png"
        draw_losses(history, picture)
        report(history, loss_before, loss_after, answer_before, answer_after)
        print(f"memory      {memory_gb:.2f} GB at most on each of {dist.get_world_size()} ranks")
        print(f"checkpoint  {args.out / (args.out / 'latest').read_text().strip()}")
        print(f"picture     {picture}", flush=True)
    if not loss_after < loss_before:
        raise SystemExit(f"The loss on unseen text did not fall: {loss_before:.3f} before, {loss_after:.3f} after.")


def report(history: History, loss_before: float, loss_after: float, answer_before: str, answer_after: str) -> None:
    """Prints the two answers and the figures; the lines hold at most 100 characters of the model's own text."""
    for title, text in (("Before fine-tuning", answer_before), ("After fine-tuning", answer_after)):
        print(f"\n--- {title}, the model continues {PROMPT!r} ---")
        print("\n".join(line[:100] for line in text.splitlines()))
    print("\n--- Summary ---")
    print(f"loss        {loss_before:.3f} -> {loss_after:.3f} on unseen text, {history.losses[0]:.3f} -> ", end="")
    print(f"{history.losses[-1]:.3f} in training ({len(history.losses)} steps)")
    print(f"speed       {history.tokens_per_s():.0f} tokens/s, {sum(history.seconds):.0f} s of training")


if __name__ == "__main__":
    main()
