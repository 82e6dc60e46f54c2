"""Readers of sound: WAV files, folders and archives of them, SHD and SSC; synthetic words; variety."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import struct
import tarfile
import threading

import h5py
import numpy as np
import pytest

from digits import zipped
from eprop.data import from_iterable
from eprop.data.audio import (
    Cochlea,
    SyntheticWords,
    Variety,
    download_digits,
    read_sounds,
    read_spikes_of_speech,
    read_wav,
)
from eprop.errors import DataError, MissingExtraError, ParameterError


def wav(samples, rate=8000, channels=1, kind=1, bits=16, extra=b"", extensible=False, declared=None):
    """Bytes of a WAV file."""
    body = samples if isinstance(samples, bytes) else np.asarray(samples, "<i2").tobytes()
    head = struct.pack(
        "<HHIIHH",
        0xFFFE if extensible else kind,
        channels,
        rate,
        rate * channels * bits // 8,
        channels * bits // 8,
        bits,
    )
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


def test_labels_in_names(tmp_path):
    names = ["rec/1_ann_0.wav", "rec/0_bob_the_great_12.wav", "rec/0_ann_3.WAV", "README.md", "rec/0_ann_1.wav"]
    sounds = read_sounds(tree(tmp_path / "a", names))
    assert sounds.classes == ("0", "1")
    assert sounds.labels.tolist() == [0, 0, 0, 1]
    assert sounds.speakers.tolist() == ["ann", "ann", "bob_the_great", "ann"]
    assert sounds.takes.tolist() == [1, 3, 12, 0]
    samples, rate = sounds[0]
    assert (samples[0] * 32768.0, rate, len(samples)) == (400.0, 8000, 50)
    part = sounds.subset([3, 0])
    assert part.labels.tolist() == [1, 0]
    assert part[0].samples[0] == 0.0
    packed = zipped(tmp_path / "a.zip", {name: (tmp_path / "a" / name).read_bytes() for name in names})
    assert read_sounds(packed).speakers.tolist() == sounds.speakers.tolist()
    assert read_sounds(packed).stamp() != sounds.stamp()
    spoken = read_sounds(packed, classes=("one", "zero"))
    assert spoken.labels.tolist() == [0, 1, 1, 1]
    assert "4 of 2 words by 2 speakers" in repr(spoken)


def test_a_label_in_a_name_may_have_underscores(tmp_path):
    names = ["left_turn_ann_0.wav", "left_ann_1.wav", "seven_bob_the_great_2.wav", "10_ann_3.wav"]
    sounds = read_sounds(tree(tmp_path, names))
    assert sounds.classes == ("10", "left", "left_turn", "seven")
    assert sounds.speakers.tolist() == ["ann", "ann", "ann", "bob_the_great"]
    assert read_sounds(tmp_path, classes=("left", "seven")).takes.tolist() == [1, 2]


def test_labels_in_folders_and_lists_of_parts(tmp_path):
    names = ["yes/f0_nohash_0.wav", "yes/f1_nohash_1.wav", "no/f0_nohash_0.wav", "_background_noise_/hum.wav"]
    folder = tree(tmp_path / "commands", names, 16_000)
    sounds = read_sounds(folder)
    assert sounds.classes == ("no", "yes")
    assert sounds.speakers.tolist() == ["f0", "f0", "f1"]
    assert sounds.parts.tolist() == ["", "", ""]
    (folder / "testing_list.txt").write_text("yes/f1_nohash_1.wav\n")
    (folder / "validation_list.txt").write_text("no/f0_nohash_0.wav\n")
    assert read_sounds(folder).parts.tolist() == ["validation", "train", "test"]
    plain = read_sounds(tree(tmp_path / "plain", ["up/a.wav", "down/b.wav"]))
    assert plain.speakers.tolist() == ["", ""]
    assert plain.takes.tolist() == [-1, -1]


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


def recordings(n=60, n_steps=50, places=20):
    rng = np.random.default_rng(1)
    events = [(np.stack([rng.integers(5, 15, 200), rng.integers(0, 2, 200), rng.integers(0, 100_000, 200),
                         np.zeros(200, int)], axis=1), 0) for _ in range(n)]  # fmt: skip
    return from_iterable(events, sensor_size=(places, 2, 1), n_steps=n_steps, dt=5.0)


def centre(data, places):
    steps, channels = zip(*(data.sample(k) for k in range(len(data))), strict=True)
    return np.array([np.mean(s) for s in steps]), np.array([np.mean(c % places) for c in channels])


def test_variety_moves_each_recording():
    data = recordings()
    same = Variety().vary(data, 20, seed=1)
    assert np.array_equal(same.ptr, data.ptr)
    assert np.array_equal(same.channels, data.channels)
    step, place = centre(data, 20)
    moved = Variety(shift=3.0).vary(data, 20, seed=1)
    moved.validate()
    shift = centre(moved, 20)[1] - place
    assert 2.0 < shift.max() < 3.5
    assert -3.5 < shift.min() < -2.0
    assert np.std(shift) == pytest.approx(3.0 / np.sqrt(3.0), rel=0.25)
    later = centre(Variety(stretch=1.0).vary(data, 20, seed=1), 20)[0] / step
    assert 1.7 < later.max() < 2.1
    assert 0.45 < later.min() < 0.6
    delayed = centre(Variety(delay=50.0).vary(data, 20, seed=1), 20)[0] - step
    assert 8.0 < delayed.max() <= 10.5
    assert -0.5 <= delayed.min() < 2.0
    assert Variety(drop=0.3).vary(data, 20, seed=1).counts.sum() == pytest.approx(0.7 * data.counts.sum(), rel=0.02)
    part = Variety(shift=3.0).vary(data.subset([7, 3]), 20, seed=1, numbers=[7, 3])
    assert np.array_equal(part.dense(0), moved.dense(7))
    assert not np.array_equal(Variety(shift=3.0).vary(data, 20, seed=2).channels, moved.channels)
    for given in ({"places": 21}, {"places": 20, "numbers": [1]}):
        with pytest.raises(DataError, match="cannot vary"):
            Variety().vary(data, seed=1, **given)


@pytest.fixture
def server(tmp_path):
    """Serves an archive with one recording; the address, and the checksum of the archive."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in (
            ("digits-1.0.9/recordings/7_ann_3.wav", wav([1, 2])),
            ("digits-1.0.9/README.md", b"digits"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "digits.tar.gz").write_bytes(made.getvalue())

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "served"))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}/digits.tar.gz", hashlib.sha256(made.getvalue()).hexdigest()
    running.shutdown()
    running.server_close()


def test_recordings_are_downloaded_once_and_verified(server, tmp_path, monkeypatch):
    pytest.importorskip("pooch", reason="needs the extra download")
    monkeypatch.setattr("eprop.data.download.RETRIES", 0)
    url, digest = server
    folder = download_digits(tmp_path / "here", url=url, sha256=digest)
    assert read_sounds(folder).speakers.tolist() == ["ann"]
    (tmp_path / "served" / "digits.tar.gz").unlink()
    assert download_digits(tmp_path / "here", url=url, sha256=digest) == folder
    with pytest.raises(DataError, match=r"cannot be downloaded.*give its folder with --data"):
        download_digits(tmp_path / "there", url=url, sha256=digest)
    (tmp_path / "served" / "digits.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match="cannot be downloaded"):
        download_digits(tmp_path / "there", url=url, sha256=digest)
    assert not (tmp_path / "there" / "spoken-digits").exists()


def test_a_download_without_pooch_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(MissingExtraError, match="download"):
        download_digits()


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
