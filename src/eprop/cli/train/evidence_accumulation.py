"""``eprop train evidence-accumulation``."""

from __future__ import annotations

from typing import Annotated

from eprop.cli.train.options import DATA, MODEL, Rule, Sections, option, trains


@trains("evidence-accumulation", "Epochs; each has --samples new trials.  \\[default: 200]")
def evidence_accumulation(
    samples: Annotated[int | None, option(DATA, "N", "New trials in each epoch.  \\[default: 320]")] = None,
    test_samples: Annotated[int | None, option(DATA, "N", "Number of test trials.  \\[default: 512]")] = None,
    validation: Annotated[
        int | None,
        option(DATA, "N", "Evaluate N validation trials at intervals.  \\[default: 0]"),
    ] = None,
    rule: Rule = None,
    lif: Annotated[int | None, option(MODEL, "N", "Neurons without adaptation.  \\[default: 50]")] = None,
    alif: Annotated[int | None, option(MODEL, "N", "Neurons with adaptation.  \\[default: 50]")] = None,
) -> Sections:
    r"""Learn to decide which side had more cues, a second later.

    Seven cues on the left or right, a pause of about a second, then the
    question: this is the task of Bellec et al. 2020 (figure 3). Neurons with an
    adaptive threshold keep the memory. The test has trials of its own, the
    same for every seed of the network.

    The folder of the run holds config.toml, metrics.jsonl, summary.json,
    checkpoint.h5 and figures: learning curve, raster and readouts before and
    after training, weights, confusion.

    [bold]Examples[/bold]

      eprop train evidence-accumulation
      eprop train evidence-accumulation --rule eprop+ --seed 2
      eprop train evidence-accumulation --trials 10 --no-figures
      eprop train evidence-accumulation --set cues=3 --set delay=300
    """
    return {
        "task": {"rule": rule, "lif": lif, "alif": alif},
        "data": {"samples": samples, "test_samples": test_samples, "validation": validation},
    }
