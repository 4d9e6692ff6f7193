"""Names and defaults of the rendezvous."""

from __future__ import annotations

import os
from datetime import timedelta

TORCH_DISTRIBUTED_DEFAULT_PORT = 29500
CROSS_RANK = "CROSS_RANK"
CROSS_SIZE = "CROSS_SIZE"

default_pg_timeout = timedelta(minutes=int(os.getenv("DEEPSPEED_TIMEOUT", "10")))
"""How long a collective waits for the other ranks; DEEPSPEED_TIMEOUT is in minutes."""
