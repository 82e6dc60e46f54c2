"""N-MNIST over several seeds: trained on simulated recordings of MNIST, judged on real recordings.

python benchmarks/nmnist.py eprop --mnist MNIST --test-data N-MNIST/Train --test-data N-MNIST/Test --epochs 1
python benchmarks/nmnist.py eprop ... --label wide --set neurons=500
python benchmarks/nmnist.py eprop ... --epochs 4 --best --threads 2

Each network is also judged by MNIST's 10,000 test digits, simulated: by them settings are told apart, 700 recordings are
too few.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

import record

#: Settings of the network that makes the fewest errors after two minutes.
BEST = (
    "neurons=600", "receptive_field=12", "input_probability=1", "edge_filters=true", "recurrent_fraction=0.01",
    "tau_m=10", "w_in=0.08", "w_rec=0.5", "c_reg=3", "eta=5.6e-3", "eta_out=5.6e-3", "dt=2", "n_steps=150", "window_start=25",
    "elastic=0.8", "elastic_spacing=5", "shift=0.6", "deskew=true", "test_augmentation=true",
    "training.batch_size=32", "training.schedule=cosine", "training.skip_easy=0.85",
)  # fmt: skip
#: What is kept of each run's summary, as mean and spread.
KEYS = (
    "test_error", "mnist_test_error", "validation_error", "train_samples_per_second", "ns_per_synaptic_event",
    "train_seconds",
)  # fmt: skip


def main() -> None:
    """Run the command once for each seed and record the figures that matter."""
    arguments = parse()
    runs = []
    for seed in arguments.seeds:
        runs.append(run(arguments, seed))
        print({k: runs[-1][k] for k in ("seed", "test_error", "mnist_test_error", "train_seconds")}, flush=True)
    result = {
        "train": shlex.join(train_command(arguments, record.public)),
        "rule": arguments.rule, "loss": arguments.loss, "epochs": arguments.epochs, "settings": arguments.set,
        "seeds": arguments.seeds, "threads": arguments.threads,
        **{key: runs[0][key] for key in ("train_data", "test_data", "test_samples", "validation_samples", "synapses")},
        **{key: record.spread([r[key] for r in runs]) for key in KEYS},
    }  # fmt: skip
    print(json.dumps(result, indent=2))
    print(record.write(name_of(arguments), result))


def name_of(arguments: argparse.Namespace) -> str:
    """What the result is called."""
    name = f"nmnist-{arguments.rule.replace('+', '-plus')}-{arguments.loss}-{arguments.epochs}-epochs"
    return "-".join([name, *([arguments.label] if arguments.label else [])])


def parse() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rule", choices=("eprop", "eprop+"))
    parser.add_argument("--loss", default="softmax", choices=("softmax", "squared_error"))
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--test-data", action="append", required=True)
    parser.add_argument("--range", default="1000:60000")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="handed on to eprop train")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the runs; they are thrown away without")
    parser.add_argument("--label", default="", help="end of the result's name, where settings are not the defaults")
    parser.add_argument(
        "--best", action="store_true", help="the settings of the network that makes the fewest errors after two minutes"
    )
    arguments = parser.parse_args()
    if arguments.best:
        arguments.set, arguments.label = [*BEST, *arguments.set], arguments.label or "best"
    if arguments.set and not arguments.label:
        parser.error("--set needs a --label, or the result would take the place of that of the defaults")
    return arguments


def train_command(arguments: argparse.Namespace, shown=str) -> list[str]:
    """The command of a seed, but for the seed and where to write; paths as ``shown`` gives them."""
    command = ["eprop", "train", "nmnist", "--rule", arguments.rule, "--loss", arguments.loss]
    command += ["--mnist", shown(arguments.mnist), "--range", arguments.range]
    for path in arguments.test_data:
        command += ["--test-data", shown(path)]
    for setting in arguments.set:
        command += ["--set", setting]
    return [*command, "--epochs", str(arguments.epochs), "--threads", str(arguments.threads)]


def run(arguments: argparse.Namespace, seed: int) -> dict:
    """One training; returns its summary. What is kept already is not trained again."""
    with tempfile.TemporaryDirectory() as folder:
        where = (arguments.keep or pathlib.Path(folder)) / f"{name_of(arguments)}-seed-{seed}"
        if (where / "summary.json").exists():
            summary = json.loads((where / "summary.json").read_text())
        else:
            options = ["--seed", str(seed), "--out", str(where), "--no-figures"]
            summary = eprop(*train_command(arguments)[1:], *options)
        return summary | {"mnist_test_error": eprop("evaluate", str(where), "--data", arguments.mnist)["error"]}


def eprop(*words: str) -> dict:
    """What the command line prints."""
    command = [sys.executable, "-c", "from eprop.cli import main; main()", *words, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


if __name__ == "__main__":
    main()
