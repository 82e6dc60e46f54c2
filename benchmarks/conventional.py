"""Error of a conventional convolutional network on N-MNIST, as a yardstick for the spiking networks.

    python benchmarks/conventional.py --mnist MNIST --recordings N-MNIST/Train --recordings N-MNIST/Test
    python benchmarks/conventional.py --mnist MNIST --recordings N-MNIST/Train --recordings N-MNIST/Test --images

The script needs PyTorch (``pip install torch``). Backpropagation trains a network without spikes: two convolutional
layers with batch normalisation and pooling, then 200 hidden units with dropout. The input is the number of events of
each pixel, polarity and third of a recording. With ``--images`` the input is the digits themselves, with a similar
distortion.

The training digits are those of `nmnist_errors.py`. The test sets are the same real recordings, simulated recordings of the same
digits (with ``--images``: these digits as images), and MNIST's test digits. There is no goal: the errors show how well
these data can be read at all. The results are ``nmnist-conventional.json`` and ``nmnist-conventional-images.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time

import harness
import numpy as np
import torch
from torch import nn

from eprop.data import EventCamera, Loader, load_recordings, read_mnist, read_nmnist
from eprop.data.binned import BinnedDataset, concatenate
from eprop.tasks.recordings import parse_range

SIDE, BATCH, ETA = 34, 64, 3e-3
#: First steps of the parts of a recording, and the end. A part is one movement of the camera.
PARTS = (0, 55, 105, 150)
#: Steps of a recording, and their length in ms.
STEPS = {"n_steps": 150, "dt": 2.0}
#: Distortion: sd of the linear map; sd of shift and smooth displacements, pixels; nodes of the displacements of images.
WARP, SHIFT, ELASTIC, NODES = 0.07, 0.3, 0.7, 4


def main() -> None:
    """Train and test one network for each seed, and record the errors."""
    parser = harness.parser(__doc__, seeds=[1, 2, 3], threads=1)
    parser.add_argument("--mnist", required=True, help="folder of MNIST")
    parser.add_argument("--recordings", action="append", required=True, help="folder of real recordings; repeatable")
    parser.add_argument("--range", default="1000:60000", help="training digits of MNIST")
    parser.add_argument("--epochs", type=int, default=4, help="epochs of the training")
    parser.add_argument("--images", action="store_true", help="train on the digits instead of recordings")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    data = (Images if arguments.images else Recorded)(arguments)
    runs = []
    for seed in arguments.seeds:
        runs.append(run(data, arguments.epochs, seed))
        print(json.dumps({"seed": seed, **runs[-1]}), flush=True)
    keys = ("test_error", "same_digits_error", "mnist_test_error", "train_seconds")
    spread = {key: harness.spread([r[key] for r in runs]) for key in keys}
    by_all = sorted(set.intersection(*(set(r["misread"]) for r in runs)))
    name = f"nmnist-conventional{'-images' if arguments.images else ''}"
    result = {"seeds": arguments.seeds, "epochs": arguments.epochs, "parameters": runs[0]["parameters"], **spread}
    print(harness.write(name, result | {"misread by all": by_all}))


class Recorded:
    """Recordings as event counts. Each epoch simulates new training recordings."""

    channels = 6

    def __init__(self, arguments: argparse.Namespace):
        self.mnist, self.span = arguments.mnist, parse_range(arguments.range)
        test, real = read_mnist(arguments.mnist, "test"), [read_nmnist(folder) for folder in arguments.recordings]
        self.indices = np.concatenate([recordings.indices for recordings in real])
        self.real = concatenate([recordings.binned(**STEPS) for recordings in real])
        self.test = EventCamera().binned(test.images, test.labels, seed=1, **STEPS)
        same = read_mnist(arguments.mnist, "train").subset(self.indices)
        self.same = EventCamera().binned(same.images, same.labels, seed=1, **STEPS)

    def epoch(self, epoch: int) -> BinnedDataset:
        """Return the training set of an epoch."""
        camera = EventCamera(warp=WARP, elastic=ELASTIC, jitter=math.hypot(EventCamera.jitter, SHIFT))
        loader = Loader(epoch=epoch, training_camera=camera, **STEPS)
        train: BinnedDataset = load_recordings(mnist=self.mnist, span=self.span, loader=loader).train
        return train

    def batch(self, data: BinnedDataset, which: np.ndarray, varied: bool) -> torch.Tensor:
        """Return the event counts of some samples, shape ``(samples, parts x polarities, y, x)``."""
        counts = np.zeros((len(which), len(PARTS) - 1, 2 * SIDE**2), np.float32)
        for row, sample in zip(counts, which, strict=True):
            for part, (first, stop) in enumerate(itertools.pairwise(PARTS)):
                seen = data.channels[data.ptr[sample, first] : data.ptr[sample, stop]]
                row[part] = 0.3 * np.bincount(seen, minlength=row.shape[1])
        return torch.from_numpy(counts).view(len(which), -1, SIDE, SIDE)


class Images:
    """The digits themselves. Each mini-batch has a new distortion."""

    channels = 1

    def __init__(self, arguments: argparse.Namespace):
        start, stop = parse_range(arguments.range)
        digits = read_mnist(arguments.mnist, "train")
        self.indices = np.concatenate([read_nmnist(folder).indices for folder in arguments.recordings])
        self.train, self.real = digits.span(start, stop), digits.subset(self.indices)
        self.test, self.same = read_mnist(arguments.mnist, "test"), self.real

    def epoch(self, epoch: int):
        """Return the training set of an epoch."""
        return self.train

    def batch(self, data, which: np.ndarray, varied: bool) -> torch.Tensor:
        """Return images in the middle of the field, shape ``(samples, 1, y, x)``."""
        images = torch.from_numpy(np.asarray(data.images)[which].reshape(-1, 1, 28, 28).astype(np.float32) / 255.0)
        images = nn.functional.pad(images, (3, 3, 3, 3))
        return distort(images) if varied else images


def distort(images: torch.Tensor) -> torch.Tensor:
    """Apply a random linear map, a random shift and smooth random displacements to each image."""
    n, half = len(images), SIDE / 2
    linear = torch.eye(2).repeat(n, 1, 1) + WARP * torch.randn(n, 2, 2)
    moved = torch.cat([linear, SHIFT / half * torch.randn(n, 2, 1)], dim=2)
    grid = nn.functional.affine_grid(moved, list(images.shape), align_corners=False)
    nodes = ELASTIC / half * torch.randn(n, 2, NODES, NODES)
    smooth = nn.functional.interpolate(nodes, size=SIDE, mode="bicubic").permute(0, 2, 3, 1)
    return nn.functional.grid_sample(images, grid + smooth, align_corners=False)


def network(channels: int) -> nn.Sequential:
    """Return a network of two convolutional and two fully connected layers."""
    return nn.Sequential(
        nn.Conv2d(channels, 32, 5), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(32, 48, 5, padding=2), nn.BatchNorm2d(48), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Dropout(0.3), nn.Linear(48 * 7 * 7, 200), nn.ReLU(), nn.Linear(200, 10),
    )  # fmt: skip


def run(data: Recorded | Images, epochs: int, seed: int) -> dict:
    """Train one network. Returns the errors, the misread digits and the seconds of the training."""
    torch.manual_seed(seed)
    net, rng, seconds = network(data.channels), np.random.default_rng(seed), 0.0
    optimizer = torch.optim.Adam(net.parameters(), ETA)
    batches = len(data.epoch(0).labels) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, ETA, total_steps=epochs * batches)
    for epoch in range(epochs):
        train, began = data.epoch(epoch), time.perf_counter()
        labels = torch.from_numpy(np.asarray(train.labels, np.int64))
        net.train()
        for which in rng.permutation(len(labels))[: batches * BATCH].reshape(batches, BATCH):
            loss = nn.functional.cross_entropy(net(data.batch(train, which, True)), labels[which])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - began
    net.eval()
    wrong = misread(net, data, data.real)
    return {
        "test_error": float(wrong.mean()),
        "same_digits_error": float(misread(net, data, data.same).mean()),
        "mnist_test_error": float(misread(net, data, data.test).mean()),
        "train_seconds": seconds,
        "parameters": sum(p.numel() for p in net.parameters()),
        "misread": np.sort(data.indices[wrong]).tolist(),
    }


@torch.no_grad()
def misread(net: nn.Sequential, data: Recorded | Images, judge) -> np.ndarray:
    """Return for each sample whether the network misreads it."""
    labels = np.asarray(judge.labels)
    parts = np.array_split(np.arange(len(labels)), -(-len(labels) // 500))
    return np.concatenate([net(data.batch(judge, part, False)).argmax(1).numpy() for part in parts]) != labels


if __name__ == "__main__":
    main()
