"""Targets: files of recordings and digits, the cache, configurations, runs, paths, and states of simulators."""

from __future__ import annotations

import gzip
import io
import json
import pathlib
import random
import shutil
import struct
import warnings
import zipfile
from typing import Any

import numpy as np

import eprop as ep
from eprop.data import BinnedDataset, Events, LiveEvents, cached, from_iterable, load_dataset, read_mnist, read_nmnist
from eprop.data.live_sources import read_text
from eprop.data.nmnist import encode
from eprop.errors import DivergenceError
from eprop.tasks.pattern_generation import read_path
from eprop.training import RunConfig, RunFolder
from eprop.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from eprop.training.config import parse_config, parse_settings
from fuzzing.mutate import WORDS, damaged, reworded, spoiled
from fuzzing.target import Target

#: Bytes that a reader may take: enough for what is sound here.
MEMORY = 50_000_000


def events(seed: int, n: int = 30) -> Events:
    rng = np.random.default_rng(seed)
    return Events(*(rng.integers(0, high, n) for high in (34, 34, 2)), np.sort(rng.integers(0, 300_000, n)))


# ------------------------------------------------------------------------------------------------------------- recordings


def _names(rng: random.Random) -> str:
    digit = rng.choice(("0", "9", "10", "x", "", "٣", "0 "))
    number = rng.choice(("00001", "0", "9" * 20, "9" * 200, "1" * 9, "-1", "1.5", "٣", "a", "00001 ", "1e3"))
    return (
        f"{rng.choice(('Train', 'train', 'Test', 'x'))}/{digit}/{number}{rng.choice(('.bin', '.BIN', '.bin.bin', ''))}"
    )


def recordings(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    return folder / "data", [encode(events(seed)) for seed in range(3)]


def read_recordings(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    folder, contents = state
    shutil.rmtree(folder, ignore_errors=True)
    for k, content in enumerate(contents):
        name = _names(rng) if rng.random() < 0.2 else f"{k}/{k + 1:05d}.bin"
        path = folder / name.replace("\0", "")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_bytes(damaged(content, rng) if rng.random() < 0.5 else content)
    found = read_nmnist(folder, rng.choice((None, "train")), memory=MEMORY)
    found.binned(n_steps=10, on_error=rng.choice(("raise", "skip"))).validate()


METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)


def archives(folder: pathlib.Path) -> tuple[pathlib.Path, list[bytes]]:
    out = []
    for method in METHODS:
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w", method) as archive:
            for k in range(3):
                archive.writestr(f"Train/{k}/{k + 1:05d}.bin", encode(events(k)))
        out.append(inner.getvalue())
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w", method) as archive:
            archive.writestr("Train.zip", inner.getvalue())
        out.append(outer.getvalue())
    return folder / "archive.zip", out


def read_archive(state: tuple[pathlib.Path, list[bytes]], rng: random.Random) -> None:
    path, contents = state
    path.write_bytes(damaged(rng.choice(contents), rng))
    read_nmnist(path, rng.choice((None, "train")), memory=MEMORY).binned(n_steps=10).validate()


def digits(folder: pathlib.Path) -> tuple[pathlib.Path, bytes, bytes]:
    images = struct.pack(">IIII", 2051, 4, 28, 28) + bytes(range(256)) * 12 + bytes(64)
    return folder, images, struct.pack(">II", 2049, 4) + bytes([1, 2, 3, 9])


def read_digits(state: tuple[pathlib.Path, bytes, bytes], rng: random.Random) -> None:
    folder, *contents = state
    for path in folder.iterdir():
        path.unlink()
    for stem, content in zip(("train-images-idx3-ubyte", "train-labels-idx1-ubyte"), contents, strict=True):
        content = damaged(content, rng) if rng.random() < 0.6 else content
        if rng.random() < 0.5:
            packed = gzip.compress(content, 1)
            (folder / f"{stem}.gz").write_bytes(damaged(packed, rng) if rng.random() < 0.5 else packed)
        else:
            (folder / stem).write_bytes(content)
    read_mnist(folder, memory=MEMORY)


def data_set() -> BinnedDataset:
    ptr = np.array([[2 * i, 2 * i + 1, 2 * i + 2] for i in range(4)])
    return BinnedDataset(ptr, np.arange(8) % 5, np.arange(4), 5, dt=0.5, simulated=True, name="made")


def same(one: BinnedDataset, two: BinnedDataset) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(two, name)) for name in ("ptr", "channels", "labels"))


def cache(folder: pathlib.Path) -> tuple[pathlib.Path, dict[str, bytes]]:
    cached({}, data_set, folder)
    (entry,) = folder.iterdir()
    return entry, {path.name: path.read_bytes() for path in entry.iterdir()}


