"""What a launcher starts: notes when its first line ran, in its rank's file in the folder of its last argument."""

import time

FIRST_LINE = time.monotonic()

import os  # noqa: E402
import sys  # noqa: E402

with open(os.path.join(sys.argv[-1], os.environ["RANK"]), "w") as file:
    file.write(repr(FIRST_LINE))
