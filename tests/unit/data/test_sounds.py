"""Readers of sound: WAV files, folders and archives of them, SHD and SSC; synthetic words; variety."""

from __future__ import annotations

import struct

import h5py
import numpy as np
import pytest

from digits import zipped
from eprop.data import from_iterable
from eprop.data.audio import Cochlea, SyntheticWords, Variety, read_sounds, read_spikes_of_speech, read_wav
from eprop.errors import DataError, ParameterError


def wav(samples, rate=8000, channels=1, kind=1, bits=16, extra=b"", extensible=False, declared=None):
    """Bytes of a WAV file."""
    body = samples if isinstance(samples, bytes) else np.asarray(samples, "<i2").tobytes()
    width = channels * bits // 8
    head = struct.pack("<HHIIHH", 0xFFFE if extensible else kind, channels, rate, rate * width, width, bits)
    if extensible:
        head += struct.pack("<HHIH", 22, bits, 0, kind) + b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"
    size = len(body) if declared is None else declared
    chunks = b"fmt " + struct.pack("<I", len(head)) + head + extra + b"data" + struct.pack("<I", size) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (wav([0, 16384, -32768]), [0.0, 0.5, -1.0]),
        (wav(bytes([0, 128, 192]), bits=8), [-1.0, 0.0, 0.5]),
        (wav(b"\0\0\x40\0\0\x80", bits=24), [0.5, -1.0]),
        (wav(np.array([1 << 30], "<i4").tobytes(), bits=32), [0.5]),
        (wav(np.array([0.25, -2.0], "<f4").tobytes(), kind=3, bits=32), [0.25, -2.0]),
        (wav(np.array([0.25], "<f8").tobytes(), kind=3, bits=64), [0.25]),
        (wav([8192], extensible=True), [0.25]),
        (wav([8192, 0, -8192], declared=2**32 - 1), [0.25, 0.0, -0.25]),
        (wav([8192, 0]).replace(b"RIFF\x28\0\0\0", b"RIFF\xff\xff\xff\xff"), [0.25, 0.0]),
        (wav([8192], extra=b"LIST" + struct.pack("<I", 3) + b"abc\0"), [0.25]),
    ],
)
def test_wav_files_of_all_kinds(content, expected):
    samples, rate = read_wav(content, "a.wav")
    assert samples.dtype == np.float64
    assert samples.tolist() == expected
    assert rate == 8000


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ID3 of an MP3 file", "is not a WAV file"),
        (wav([1, 2, 3])[:-2], r"truncated: 4 of 6 bytes"),
        (wav([1, 2, 3])[:36], "ends before its samples"),
        (wav(b"abc"), "cannot be read as WAV .*; PCM of 8, 16, 24 or 32 bits"),
        (wav([]), "has no samples"),
        (wav([1, 2], channels=2), r"2 channels.*-ac 1"),
        (wav([1], kind=7, bits=8), "cannot be read as WAV .*MULAW.*convert it with ffmpeg"),
        (wav([1], rate=0), "rate of 0"),
        (wav(np.array([0.0, np.nan], "<f4").tobytes(), kind=3, bits=32), "sample 1 is not finite"),
        (b"RIFF\0\0\0\0WAVEdata\2\0\0\0\0\0", "cannot be read as WAV .*fmt"),
        (b"RIFF\0\0\0\0WAVEfmt \2\0\0\0\0\0", "ends before its samples"),
    ],
)
def test_bad_wav_files_are_refused_in_words(content, words):
    with pytest.raises(DataError, match=rf"^a\.wav: .*{words}"):
        read_wav(content, "a.wav")


def tree(folder, files, rate=8000):
    for k, name in enumerate(files):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(wav(100 * np.arange(k, k + 50), rate))
    return folder


HEIDELBERG = ["left_turn_ann_0.wav", "left_ann_1.wav", "seven_bob_the_great_2.wav", "10_ann_3.wav"]


@pytest.mark.parametrize(
    ("files", "given", "classes", "speakers", "takes"),
    [
        (["rec/1_ann_0.wav", "rec/0_bob_the_great_12.wav", "rec/0_ann_3.WAV", "README.md", "rec/0_ann_1.wav"], {},
         ("0", "1"), ["ann", "ann", "bob_the_great", "ann"], [1, 3, 12, 0]),
        (HEIDELBERG, {}, ("10", "left", "left_turn", "seven"), ["ann", "ann", "ann", "bob_the_great"], [3, 1, 0, 2]),
        (HEIDELBERG, {"classes": ("7", "left")}, ("7", "left"), ["bob_the_great", "ann"], [2, 1]),
        (["yes/f0_nohash_0.wav", "yes/f1_nohash_1.wav", "no/f0_nohash_0.wav", "_noise_/hum.wav"], {},
         ("no", "yes"), ["f0", "f0", "f1"], [0, 0, 1]),
        (["up/a.wav", "down/b.wav"], {}, ("down", "up"), ["", ""], [-1, -1]),
    ],
)  # fmt: skip
def test_labels_speakers_and_numbers_are_in_names(tmp_path, files, given, classes, speakers, takes):
    sounds = read_sounds(tree(tmp_path, files), **given)
    assert (sounds.classes, sounds.speakers.tolist(), sounds.takes.tolist()) == (classes, speakers, takes)
    assert set(sounds.parts) == {""}