def read_cache(state: tuple[pathlib.Path, dict[str, bytes]], rng: random.Random) -> None:
    """What comes out of the cache is what was put in, whatever has happened to its files."""
    entry, contents = state
    entry.mkdir(exist_ok=True)
    broken = rng.choice(sorted(contents))
    for name, content in contents.items():
        # Most of a file of so few numbers is its header.
        (entry / name).write_bytes(damaged(content, rng) if name == broken else content)
    assert same(cached({}, data_set, entry.parent), data_set())


def read_set(state: tuple[pathlib.Path, dict[str, bytes]], rng: random.Random) -> None:
    """A data set of somebody else: his checksums are right."""
    entry, contents = state
    entry.mkdir(exist_ok=True)
    facts = json.loads(contents["dataset.json"])
    for name in ("ptr", "channels", "labels"):
        array = np.load(io.BytesIO(contents[f"{name}.npy"]))
        given = spoiled(array, rng) if rng.random() < 0.4 else array
        given = given if isinstance(given, np.ndarray) and given.dtype.kind in "iufb" else array
        np.save(entry / f"{name}.npy", given)
        facts["checksums"][name] = ep.data.cache._checksum(given)
    text = json.dumps(facts)
    (entry / "dataset.json").write_text(reworded(text, rng) if rng.random() < 0.5 else text, errors="surrogatepass")
    found = load_dataset(entry)
    found.validate()
    found.activity()


def read_samples(state: Any, rng: random.Random) -> None:
    """Events as a program hands them over."""
    array = np.array([[3, 2, 1500, 1], [4, 2, 1700, 0]], rng.choice((np.int64, np.float64, np.uint16)))
    label: Any = rng.choice((3, -1, 1.5, None, "a", 2**40, [1], np.array([3]), np.nan))
    from_iterable([(spoiled(array, rng), label if rng.random() < 0.3 else 3)], n_steps=4).validate()


def read_live(state: Any, rng: random.Random) -> None:
    """Lines of text as a camera's program writes them."""
    text = reworded(rng.choice(("0.5 1\n1.5 2\n1.7 4\n2.5 0\n", "3 2 1500 1\n4,2,1700,0\n# end\n1 1 2600 1\n")), rng)
    size: Any = rng.choice((5, (5, 5)))
    with LiveEvents(read_text(text.splitlines()), size, real_time=False) as live:
        for _, channels in zip(range(20), live, strict=False):
            assert channels.min(initial=0) >= 0
            assert channels.max(initial=0) < live.size


# --------------------------------------------------------------------------------------------------- configurations, runs


def configurations(folder: pathlib.Path) -> list[str]:
    tasks = ("pattern-generation", "evidence-accumulation", "nmnist")
    plus = [RunConfig.make(name, task={"rule": "eprop+"}).to_toml() for name in tasks]
    small = '[task]\nname = "nmnist"\nneurons = 5\nloss = "softmax"\n[data]\ntest_data = ["a", "b"]\n[training]\nepochs = 1\n'
    return [RunConfig.make(name).to_toml() for name in tasks] + plus + [small] * 6


def read_configuration(texts: list[str], rng: random.Random) -> None:
    text = reworded(rng.choice(texts), rng)
    if rng.random() < 0.3:
        text = damaged(text.encode("utf-8", "surrogatepass"), rng).decode("utf-8", "replace")
    made_and_read_back(text)


def made_and_read_back(text: str) -> RunConfig | None:
    """Make the configuration of a text, write it and read it back; None if it names a file."""
    name, given = parse_config(text, "config.toml")
    if name.endswith(".py"):
        return None
    config = RunConfig.make(name, given).absolute()
    again = RunConfig.make(*parse_config(config.to_toml(), "again"))
    assert config.differences(again) == []
    return config


def read_settings(state: Any, rng: random.Random) -> None:
    keys = (
        "eta",
        "epochs",
        "training.batch_size",
        "task.rule",
        "rule",
        "loss",
        "range",
        "test_data",
        "seed",
        "x",
        "",
        "data.",
    )
    settings = [f"{rng.choice(keys)}={rng.choice(WORDS)}" for _ in range(rng.randrange(1, 3))]
    task = rng.choice(("nmnist", "pattern-generation"))
    RunConfig.make(task, **parse_settings(task, settings))


def read_curve(folder: pathlib.Path, rng: random.Random) -> None:
    path = folder / "path.csv"
    text = reworded("x,y\n0,0\n1,2\n2,0.5\n", rng).encode("utf-8", "surrogatepass")
    path.write_bytes(damaged(text, rng) if rng.random() < 0.3 else text)
    assert np.isfinite(read_path(str(path), 7)).all()


def run_folders(folder: pathlib.Path) -> pathlib.Path:
    return folder


