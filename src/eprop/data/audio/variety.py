"""Recordings of sound that differ: moved in place and time, with lost events. New ones in every epoch are more training data.

A moved place is another length of the vocal tract, because equal steps of critical bands are nearly equal ratios of frequency;
moved times are another speed and start (vocal tract length perturbation, Jaitly and Hinton 2013; SpecAugment, Park et al. 2019,
doi 10.21437/Interspeech.2019-2680).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from eprop.core import lib
from eprop.data.binned import BinnedDataset
from eprop.errors import DataError
from eprop.parameters import Description, param


@dataclass(frozen=True)
class Variety(Description):
    """How much recordings may differ; each draws its own shift, stretch and delay, uniformly up to these."""

    shift: float = param(0.0, at_least=0.0, at_most=1000.0, doc="places, up or down")
    stretch: float = param(
        0.0, at_least=0.0, at_most=3.0, doc="time is multiplied by up to 1 + stretch, or divided by it"
    )
    delay: float = param(0.0, at_least=0.0, at_most=1e6, unit="ms", doc="time before the recording")
    drop: float = param(0.0, at_least=0.0, at_most=1.0, doc="fraction of the events that are lost")

    def vary(
        self, data: BinnedDataset, places: int, *, seed: int, numbers: ArrayLike | None = None, threads: int = 1
    ) -> BinnedDataset:
        """Recordings with another variation for each.

        Parameters
        ----------
        data : BinnedDataset
            Channel ``type * places + place``, as `Cochlea` and `MelSpikes` make them.
        places : int
        seed : int
        numbers : array of int, shape (n,), optional
            Number of each recording; seed and number fix its variation. The default is ``0 .. n - 1``.
        threads : int

        Returns
        -------
        BinnedDataset
            The same samples, steps and channels. Events that leave the places or the steps are lost.

        Raises
        ------
        DataError
            If the channels are no multiple of the places, or numbers do not fit the recordings.
        """
        numbers = np.ascontiguousarray(np.arange(len(data)) if numbers is None else numbers, np.int64)
        if places < 1 or data.n_channels % places or numbers.shape != (len(data),):
            raise DataError(
                f"cannot vary {data!r} with {places} places and numbers of shape {numbers.shape}: the channels must be a "
                "multiple of the places, and each recording needs a number"
            )
        most = (self.shift, self.stretch, self.delay / data.dt, self.drop)
        channels, ptr = lib.vary_events(data.ptr, data.channels, data.n_channels, places, most, seed, numbers, threads)
        return replace(data, ptr=ptr, channels=channels)
