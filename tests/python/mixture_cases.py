"""Several engines in one program, as GANs and PPO have them, case by case, on two ranks; started by engine_test.py.

Each case is compared with the same training in one process without deepspeed, rank by rank.
"""

from __future__ import annotations

import itertools
from typing import Any, Callable, Iterable

import torch
from case_support import config, initialize, run_cases
from torch import nn

from deepspeed import comm as dist

STEPS = 4


def settings_of(stage: int, **more: Any) -> dict[str, Any]:
    settings = config(stage, **more)
    settings["zero_optimization"]["stage3_param_persistence_threshold"] = 0
    return settings


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=1e-2, betas=(0.5, 0.9))


def made(make: Callable[[], nn.Module], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return make()


def assert_equal(what: Any, ours: nn.Module, theirs: nn.Module) -> None:
    for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(
            mine.detach().clone(), other.detach(), rtol=1e-5, atol=1e-5, msg=lambda text: f"{what} {name}: {text}"
        )


def ranks() -> range:
    return range(dist.get_world_size())


class Plain:
    """One model in the one process: gradients of the ranks add up, then one clipped step."""

    def __init__(self, model: nn.Module) -> None:
        self.model, self.optimizer = model, adam(model.parameters())

    def step(self) -> None:
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.5)
        self.optimizer.step()


# --- a generator and a discriminator ---------------------------------------------------------------------------------


def make_generator() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 16), nn.Tanh(), nn.Linear(16, 6))


def make_discriminator() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


def noise(step: int, rank: int, kind: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * step + 10 * kind + rank)
    return torch.randn(5, 4 if kind < 2 else 6, generator=generator)


def judge(logits: torch.Tensor, is_real: bool) -> torch.Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))


def plain_gan(steps: int) -> tuple[nn.Module, nn.Module]:
    generator, discriminator = Plain(made(make_generator, 1)), Plain(made(make_discriminator, 2))
    for step in range(steps):
        discriminator.optimizer.zero_grad()
        for rank in ranks():
            fake = generator.model(noise(step, rank, 0)).detach()
            real = discriminator.model(noise(step, rank, 2))
            ((judge(real, True) + judge(discriminator.model(fake), False)) / len(ranks())).backward()
        discriminator.step()
        generator.optimizer.zero_grad()
        for rank in ranks():
            score = discriminator.model(generator.model(noise(step, rank, 1)))
            (judge(score, True) / len(ranks())).backward()
        generator.step()
    return generator.model, discriminator.model


def train_gan(generator: Any, discriminator: Any, steps: int, freezes: bool) -> None:
    """The generator's backward goes through the discriminator, which is frozen meanwhile, or drops what came of it."""
    rank = dist.get_rank()
    for step in range(steps):
        discriminator.zero_grad()
        fake = generator(noise(step, rank, 0)).detach()
        loss = judge(discriminator(noise(step, rank, 2)), True) + judge(discriminator(fake), False)
        discriminator.backward(loss)
        discriminator.step()
        discriminator.module.requires_grad_(not freezes)
        generator.backward(judge(discriminator(generator(noise(step, rank, 1))), True))
        generator.step()
        discriminator.module.requires_grad_(True)


def case_a_gan_of_two_engines_equals_one_process() -> None:
    expected = plain_gan(STEPS)
    for stages, freezes in itertools.product(((2, 2), (3, 3), (2, 3), (3, 2), (0, 1)), (True, False)):
        nets = made(make_generator, 1), made(make_discriminator, 2)
        engines = [
            initialize(net, settings_of(stage), optimizer=adam(net.parameters())) for net, stage in zip(nets, stages)
        ]
        train_gan(*engines, STEPS, freezes)
        for net, other in zip(nets, expected):
            assert_equal((stages, freezes), net, other)


class Halves(nn.Module):
    """Two parts that train in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = make_generator(), make_discriminator()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return judge(self.second(self.first(x)), True)


def case_a_part_that_is_frozen_for_the_first_of_two_backwards() -> None:
    """One engine: the second part is unfrozen before the step, which takes it along."""
    plain = Plain(made(Halves, 3))
    for step in range(STEPS):
        plain.optimizer.zero_grad()
        for kind, rank in itertools.product((0, 1), ranks()):
            plain.model.second.requires_grad_(kind == 1)
            (plain.model(noise(step, rank, kind)) / len(ranks())).backward()
        plain.step()
    for stage in (0, 1, 2, 3):
        net = made(Halves, 3)
        engine = initialize(net, settings_of(stage), optimizer=adam(net.parameters()))
        for step in range(STEPS):
            for kind in (0, 1):
                net.second.requires_grad_(kind == 1)
                engine.backward(engine(noise(step, dist.get_rank(), kind)))
            engine.step()
        assert_equal(stage, net, plain.model)
        engine.destroy()


# --- actor, critic, reference and reward -----------------------------------------------------------------------------

WORDS, LENGTH = 13, 6


class Policy(nn.Module):
    """Token by token: an embedding tied to its head, two blocks, and a value beside the logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(WORDS, 8)
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 8)) for _ in range(2))
        self.head = nn.Linear(8, outputs, bias=outputs == 1)
        if outputs == WORDS:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        hidden = self.embed(tokens).cumsum(1)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.head(hidden)


