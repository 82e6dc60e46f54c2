"""Spoken digits and SHD: parts of the data, variety, and learning."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

import eprop as ep
from eprop.data.audio import SyntheticWords
from eprop.errors import DataError, ParameterError
from eprop.tasks import SHD, SpokenDigits
from eprop.tasks.speech import SpikingSpeech, SpokenWords
from eprop.training import RunConfig, evaluate_run, resume_run, start_run
from eprop.training import load as load_run

TASK = SpokenDigits(neurons=8, channels=8, n_steps=60)


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


def load(task=TASK, epoch=0, **given):
    return SpokenWords(**given).load(task, epoch=epoch)


def test_the_official_test_and_left_out_speakers(folder):
    splits = load(data=str(folder))
    assert (len(splits.train), splits.validation, len(splits.test)) == (40, None, 40)
    assert (splits.train.n_channels, splits.train.dt, splits.train.n_steps) == (16, 5.0, 60)
    assert splits.test.labels.tolist() == sorted(list(range(10)) * 4)
    left = load(data=str(folder), leave=("b", "d"))
    assert (len(left.train), len(left.test)) == (40, 40)
    alone = load(data=str(folder), leave=("b",), validation=10)
    assert (len(alone.train), len(alone.validation), len(alone.test)) == (50, 10, 20)
    other = load(data=str(folder), test_data=(str(folder), str(folder)), samples=30, test_samples=20)
    assert (len(other.train), len(other.test)) == (30, 20)
    assert len(SpokenWords().load_test(TASK, [folder])) == 80
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
    splits = load(data=str(commands))
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (77, 1, 2)
    assert splits.test.labels.tolist() == [1, 2]


def test_epochs_vary_and_the_test_does_not(folder):
    fixed = [load(data=str(folder), epoch=epoch) for epoch in (0, 3)]
    assert not SpokenWords().fresh_epochs
    assert np.array_equal(fixed[0].train.channels, fixed[1].train.channels)
    given = {"data": str(folder), "variants": 2, "colour": 12.0, "shift": 1.0}
    assert SpokenWords(**given).fresh_epochs
    found = [load(epoch=epoch, **given) for epoch in (0, 2, 0, 1)]
    counts = [splits.train.counts.tolist() for splits in found]
    assert counts[0] == counts[2]
    assert len({str(each) for each in counts}) == 3
    assert all(np.array_equal(splits.test.counts, fixed[0].test.counts) for splits in found)
    encoded = {str(load(epoch=epoch, data=str(folder), variants=2).train.counts.tolist()) for epoch in range(4)}
    assert len(encoded) == 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"data": "nowhere"}, "no such folder or file"),
        ({"leave": ("e",)}, "no recording by e; the speakers are: a, b, c, d"),
        ({"leave": ("a", "b", "c", "d")}, "none is left for training"),
        ({"test_takes": 1}, "none has a number below 1 in its name"),
        ({"validation": 40}, "cannot take 40 validation samples of 40"),
    ],
)
def test_parts_that_do_not_exist_are_refused(folder, given, words):
    with pytest.raises(DataError, match=words):
        load(**{"data": str(folder), **given})


def test_synthetic_words_are_the_default():
    splits = load(samples=30, test_samples=20)
    assert (len(splits.train), len(splits.test)) == (30, 20)
    assert splits.train.simulated
    assert splits.train.name == "30 synthetic words by 3 voices"
    with pytest.raises(ParameterError, match="no speakers to leave out"):
        load(leave=("a",))


def test_a_network_learns_synthetic_words():
    task = SpokenDigits(neurons=60, channels=20, input_delay=30.0)
    network = task.build_network()
    sim = ep.Simulator(network, threads=1, precision="single")
    splits = load(task, samples=200, test_samples=100)
    samples, test = (task.make_samples(network, part) for part in (splits.train, splits.test))
    for epoch in range(10):
        order = np.random.default_rng(epoch).permutation(200)
        for first in range(0, 200, 20):
            sim.train(samples[order[first : first + 20]])
    assert np.mean(task.score(test, sim.evaluate(test).y)) < 0.4  # chance is 0.9; the voices of the test are others


def test_time_constants_learn():
    task = SpokenDigits(neurons=20, channels=8, n_steps=60, spread=0.5, learn_taus=True)
    network = task.build_network()
    sim = ep.Simulator(network, threads=1)
    before = sim.parameters("rec")
    sim.train(task.make_samples(network, load(task, samples=20, test_samples=20).train))
    after = sim.parameters("rec")
    for name in ("tau_m", "tau_adapt"):
        change = np.abs(np.log(after[name] / before[name]))
        assert 0.0 < change.max() <= 0.021  # a step of Adam is about the learning rate
    with pytest.raises(ParameterError, match=r'learn_taus needs rule = "eprop"'):
        SpokenDigits(rule="eprop+", learn_taus=True)


def test_constants_are_drawn_and_kappa_follows_the_readouts():
    sim = ep.Simulator(SpokenDigits(neurons=100, spread=0.5).build_network(), threads=1)
    tau_m, tau_adapt = (sim.parameters("rec")[name] for name in ("tau_m", "tau_adapt"))
    assert 0.35 < np.std(np.log(tau_m)) < 0.65
    assert 0.35 < np.std(np.log(tau_adapt)) < 0.65
    for kappa in (None, 0.5):
        assert SpokenDigits(rule="eprop+", kappa=kappa).make_rule(1e-3).kappa == kappa
    assert SpokenDigits(encoder="mel", channels=40).n_channels == 80
    with pytest.raises(ParameterError, match=r"window_start must be below n_steps = 10"):
        SpokenDigits(n_steps=10)
    with pytest.raises(ParameterError, match="cochlea"):
        SpokenDigits(encoder="fourier")


def test_shd_reads_its_files(tmp_path):
    rng = np.random.default_rng(0)
    for split, n in (("train", 40), ("test", 20)):
        with h5py.File(tmp_path / f"shd_{split}.h5", "w") as file:
            file["labels"] = np.arange(n) % 20
            for name, kind, top in (("times", np.float16, 1.0), ("units", np.uint16, 700)):
                rows = file.create_dataset(f"spikes/{name}", (n,), dtype=h5py.vlen_dtype(kind))
                for k in range(n):
                    rows[k] = (rng.random(30) * top).astype(kind)
    task = SHD(neurons=8, pool=70, n_steps=50)
    choice = SpikingSpeech(data=str(tmp_path), **task.default_data())
    splits = choice.load(task)
    assert (len(splits.train), splits.validation, len(splits.test)) == (40, None, 20)
    assert splits.train.n_channels == task.build_network().populations[0].size == 10
    assert len(choice.load_test(task, [tmp_path / "shd_train.h5"])) == 40
    with pytest.raises(DataError, match="the task shd needs data: download shd_train"):
        SpikingSpeech().load(task)
    with pytest.raises(ParameterError, match="pool must divide 700"):
        SHD(pool=3)
    (tmp_path / "shd_test.h5").unlink()
    with pytest.raises(DataError, match="no file of the split test, only train"):
        choice.load(task)


def test_a_stopped_run_with_variety_resumes_to_the_same_bits(folder, tmp_path):
    config = RunConfig.make(
        "spoken-digits",
        task={"neurons": 8, "channels": 8, "n_steps": 60},
        data={"data": str(folder), "variants": 2, "shift": 1.0},
        training={"epochs": 3, "batch_size": 8},
        run={"threads": 1},
    )
    whole = start_run(config, tmp_path / "whole")
    lines = []

    def interrupt(trainer, line):
        lines.append(line)
        if len(lines) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        start_run(config, tmp_path / "part", callbacks=[interrupt])
    assert resume_run(tmp_path / "part").summary["test_error"] == whole.summary["test_error"]
    weights = [load_run(tmp_path / name).simulator.connections("in->rec")[2] for name in ("whole", "part")]
    assert np.array_equal(*weights)
    assert evaluate_run(tmp_path / "part", [folder])[1].scores.size == 80
