"""trainer_cases.py's training on one rank: `one_rank_trainer.py FOLDER`.

For stages 2 and 3 it goes on from FOLDER/two{stage}/checkpoint-2 and trains once from the start, saving
FOLDER/one{stage}. The losses, those in the checkpoint included, go to FOLDER/one_rank.json.
"""

from __future__ import annotations

import json

from case_support import FOLDER
from hf_support import auto_config, logged, make_trainer

found = {}
for stage in (2, 3):
    for name, checkpoint in ((f"fewer{stage}", str(FOLDER / f"two{stage}" / "checkpoint-2")), (f"one{stage}", None)):
        more = {"gradient_accumulation_steps": 4, "save_strategy": "steps", "save_steps": 2}
        trainer = make_trainer(name, auto_config(stage), **more)
        trainer.train(resume_from_checkpoint=checkpoint)
        found[name] = logged(trainer, "loss").tolist()
(FOLDER / "one_rank.json").write_text(json.dumps(found))