def make_policy() -> nn.Module:
    return Policy(WORDS)


def make_value() -> nn.Module:
    return Policy(1)


Answers = Callable[[torch.Tensor], torch.Tensor]


def generate(actor: Answers, prompt: torch.Tensor) -> torch.Tensor:
    """The likeliest words after `prompt`, one call a word."""
    with torch.no_grad():
        while prompt.shape[1] < LENGTH:
            prompt = torch.cat([prompt, actor(prompt)[:, -1:].argmax(-1)], 1)
    return prompt


def prompt_of(step: int, rank: int) -> torch.Tensor:
    return torch.randint(0, WORDS, (3, 2), generator=torch.Generator().manual_seed(50 * step + rank))


def log_probabilities(logits: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
    return logits[:, :-1].log_softmax(-1).gather(-1, words[:, 1:, None]).squeeze(-1)


class Experience:
    """What a PPO step learns from: words, their old probabilities, advantages and returns."""

    def __init__(
        self, actor: Answers, critic: Answers, reference: Answers, reward: Answers, prompt: torch.Tensor
    ) -> None:
        self.words = generate(actor, prompt)
        with torch.no_grad():
            self.old = log_probabilities(actor(self.words), self.words)
            drift = self.old - log_probabilities(reference(self.words), self.words)
            rewards = reward(self.words)[:, 1:, 0].tanh() - 0.1 * drift
            self.returns = rewards.flip(1).cumsum(1).flip(1)
            self.advantages = self.returns - critic(self.words)[:, :-1, 0]

    def actor_loss(self, actor: Answers) -> torch.Tensor:
        ratio = (log_probabilities(actor(self.words), self.words) - self.old).exp()
        return -torch.min(ratio * self.advantages, ratio.clamp(0.8, 1.2) * self.advantages).mean()

    def critic_loss(self, critic: Answers) -> torch.Tensor:
        return (critic(self.words)[:, :-1, 0] - self.returns).pow(2).mean()


def plain_ppo(steps: int) -> tuple[nn.Module, nn.Module, list[torch.Tensor]]:
    """(actor, critic, this rank's words of each step)."""
    actor, critic = Plain(made(make_policy, 1)), Plain(made(make_value, 2))
    reference, reward = made(make_policy, 1), made(make_value, 3)
    words = []
    for step in range(steps):
        seen = [Experience(actor.model, critic.model, reference, reward, prompt_of(step, rank)) for rank in ranks()]
        words.append(seen[dist.get_rank()].words)
        for model, losses in (
            (actor, [each.actor_loss for each in seen]),
            (critic, [each.critic_loss for each in seen]),
        ):
            for _ in range(2):
                model.optimizer.zero_grad()
                for loss in losses:
                    (loss(model.model) / len(ranks())).backward()
                model.step()
    return actor.model, critic.model, words


def case_actor_critic_reference_and_reward_of_four_stages() -> None:
    expected_actor, expected_critic, expected_words = plain_ppo(STEPS)
    for stages in ((3, 2, 3, 0), (2, 3, 3, 3), (1, 0, 0, 2)):
        nets = [made(make_policy, 1), made(make_value, 2), made(make_policy, 1), made(make_value, 3)]
        actor, critic = (
            initialize(net, settings_of(stage), optimizer=adam(net.parameters()))
            for net, stage in zip(nets[:2], stages[:2])
        )
        reference, reward = (initialize(net, settings_of(stage)) for net, stage in zip(nets[2:], stages[2:]))
        frozen = [parameter.detach().clone() for parameter in nets[2].parameters()]
        for step in range(STEPS):
            seen = Experience(actor, critic, reference, reward, prompt_of(step, dist.get_rank()))
            assert torch.equal(seen.words, expected_words[step]), (stages, step)
            for engine, loss in ((actor, seen.actor_loss), (critic, seen.critic_loss)):
                for _ in range(2):
                    engine.backward(loss(engine))
                    engine.step()
        assert_equal(stages, nets[0], expected_actor)
        assert_equal(stages, nets[1], expected_critic)
        assert all(torch.equal(mine.detach().clone(), was) for mine, was in zip(nets[2].parameters(), frozen)), stages


def case_generating_between_steps_changes_nothing() -> None:
    def losses_of(stage: int, generates: bool) -> list[float]:
        net = made(make_policy, 1)
        engine = initialize(net, settings_of(stage), optimizer=adam(net.parameters()))
        losses = []
        for step in range(STEPS):
            generator = torch.Generator().manual_seed(step + 7 * dist.get_rank())
            words = torch.randint(0, WORDS, (3, LENGTH), generator=generator)
            loss = -log_probabilities(engine(words), words).mean()
            if generates:  # between forward and backward too
                engine.eval()
                generate(engine, prompt_of(step, 0))
                generate(engine.module, prompt_of(step, 0))
                engine.train()
            engine.backward(loss)
            engine.step()
            losses.append(loss.item())
            if generates:
                generate(engine.module, prompt_of(step, 0))
        return losses

    expected = losses_of(0, generates=False)
    for stage in (0, 2, 3):
        assert losses_of(stage, generates=True) == expected, stage


if __name__ == "__main__":
    run_cases(globals())
