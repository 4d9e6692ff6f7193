"""The report of a run, in Markdown: the machine, what is wrong, the summary beside the bounds, the sections."""

from __future__ import annotations

from typing import Any, Sequence

import memory
import training
from figures import Claim, claims_table, markdown
from trial import Section

Results = dict[str, Any]


def render(results: Results, sections: Sequence[Section]) -> str:
    rounds = results["rounds"]
    lines = [f"# Benchmark, {results['date'][:10]}", "", *(f"- {line}" for line in head(results)), ""]
    bad = complaints(results, sections)
    if bad:
        lines += ["**Not to be trusted:**", "", *(f"- {line}" for line in bad), ""]
    lines += ["## Summary", "", *summary(results, sections), ""]
    for section in sections:
        lines += [f"## {section.NAME}: {section.WHAT}", "", *section.report(rounds)]
    return "\n".join(lines).rstrip() + "\n"


def summary(results: Results, sections: Sequence[Section]) -> list[str]:
    claims: list[Claim] = [claim for section in sections for claim in section.claims(results["rounds"])]
    return claims_table(claims)


def complaints(results: Results, sections: Sequence[Section]) -> list[str]:
    """Wrong answers, and trials that failed; the run fails where there is one."""
    wrong = [f"WRONG, {section.NAME}: {text}" for section in sections for text in section.problems(results["rounds"])]
    return wrong + [f"FAILED, {key}: {text.splitlines()[0]}" for key, text in results["failures"].items()]


def head(results: Results) -> list[str]:
    versions, load = results["versions"], results["load_average"]
    named = "; ".join(f"{name}: torch {v['torch']}, deepspeed {v['deepspeed']}" for name, v in versions.items())
    return [
        machine_line(results),
        f"{named}." + (f" Commit {results['commit']}." if "commit" in results else ""),
        run_line(results),
        f"Load average {load['before']:.1f} before, {load['after']:.1f} after; {results['seconds'] / 60:.0f} minutes.",
    ]


def machine_line(results: Results) -> str:
    gpus = sorted({version["gpu"] for version in results["versions"].values() if "gpu" in version})
    machine = [f"{key} {value}" for key, value in results["machine"].items()]
    return "; ".join([results["date"], *machine, *gpus]) + "."


def run_line(results: Results) -> str:
    options = results["options"]
    return (
        f"{len(results['rounds'])} interleaved rounds; {options['ranks']} {options['device']} ranks; "
        "medians [least..greatest] over the rounds, ratios inside one."
    )


def readme_table(results: Results, sections: Sequence[Section]) -> str:
    """What the README shows of a results file: training steps beside held bytes, then the figures that have a bound."""
    rounds = results["rounds"]
    lines = [machine_line(results), run_line(results), ""]
    for (dtype, tokens), part in training.parts(rounds).items():
        steps = training.step_rows(part, training.TOLERANCE[dtype])
        rows = [[*row[:-1], memory.counted_of(part, row[0])] for row in steps]
        rows[0][-1] = "held by our engine, MiB (the formula)"
        lines += [f"{dtype}, {tokens} tokens a rank:", "", *markdown(rows), ""]
    others = [section for section in sections if section.NAME not in (training.NAME, memory.NAME)]
    bounded = [claim for section in others for claim in section.claims(rounds) if claim.target()]
    return "\n".join([*lines, *claims_table(bounded)]) + "\n"
