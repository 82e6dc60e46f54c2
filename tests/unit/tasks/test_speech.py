"""Spoken digits and SHD: parts of the data, variety, and learning."""

from __future__ import annotations

import pathlib
import re
import struct

import h5py
import numpy as np
import pytest

import eprop as ep
from eprop.data.audio import SyntheticWords
from eprop.errors import DataError
from eprop.tasks import spoken_digits, task_named
from eprop.training import Stage, scoring_of


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EPROP_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    """Ten words by four speakers, twice each, as WAV files."""
    made = tmp_path / "recordings"
    made.mkdir()
    for k, (samples, rate) in enumerate(words := SyntheticWords(80, speakers=4)):
        body = np.round(32767 * samples).astype("<i2").tobytes()
        chunks = (
            b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, rate, 2 * rate, 2, 16) + b"data" + struct.pack("<I", len(body))
        )
        content = b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(body)) + b"WAVE" + chunks + body
        (made / f"{words.labels[k]}_{'abcd'[words.speakers[k]]}_{4 + k // 40}.wav").write_bytes(content)
    return made


def source(**given):
    same = {"variants": 1, "loudness": 0.0, "colour": 0.0, "shift": 0.0, "stretch": 0.0}
    return spoken_digits(channels=8, n_steps=60, neurons=3, **{**same, **given}).train


def load(epoch=0, **given):
    return source(**given)(Stage(epoch))


def test_the_official_test_and_left_out_speakers(folder):
    splits = load(data=folder)
    assert (len(splits.train), splits.validation, len(splits.test)) == (40, None, 40)
    assert (splits.train.n_channels, splits.train.dt, splits.train.n_steps) == (16, 5.0, 60)
    assert splits.test.labels.tolist() == sorted(list(range(10)) * 4)
    left = load(data=folder, leave=("b", "d"))
    assert (len(left.train), len(left.test)) == (40, 40)
    alone = load(data=folder, leave=("b",), validation=10)
    assert (len(alone.train), len(alone.validation), len(alone.test)) == (50, 10, 20)
    other = load(data=folder, test_data=(folder, folder), samples=30, test_samples=20)
    assert (len(other.train), len(other.test)) == (30, 20)
    assert len(source(test_data=(folder,)).read_test(Stage())) == 80
    assert "recordings in recordings, train part" in splits.describe()["train"]


def test_the_lists_of_speech_commands_are_the_parts(tmp_path, folder):
    commands = tmp_path / "commands"
    for file in folder.iterdir():
        label, speaker, take = file.stem.split("_")
        name = commands / ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")[int(label)]
        name.mkdir(parents=True, exist_ok=True)
        (name / f"{speaker}_nohash_{take}.wav").write_bytes(file.read_bytes())
    (commands / "bed").mkdir()
    (commands / "bed" / "a_nohash_0.wav").write_bytes(b"not read")
    (commands / "testing_list.txt").write_text("one/a_nohash_4.wav\ntwo/b_nohash_4.wav\n")
    (commands / "validation_list.txt").write_text("six/c_nohash_5.wav\n")
    splits = load(data=commands)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (77, 1, 2)
    assert splits.test.labels.tolist() == [1, 2]


def test_epochs_vary_and_the_test_does_not(folder):
    fixed = [load(data=folder, epoch=epoch) for epoch in (0, 3)]
    assert not source().fresh_epochs
    assert np.array_equal(fixed[0].train.channels, fixed[1].train.channels)
    given = {"data": folder, "variants": 2, "colour": 12.0, "shift": 1.0}
    assert source(**given).fresh_epochs
    found = [load(epoch=epoch, **given) for epoch in (0, 2, 0, 1)]
    counts = [splits.train.counts.tolist() for splits in found]
    assert counts[0] == counts[2]
    assert len({str(each) for each in counts}) == 3
    assert all(np.array_equal(splits.test.counts, fixed[0].test.counts) for splits in found)
    encoded = {str(load(epoch=epoch, data=folder, variants=2).train.counts.tolist()) for epoch in range(4)}
    assert len(encoded) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": pathlib.Path("nowhere")}, "no such folder or archive"),
        ({"leave": ("e",)}, "no recording by e; the speakers are: a, b, c, d"),
        ({"leave": ("a", "b", "c", "d")}, "none is left for training"),
        ({"validation": 40}, "cannot take 40 validation samples of 40"),
    ],
)
def test_parts_that_do_not_exist_are_refused(folder, given, words):
    with pytest.raises(DataError, match=words):
        load(**{"data": folder, **given})


def test_synthetic_words_are_the_default():
    splits = load(samples=30, test_samples=20)
    assert (len(splits.train), len(splits.test)) == (30, 20)
    assert splits.train.simulated
    assert splits.train.name == "30 synthetic words by 3 voices"


def test_a_network_learns_synthetic_words():
    experiment = spoken_digits(
        neurons=60, channels=20, input_delay=30.0, samples=200, test_samples=100, variants=1, loudness=0.0, colour=0.0,
        shift=0.0, stretch=0.0, epochs=10, batch_size=20,
    )  # fmt: skip
    history = ep.fit(experiment, progress=False, threads=1)
    assert history.evaluation.error < 0.4  # chance is 0.9; the voices of the test are others


def test_time_constants_learn():
    experiment = spoken_digits(
        neurons=20, channels=8, n_steps=60, spread=0.5, learn_taus=True, samples=20, test_samples=20
    )
    sim, dataset = ep.Simulator(experiment.network, threads=1), experiment.splits(Stage()).train
    before = sim.parameters("rec")
    sim.train(scoring_of(experiment, dataset).samples(dataset))
    after = sim.parameters("rec")
    for name in ("tau_m", "tau_adapt"):
        change = np.abs(np.log(after[name] / before[name]))
        assert 0.0 < change.max() <= 0.021  # a step of Adam is about the learning rate


def test_constants_are_drawn_and_kappa_follows_the_readouts():
    sim = ep.Simulator(spoken_digits(neurons=100, spread=0.5).network, threads=1)
    tau_m, tau_adapt = (sim.parameters("rec")[name] for name in ("tau_m", "tau_adapt"))
    assert 0.35 < np.std(np.log(tau_m)) < 0.65
    assert 0.35 < np.std(np.log(tau_adapt)) < 0.65
    for kappa in (None, 0.5):
        made = spoken_digits(rule="eprop+", kappa=kappa).network
        assert made.projection("rec->rec").rule.kappa == kappa
    assert spoken_digits(encoder="mel", channels=40).network.population("in").size == 80


def test_the_task_of_the_page_reads_the_files_of_shd(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 40), ("test", 20)):
        with h5py.File(tmp_path / f"shd_{split}.h5", "w") as file:
            file["labels"] = np.arange(n) % 20
            for name, kind, top in (("times", np.float16, 1.0), ("units", np.uint16, 700)):
                rows = file.create_dataset(f"spikes/{name}", (n,), dtype=h5py.vlen_dtype(kind))
                for k in range(n):
                    rows[k] = (rng.random(30) * top).astype(kind)
    page = pathlib.Path(__file__).parents[3] / "docs/howto/sound.md"
    (code,) = re.findall(r"^```py\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    (tmp_path / "shd.py").write_text(code)
    made = task_named(tmp_path / "shd.py")(data=str(tmp_path), validation=4, neurons=5)
    assert [len(part) for part in (made.train, made.validation, made.test)] == [36, 4, 20]
