"""The triad of the STREAM benchmark (McCalpin 1995): how fast memory is when nothing else is in the way."""

from __future__ import annotations

from eprop._jit import parallel_kernel, prange


@parallel_kernel
def triad(a, b, c, s, blocks):
    """``a = b + s c``, (n,) each, in ``blocks`` ranges side by side: 24 bytes go by for each entry."""
    size = a.size // blocks
    for block in prange(blocks):
        for k in range(block * size, (block + 1) * size):
            a[k] = b[k] + s * c[k]