def read_run(folder: pathlib.Path, rng: random.Random) -> None:
    run = RunFolder(folder)
    line = '{"samples": 3, "total": 9, "error": 0.5}'
    texts = {
        run.metrics: f"{line}\n{line}\n",
        run.summary: '{"test_error": 0.5, "trials": []}',
        run.trials: '{"seeds": [1, 2]}',
    }
    for path, text in texts.items():
        content = reworded(text, rng).encode("utf-8", "surrogatepass") if rng.random() < 0.7 else text.encode()
        path.write_bytes(damaged(content, rng) if rng.random() < 0.2 else content)
    assert 0.0 <= run.share() <= 1.0 or run.share() < 0.0
    rng.choice((run.read_metrics, run.read_summary, run.read_trials, lambda: run.rewind_metrics(3)))()


# -------------------------------------------------------------------------------------------------------------- simulators


def network() -> ep.Network:
    net = ep.Network(seed=1)
    adam = ep.EPropPlus(optimizer=ep.Adam(1e-3), cutoff=10.0)
    plain = ep.EPropPlus(optimizer=ep.GradientDescent(1e-3), cutoff=10.0)
    x, rec, slow = (
        net.add(ep.EventSource(), 4, "in"),
        net.add(ep.LIF(v_th=0.3), 3, "rec"),
        net.add(ep.ALIF(), 2, "slow"),
    )
    out = net.add(ep.Readout(), 2, "out")
    net.connect(x, rec, weight=0.4, rule=plain, delay=2.0)
    net.connect(rec, slow, weight=0.4, rule=adam)
    net.connect(slow, rec, weight=0.2, rule=ep.STDP())
    net.connect(rec, out, weight=0.2, rule=plain)
    net.feedback(out, rec)
    net.feedback(out, slow, ep.RandomFeedback(ep.Normal(0.0, 1.0)))
    return net


def simulators(folder: pathlib.Path) -> tuple[ep.Simulator, dict[str, np.ndarray]]:
    sim = ep.Simulator(network(), threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sim.run(25.0, {"in": np.random.default_rng(0).random((25, 4)) < 0.3}, {"out": [0.0, 1.0]})
    return sim, sim.state()


def set_state(state: tuple[ep.Simulator, dict[str, np.ndarray]], rng: random.Random) -> None:
    """A state that is accepted can be gone on with; one that is refused has changed nothing."""
    sim, good = state
    bad = dict(good)
    for name in rng.sample(sorted(good), rng.choice((1, 1, 2))):
        if rng.random() < 0.05:
            del bad[name]
        else:
            bad[name] = spoiled(np.asarray(good[name]), rng)
    given = np.random.default_rng(1).random((15, 4)) < 0.3
    try:
        sim.set_state(bad)
        sim.run(15.0, {"in": given}, {"out": [0.0, 1.0]})
        sim.state()
    except DivergenceError:
        pass
    finally:
        sim.set_state(good)


# -------------------------------------------------------------------------------------------------------------- checkpoints


def checkpoints(folder: pathlib.Path) -> tuple[pathlib.Path, Checkpoint]:
    _, state = simulators(folder)
    position = {
        "done": 3,
        "learned": 3,
        "events": 9,
        "seconds": 1.0,
        "validation_error": None,
        "data": "x",
        "easy": np.arange(3.0),
    }
    config = RunConfig.make("nmnist", task={"neurons": 5}).to_toml()
    checkpoint = Checkpoint(config, position, state, {"ptr": np.arange(4)}, "0.2.0")
    save_checkpoint(folder / "sound.h5", checkpoint)
    return folder / "sound.h5", checkpoint


def read_checkpoint(state: tuple[pathlib.Path, Checkpoint], rng: random.Random) -> None:
    """Damaged; or made by somebody else, with a checksum that is right."""
    from eprop.training import checkpoint as module

    path, _ = state
    whole = path.read_bytes()
    kind = rng.randrange(4)
    if kind == 0:
        content = damaged(whole, rng)
    elif kind == 1:
        content = damaged(whole[: module._HEADER], rng) + whole[module._HEADER :]
    else:
        body = damaged(whole[module._HEADER :], rng)
        content = module._header("0.2.0", memoryview(body)).replace(b"mark ", b"mark 0") + body
    broken = path.with_name("broken.h5")
    broken.write_bytes(content)
    found = load_checkpoint(broken, memory=MEMORY)
    assert isinstance(found.position, dict)


TARGETS = (
    Target("recordings", recordings, read_recordings, 100),
    Target("archives", archives, read_archive, 800),
    Target("digits", digits, read_digits, 2000),
    Target("cache", cache, read_cache, 120),
    Target("data set", cache, read_set, 120),
    Target("samples", lambda folder: None, read_samples, 1500),
    Target("configuration", configurations, read_configuration, 800),
    Target("settings", lambda folder: None, read_settings, 2000),
    Target("live", lambda folder: None, read_live, 200),
    Target("path", lambda folder: folder, read_curve, 1500),
    Target("run", run_folders, read_run, 1000),
    Target("set_state", simulators, set_state, 200),
    Target("checkpoint", checkpoints, read_checkpoint, 600),
)
