"""``eprop train pattern-generation``."""

from __future__ import annotations

from typing import Annotated

from eprop.cli.train.options import DATA, MODEL, Rule, Sections, option, trains


@trains(
    "pattern-generation",
    "Iterations: presentations of the pattern, one after the other.  \\[default: 3000, with e-prop+ 6000]",
)
def pattern_generation(
    target: Annotated[
        str | None,
        option(
            DATA,
            "sines|lemniscate|handwriting|FILE.csv",
            "Curve for the readouts: one readout draws a sum of four sines, two draw a path. A CSV file has a row for "
            "each point and a column for each readout.  \\[default: sines]",
        ),
    ] = None,
    rule: Rule = None,
    neurons: Annotated[int | None, option(MODEL, "N", "Recurrent LIF neurons.  \\[default: 100]")] = None,
) -> Sections:
    r"""Learn to draw a curve, with frozen noise as the only clock.

    The network receives the same second of noise again and again. Its
    readouts learn to follow a pattern, as in the code of Bellec et al. 2020.
    The score is the normalised error: the sum of squared errors divided by
    the target's variance. The test is the same second, with frozen weights.

    The folder of the run holds config.toml, metrics.jsonl, summary.json,
    checkpoint.h5 and figures: learning curve, output before and after
    training, activity, weights.

    [bold]Examples[/bold]

      eprop train pattern-generation
      eprop train pattern-generation --rule eprop+ --seed 2
      eprop train pattern-generation --target handwriting
      eprop train pattern-generation --target path.csv --epochs 5000
      eprop train pattern-generation --trials 10
    """
    return {"task": {"target": target, "rule": rule, "neurons": neurons}}
