"""The best network on N-MNIST with fixed filters before it: neurons that hear edges of one direction and do not learn.

``python benchmarks/filters.py --mnist MNIST --recordings N-MNIST/Train --recordings N-MNIST/Test --epochs 6 --seeds 101 102``

A population stands between the camera and the recurrent neurons, on a grid: at each place one neuron for each of eight
directions, with odd Gabor functions as weights, their sign that of the polarity. The recurrent neurons hear the filters of a
square of places, beside the pixels that they see anyway. Each network is judged by the recordings and by MNIST's 10,000 test
digits, simulated.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import Any

import nmnist
import numpy as np
import record

import eprop as ep
from eprop.data import EventCamera, read_mnist, read_nmnist
from eprop.data.binned import concatenate
from eprop.tasks import NMNIST
from eprop.training import RunConfig
from eprop.training.evaluation import evaluate
from eprop.training.trainer import Trainer

SIDE, DIRECTIONS = 34, 8
# Pixels of a filter along each side, and from one to the next; wavelength and width of its Gabor function.
SIZE, STRIDE, WAVELENGTH, WIDTH = 7, 2, 6.0, 2.0
PLACES = (SIDE - SIZE) // STRIDE + 1
# Root mean square of a filter's weights, mV, and the time constant of its neuron, ms: one to three spikes of each in a sample.
GAIN, TAU = 0.1, 20.0
# Places along each side of what a recurrent neuron hears, and the standard deviation of these weights, mV.
FIELD, W_FILTERS = 5, 0.1


class Filtered(NMNIST):
    """`NMNIST` with fixed filters as a second input of its recurrent neurons."""

    def build_network(self) -> ep.Network:
        """The network of the task, a population ``filters``, and its connections."""
        net = super().build_network()
        x, rec = net.population("in"), net.population("rec")
        neuron = dataclasses.replace(self.make_neuron("lif"), tau_m=TAU)
        filters = net.add(neuron, PLACES**2 * DIRECTIONS, "filters")
        sources, targets, weights = gabors()
        net.connect(x, filters, ep.Explicit(sources=sources, targets=targets), weight=weights, rule=ep.Static())
        heard = ep.Explicit(**fields(self.neurons, self.seed))
        net.connect(filters, rec, heard, weight=ep.Normal(0.0, W_FILTERS), rule=self.make_rule(self.eta))
        return net


def gabors() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Channels, filters and weights of all connections between them."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    found = []
    for direction in range(DIRECTIONS):
        angle = 2.0 * np.pi * direction / DIRECTIONS
        along = x * np.cos(angle) + y * np.sin(angle)
        weight = np.sin(2.0 * np.pi * along / WAVELENGTH) * np.exp(-(x**2 + y**2) / (2.0 * WIDTH**2))
        weight = (GAIN / np.sqrt((weight**2).mean()) * weight).ravel()
        for place in range(PLACES**2):
            corner = SIDE * STRIDE * (place // PLACES) + STRIDE * (place % PLACES)
            pixels = (corner + SIDE * np.arange(SIZE)[:, None] + np.arange(SIZE)).ravel()
            neuron = np.full(pixels.size, DIRECTIONS * place + direction)
            found += [(pixels, neuron, weight), (pixels + SIDE**2, neuron, -weight)]
    return tuple(np.concatenate(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


def fields(neurons: int, seed: int) -> dict[str, np.ndarray]:
    """Filters that each recurrent neuron hears: those of a square of places."""
    corners = np.random.default_rng([seed, 7]).integers(0, PLACES - FIELD + 1, (neurons, 2, 1))
    y, x = np.moveaxis(corners + np.arange(FIELD), 1, 0)
    places = (PLACES * y[:, :, None] + x[:, None, :]).reshape(neurons, -1, 1)
    sources = (DIRECTIONS * places + np.arange(DIRECTIONS)).reshape(neurons, -1)
    return {"sources": sources.ravel(), "targets": np.repeat(np.arange(neurons), sources.shape[1])}


def main() -> None:
    """Train and judge a network of each seed; record all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--recordings", action="append", required=True)
    parser.add_argument("--range", default="1000:60000")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    runs = []
    for seed in arguments.seeds:
        runs.append({"seed": seed, **run(arguments, seed)})
        print(json.dumps(runs[-1]), flush=True)
    spread = {key: record.spread([run[key] for run in runs]) for key in runs[0] if key != "seed"}
    print(record.write(f"nmnist-filters-{arguments.epochs}-epochs", {"seeds": arguments.seeds, **spread}))


def run(arguments: argparse.Namespace, seed: int) -> dict[str, float]:
    """One training with the settings of the best network; errors and seconds."""
    config = RunConfig.make(
        "nmnist",
        task={"rule": "eprop", "seed": seed, **settings("task")},
        training={"epochs": arguments.epochs, **settings("training")},
        data={"mnist": arguments.mnist, "range": arguments.range, **settings("data")},
        run={"threads": arguments.threads},
    )
    task = Filtered(**{field.name: getattr(config.task, field.name) for field in dataclasses.fields(config.task)})
    parts = config.data.load(task, threads=arguments.threads)
    sim = ep.Simulator(task.build_network(), threads=arguments.threads, precision="single")
    trainer = Trainer(
        task, sim, parts.train, config.training,
        renew=lambda epoch: config.data.load(task, threads=arguments.threads, epoch=epoch).train,
    )  # fmt: skip
    trainer.warm_up()
    trainer.run()
    steps: dict[str, Any] = {"n_steps": task.n_steps, "dt": task.dt}
    test = read_mnist(arguments.mnist, "test")
    simulated = EventCamera().binned(test.images, test.labels, seed=1, **steps)
    real = concatenate([read_nmnist(folder).binned(**steps) for folder in arguments.recordings])
    return {
        "test_error": evaluate(task, sim, real).error,
        "mnist_test_error": evaluate(task, sim, simulated).error,
        "train_seconds": trainer.seconds,
    }


def settings(part: str) -> dict[str, Any]:
    """Those of `nmnist.BEST` that belong to the task, the data or the training."""
    found: dict[str, dict[str, Any]] = {"task": {}, "training": {}, "data": {}}
    for setting in nmnist.BEST:
        name, value = setting.split("=")
        where = "training" if name.startswith("training.") else "data" if name == "elastic" else "task"
        found[where][name.removeprefix("training.")] = value if name == "training.schedule" else json.loads(value)
    return found[part]


if __name__ == "__main__":
    main()
