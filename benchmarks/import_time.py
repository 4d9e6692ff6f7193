"""Prints, as JSON, the seconds of `import torch`, of `import deepspeed` after it, and of loading its engine's class."""

import json
import time

marks = [time.perf_counter()]

import torch  # noqa: E402, F401

marks.append(time.perf_counter())

import deepspeed  # noqa: E402

marks.append(time.perf_counter())
deepspeed.DeepSpeedEngine  # noqa: B018 (ours is loaded at its first use)
marks.append(time.perf_counter())

names = ("torch", "deepspeed", "engine")
print(json.dumps({name: end - begin for name, begin, end in zip(names, marks, marks[1:])}))
