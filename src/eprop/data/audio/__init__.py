"""Sound: recordings, and the encoders that turn them into spikes.

::

    Cochlea         gammatone filters, hair cells, bushy cells; whole recordings or a live stream     cochlea.py
    MelSpikes       log-mel spectrum to spikes, in NumPy alone                                        mel_spikes.py
    SoundEncoder    base of both                                                                      encoder.py
"""

from eprop.data.audio.cochlea import Cochlea, CochleaStream
from eprop.data.audio.encoder import SoundEncoder
from eprop.data.audio.mel_spikes import MelSpikes

__all__ = ["Cochlea", "CochleaStream", "MelSpikes", "SoundEncoder"]
