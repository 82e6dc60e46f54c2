"""Event data: recordings of event cameras, real and simulated, and the compact form that the engine reads.

::

    load_recordings, load_test    from a folder, an archive or nothing to training and test data  splits.py
    BinnedDataset   active channels per step                                                  binned.py
    from_arrays     spikes of any origin: arrays, lists of (times, channels), generators      arrays.py
    from_series     numbers that change in time, encoded anew in each epoch                   series.py
    Generated, Sample             samples that a function draws from a seed               generated.py
    from_iterable   any iterable of (events, label) of a camera, or of Tonic               binning.py
    deskew, shift   recordings with upright, centred digits; moved by some pixels         transforms.py
    Events      x, y, polarity and time of one recording                                          events.py
    read_nmnist, read_mnist, embedded_digits    files                                  nmnist.py, mnist.py
    audio       sound: cochlea, readers of recordings                                             audio/
    EventCamera from images to recordings as in N-MNIST                                           camera.py
    LiveEvents  events that arrive live: an iterator, standard input                     live.py, live_readers.py
    cached      data sets on disk                                                                 cache.py
    download_nmnist     the full N-MNIST                                                          download.py
"""

from eprop.data import audio as audio
from eprop.data.arrays import from_arrays
from eprop.data.binned import BinnedDataset, concatenate
from eprop.data.binning import EventTimeWarning, from_iterable
from eprop.data.cache import cached, load_dataset, save_dataset
from eprop.data.camera import EventCamera
from eprop.data.events import EventDataset, Events, EventSample, as_events
from eprop.data.generated import Generated, GeneratedSamples, Sample
from eprop.data.live import LiveEvents
from eprop.data.live_readers import read_packed, read_text
from eprop.data.mnist import Digits, embedded_digits, read_mnist
from eprop.data.nmnist import NMNISTRecordings, read_nmnist, write_recording
from eprop.data.series import SeriesDataset, from_series
from eprop.data.splits import LeakWarning, Loader, Splits, load_recordings, load_test
from eprop.data.transforms import deskew, shift
from eprop.errors import CacheWarning, LostEventsWarning

__all__ = [
    "BinnedDataset",
    "CacheWarning",
    "Digits",
    "EventCamera",
    "EventDataset",
    "EventSample",
    "EventTimeWarning",
    "Events",
    "Generated",
    "GeneratedSamples",
    "LeakWarning",
    "LiveEvents",
    "Loader",
    "LostEventsWarning",
    "NMNISTRecordings",
    "Sample",
    "SeriesDataset",
    "Splits",
    "as_events",
    "cached",
    "concatenate",
    "deskew",
    "embedded_digits",
    "from_arrays",
    "from_iterable",
    "from_series",
    "load_recordings",
    "load_dataset",
    "load_test",
    "read_mnist",
    "read_nmnist",
    "read_packed",
    "read_text",
    "save_dataset",
    "shift",
    "write_recording",
]
