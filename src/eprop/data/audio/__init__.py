"""Sound: recordings, and the encoders that turn them into spikes.

::

    Cochlea         gammatone filters, hair cells, bushy cells; whole recordings or a live stream     cochlea.py
    MelSpikes       log-mel spectrum to spikes, in NumPy alone                                        mel_spikes.py
    SoundEncoder    base of both                                                                      encoder.py
    Variety         recordings moved in place and time, for training                                  variety.py
    read_sounds     a folder or archive of WAV files with labels in names or folders                  recordings.py
    download_digits     the Free Spoken Digit Dataset                                             download.py
    read_wav        one file                                                                          wav.py
    read_spikes_of_speech   SHD and SSC, HDF5 files with spikes                               spiking_datasets.py
    SyntheticWords  ten words of many voices, without data                                            synthetic.py
"""

from eprop.data.audio.cochlea import Cochlea, CochleaStream
from eprop.data.audio.download import download_digits
from eprop.data.audio.encoder import SoundEncoder
from eprop.data.audio.mel_spikes import MelSpikes
from eprop.data.audio.recordings import SoundRecordings, read_sounds
from eprop.data.audio.spiking_datasets import SpikeRecordings, read_spikes_of_speech
from eprop.data.audio.synthetic import SyntheticWords
from eprop.data.audio.variety import Variety
from eprop.data.audio.wav import Wav, read_wav

__all__ = [
    "Cochlea", "CochleaStream", "MelSpikes", "SoundEncoder", "SoundRecordings", "SpikeRecordings", "SyntheticWords",
    "Variety", "Wav", "download_digits", "read_sounds", "read_spikes_of_speech", "read_wav",
]  # fmt: skip
