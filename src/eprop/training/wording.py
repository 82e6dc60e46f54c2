"""Numbers as people read them: counts, per cent, times, sizes."""

from __future__ import annotations

import math


def counted(count: int, what: str) -> str:
    """``1 trial``, ``2 trials``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percent(fraction: float) -> str:
    """``0.0215`` as ``2.1 %``."""
    return f"{100 * fraction:.1f} %"


def with_spread(fraction: float, sigma: float | None) -> str:
    """``2.1 ± 0.5 %``; without a spread, where there is none."""
    if sigma is None or math.isnan(sigma):
        return percent(fraction)
    return f"{100 * fraction:.1f} ± {100 * sigma:.1f} %"


def clock(seconds: float) -> str:
    """``83.4`` as ``1:23``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def size(count: float) -> str:
    """Bytes, in MiB or GiB."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