def test_an_archive_holds_the_same_sounds_and_lists_tell_the_parts(tmp_path):
    names = ["yes/f0_nohash_0.wav", "yes/f1_nohash_1.wav", "no/f0_nohash_0.wav"]
    folder = tree(tmp_path / "commands", names)
    sounds = read_sounds(folder)
    samples, rate = sounds[0]
    assert (samples[0] * 32768.0, rate, len(samples)) == (200.0, 8000, 50)
    assert sounds.subset([2, 0])[0].samples[0] * 32768.0 == 100.0
    packed = read_sounds(zipped(tmp_path / "a.zip", {name: (folder / name).read_bytes() for name in names}))
    assert packed[0].samples.tolist() == samples.tolist()
    assert packed.stamp() != sounds.stamp()
    assert "3 of 2 words by 2 speakers" in repr(packed)
    (folder / "testing_list.txt").write_text("yes/f1_nohash_1.wav\n")
    (folder / "validation_list.txt").write_text("no/f0_nohash_0.wav\n")
    assert read_sounds(folder).parts.tolist() == ["validation", "train", "test"]


@pytest.mark.parametrize(
    ("files", "given", "words"),
    [
        (["a.txt"], {}, "no WAV file"),
        (["seven.wav"], {}, "no label found: the file is in no folder"),
        (["x/7_ann_1.wav", "x/noise.wav"], {"layout": "names"}, "no label found in the name"),
        (["7_ann_1.wav"], {"classes": ("seven", "eight")}, "no recording of eight; the labels are: 7"),
        (["_noise_/a.wav"], {}, "no recording of a word"),
    ],
)
def test_missing_labels_are_refused(tmp_path, files, given, words):
    with pytest.raises(DataError, match=words):
        read_sounds(tree(tmp_path, files), **given)
    with pytest.raises(ParameterError, match="layout must be"):
        read_sounds(tmp_path, layout="table")


def test_a_bad_file_is_named_when_it_is_read(tmp_path):
    tree(tmp_path, ["1_ann_0.wav", "1_ann_1.wav"])
    (tmp_path / "1_ann_1.wav").write_bytes(b"")
    sounds = read_sounds(tmp_path)
    with pytest.raises(DataError, match=r"1_ann_1\.wav: is not a WAV file"):
        Cochlea().binned(sounds, sounds.labels, seed=0)


def write_shd(path, times, units, labels, speakers=None):
    with h5py.File(path, "w") as file:
        for name, rows, kind in (("times", times, np.float16), ("units", units, np.uint16)):
            made = file.create_dataset(f"spikes/{name}", (len(rows),), dtype=h5py.vlen_dtype(kind))
            for k, row in enumerate(rows):
                made[k] = np.asarray(row, kind)
        if labels is not None:
            file["labels"] = np.asarray(labels)
        if speakers is not None:
            file["extra/speaker"] = np.asarray(speakers)
            file["extra/keys"] = np.array([b"zero", b"null"])


def test_shd_files(tmp_path):
    times = [[0.001, 0.0125, 0.5], [], [0.25]]
    units = [[699, 4, 5], [], [350]]
    write_shd(tmp_path / "shd_train.h5", times, units, [3, 0, 19], [7, 8, 7])
    found = read_spikes_of_speech(tmp_path, "train")
    assert (found.labels.tolist(), found.speakers.tolist()) == ([3, 0, 19], [7, 8, 7])
    data = found.binned(n_steps=100, dt=5.0, pool=5)
    data.validate()
    assert data.n_channels == 140
    assert [np.transpose(np.nonzero(data.dense(k))).tolist() for k in range(3)] == [
        [[0, 139], [2, 0]], [], [[50, 70]],
    ]  # fmt: skip
    whole = found.binned(n_steps=200, dt=5.0)
    assert (whole.n_channels, whole.counts.tolist()) == (700, [3, 0, 1])
    assert read_spikes_of_speech(tmp_path / "shd_train.h5").stamp() == found.stamp()
    with pytest.raises(ParameterError, match="pool must divide 700"):
        found.binned(pool=3)
    with pytest.raises(ParameterError, match="choose a split"):
        read_spikes_of_speech(tmp_path)
    with pytest.raises(DataError, match=r"no file of the split test, only train"):
        read_spikes_of_speech(tmp_path, "test")
    write_shd(tmp_path / "ssc_train.h5", times, units, [3, 0, 19])
    with pytest.raises(DataError, match="files of both SHD and SSC"):
        read_spikes_of_speech(tmp_path, "train")


@pytest.mark.parametrize(
    ("times", "units", "labels", "words"),
    [
        ([[0.5], [-0.5]], [[1], [1]], [0, 1], r"sample 1 has the time -0\.5"),
        ([[0.1], [np.nan]], [[1], [1]], [0, 1], "sample 1 has the time nan"),
        ([[0.1]], [[700]], [0], "sample 0 has the unit 700"),
        ([[0.1, 0.2]], [[1]], [0], "sample 0 has other numbers of times and units"),
        ([[0.1]], [[1]], [0, 1], "spikes/times with a row for each of 2 labels"),
        ([[0.1]], [[1]], [-1], "labels must be whole numbers >= 0"),
        ([[0.1]], [[1]], None, "has no labels"),
    ],
)
def test_bad_shd_files_are_refused_in_words(tmp_path, times, units, labels, words):
    write_shd(tmp_path / "a.h5", times, units, labels)
    with pytest.raises(DataError, match=words):
        read_spikes_of_speech(tmp_path / "a.h5").binned()


def test_synthetic_words_depend_on_seed_and_number():
    words = SyntheticWords(40, seed=3)
    assert words.labels.tolist() == list(range(10)) * 4
    assert words.speakers.tolist() == [0] * 10 + [1] * 10 + [2] * 10 + [3] * 10
    later = SyntheticWords(10, seed=3, first=20)
    assert np.array_equal(later[4].samples, words[24].samples)
    assert not np.array_equal(SyntheticWords(10, seed=4)[4].samples, words[4].samples)
    assert all(0.1 < len(samples) / rate < 0.9 and np.abs(samples).max() < 0.2 for samples, rate in words)
    six = Cochlea().events(*words[6], seed=0)  # a hiss, a vowel, a stop, a hiss
    assert np.median(six.x[six.t < 60_000]) > 28.0
    assert np.median(six.x) < 28.0
    with pytest.raises(ParameterError, match="count"):
        SyntheticWords(0)


def test_variety_moves_each_recording():
    rng = np.random.default_rng(1)
    rows = [np.stack([rng.integers(5, 15, 200), rng.integers(0, 2, 200), rng.integers(0, 100_000, 200), np.zeros(200, int)], 1)
            for _ in range(60)]  # fmt: skip
    data = from_iterable([(row, 0) for row in rows], sensor_size=(20, 2, 1), n_steps=50, dt=5.0)

    def centres(**given):
        """Mean step and place of each recording once it is varied."""
        varied = Variety(**given).vary(data, 20, seed=1)
        varied.validate()
        return np.array([(steps.mean(), (channels % 20).mean()) for steps, channels in map(varied.sample, range(60))]).T

    step, place = centres()
    assert np.array_equal(Variety().vary(data, 20, seed=1).channels, data.channels)
    for found, low, high in (
        (centres(shift=3.0)[1] - place, -3.0, 3.0),
        (np.log2(centres(stretch=1.0)[0] / step), -1.0, 1.0),
        (centres(delay=50.0)[0] - step, 0.0, 10.0),
    ):
        assert low - 0.5 <= found.min() < low + 0.25 * (high - low)
        assert high - 0.25 * (high - low) < found.max() <= high + 0.5
    assert Variety(drop=0.3).vary(data, 20, seed=1).counts.sum() == pytest.approx(0.7 * data.counts.sum(), rel=0.02)
    moved, other = (Variety(shift=3.0).vary(data, 20, seed=seed) for seed in (1, 2))
    assert not np.array_equal(other.channels, moved.channels)
    part = Variety(shift=3.0).vary(data.subset([7, 3]), 20, seed=1, numbers=[7, 3])
    assert np.array_equal(part.dense(0), moved.dense(7))
    for given in ({"places": 21}, {"places": 20, "numbers": [1]}):
        with pytest.raises(DataError, match="cannot vary"):
            Variety().vary(data, seed=1, **given)


@pytest.mark.shared
def test_real_recordings_of_digits(shared):
    sounds = read_sounds(shared / "data" / "fsdd.zip")
    assert (len(sounds), sounds.classes) == (2450, tuple("0123456789"))
    assert sorted(set(sounds.speakers.tolist())) == ["george", "jackson", "nicolas", "theo", "yweweler"]
    assert np.sum(sounds.takes < 5) == 200
    chosen = sounds.subset((sounds.takes == 7) & np.isin(sounds.labels, [6, 9]))
    assert len(chosen) == 10
    assert {rate for _, rate in chosen} == {8000}
    data = Cochlea().binned(chosen, chosen.labels, seed=1)
    assert 300 < data.counts.min() <= data.counts.max() < 3000
    onsets = [data.dense(k)[:16] for k in range(10)]  # 80 ms: the hiss of "six" is high, "nine" begins low
    high = [onset[:, 25:35].sum() / max(onset[:, :35].sum(), 1) for onset in onsets]
    assert np.mean(high[:5]) > np.mean(high[5:]) + 0.2
