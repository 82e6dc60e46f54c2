"""Compiled event camera: images and a path in, events out.

Serial on purpose: the caller runs blocks of digits on threads. So one machine code serves any number of threads, and
a digit's events depend on nothing but its image, the seed and its index.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from eprop._jit import inline, kernel
from eprop.equations.rng import CAMERA, philox

#: Pixels along each side of the field; `SIDE` of the image shown in it.
FIELD = 34
SIDE = 28
#: Positions per pixel (and axis) at which the blurred image is worked out exactly; linear in between.
PHASES = 4
#: Room around the image, so that the path may lead it 2 pixels out of the field without a bounds check.
MARGIN = 10
LIGHT = FIELD + MARGIN + 3 + 8
#: Pixels of a row in the arrays of state: the field, filled up to whole groups of 8.
ROW = 40
TAPS = 8
#: Levels of light told apart before the logarithm is looked up.
LEVELS = 4096
#: Smallest relative threshold that noise may leave.
LEAST = 0.25
#: Standard deviation of a field of splines over that of its nodes: the root mean square of a spline, of each axis.
SMOOTHED = 151.0 / 315.0
#: Most delays of a path, and the time over which one sets in.
MAX_DELAYS = 12
BLEND_US = 10_000.0

_U16 = np.uint64(0xFFFF)
# Places in the first block of random numbers: 0 and 1 shift of the path, 2 duration, 3 contrast, then these.
_FIRST_DELAY = 4
_FIRST_PIXEL = _FIRST_DELAY + MAX_DELAYS
_FIRST_WARP = _FIRST_PIXEL + FIELD * FIELD
#: Block of random numbers of the elastic distortion; what is drawn event by event counts its blocks from 1.
_ELASTIC_BLOCK = 0xFFFF


@inline
def _fill_random(seed, target, block, out):
    """Fill ``out`` (uint16) with numbers of the camera's stream; ``block`` (< 2^16) separates the calls."""
    base = np.uint64(block) << np.uint64(32)
    n = out.shape[0]
    for k in range((n + 7) // 8):
        a, b = philox(seed, CAMERA, target, base + np.uint64(k))
        for j in range(4):
            shift = np.uint64(16 * j)
            if 8 * k + j < n:
                out[8 * k + j] = (a >> shift) & _U16
            if 8 * k + 4 + j < n:
                out[8 * k + 4 + j] = (b >> shift) & _U16


@inline
def _image_box(image):
    """First and one-past-last row and column with ink."""
    top, bottom, left, right = SIDE, 0, SIDE, 0
    for y in range(SIDE):
        for x in range(SIDE):
            if image[y, x] != 0:
                top = min(top, y)
                bottom = max(bottom, y + 1)
                left = min(left, x)
                right = max(right, x + 1)
    return top, bottom, left, right


@inline
def _distort(image, random, nodes, normals, warp, spacing, splines, out):
    """Write to ``out`` the image as a random linear map about its centre and a field of displacements show it.

    ``nodes`` (float64, (2, nodes, nodes)) holds the displacements of nodes ``spacing`` pixels apart, in pixels;
    ``splines`` (float64, (SIDE, 4)) the weights of the four nodes around each pixel of an axis.
    """
    centre = 0.5 * (SIDE - 1)
    a = 1.0 + warp * normals[random[_FIRST_WARP] >> 4]
    b = warp * normals[random[_FIRST_WARP + 1] >> 4]
    c = warp * normals[random[_FIRST_WARP + 2] >> 4]
    d = 1.0 + warp * normals[random[_FIRST_WARP + 3] >> 4]
    for y in range(SIDE):
        top = y // spacing
        for x in range(SIDE):
            left, dx, dy = x // spacing, 0.0, 0.0
            for j in range(4):
                for i in range(4):
                    weight = splines[y, j] * splines[x, i]
                    dx += weight * nodes[0, top + j, left + i]
                    dy += weight * nodes[1, top + j, left + i]
            right, down = x - centre, y - centre
            out[y, x] = _ink(image, centre + a * right + b * down + dx, centre + c * right + d * down + dy)


@inline
def _draw_nodes(seed, target, normals, elastic, random, nodes):
    """Displacements of the nodes such that those of the pixels have the standard deviation ``elastic``."""
    flat = nodes.reshape(nodes.size)
    _fill_random(seed, target, _ELASTIC_BLOCK, random)
    for k in range(flat.shape[0]):
        flat[k] = elastic / SMOOTHED * normals[random[k] >> 4]


@inline
def _ink(image, x, y):
    """Ink at a place between the pixels, rounded; paper beyond the image."""
    left, top = np.int64(np.floor(x)), np.int64(np.floor(y))
    fx, fy = x - left, y - top
    total = 0.5
    for j in range(2):
        for i in range(2):
            if 0 <= left + i < SIDE and 0 <= top + j < SIDE:
                share = (fx if i else 1.0 - fx) * (fy if j else 1.0 - fy)
                total += share * image[top + j, left + i]
    return np.uint8(total)


@kernel
def _fill_light(image, box, taps, log_table, rows, light):
    """Logarithm of the blurred image at ``PHASES`` positions per pixel and axis.

    ``light[py, px, MARGIN + j, MARGIN + i]`` is the light at ``(j + py / PHASES, i + px / PHASES)`` in image pixels.
    Reads ``image`` (uint8), ``taps`` (float32, (PHASES, TAPS)), ``log_table`` (float32, (LEVELS + 1,)); writes
    ``light``; ``rows`` (float32, (SIDE, LIGHT)) is scratch.
    """
    top, bottom, left, right = box
    light[:] = log_table[0]
    half = TAPS // 2 - 1
    lo, hi = MARGIN + left - half - 1, MARGIN + right + half
    for px in range(PHASES):
        for y in range(top, bottom):
            for i in range(lo, hi):
                total = np.float32(0.0)
                for k in range(TAPS):
                    x = i - MARGIN + k - half
                    if left <= x < right:
                        total += taps[px, k] * np.float32(image[y, x])
                rows[y, i] = total
        for py in range(PHASES):
            for j in range(MARGIN + top - half - 1, MARGIN + bottom + half):
                for i in range(lo, hi):
                    total = np.float32(0.0)
                    for k in range(TAPS):
                        y = j - MARGIN + k - half
                        if top <= y < bottom:
                            total += taps[py, k] * rows[y, i]
                    level = np.int64(total * np.float32(LEVELS / 255.0) + np.float32(0.5))
                    light[py, px, j, i] = log_table[min(level, LEVELS)]


@inline
def _interpolate_row(light, corners, weights, level, place):
    """Write ``level[place : place + ROW]`` from the four surrounding positions in the flat array ``light``.

    A loop of its own, with unsigned indices: one array read and one written is what the compiler can prove apart and
    vectorise; together with `_outside` it would not.
    """
    c00, c01, c10, c11 = corners
    w00, w01, w10, w11 = weights
    for i in range(ROW):
        x = np.uint64(i)
        level[place + x] = w00 * light[c00 + x] + w01 * light[c01 + x] + w10 * light[c10 + x] + w11 * light[c11 + x]


@inline
def _outside(level, upper, lower, first, last, flag):
    """Write to ``flag[first:last]`` which pixels left their band."""
    for i in range(last - first):
        x = first + np.uint64(i)
        flag[x] = np.uint8(level[x] > upper[x]) | np.uint8(level[x] < lower[x])


@inline
def _gather(flag, words, first, last, visit):
    """Write the numbers of the flagged pixels to ``visit``, without a branch for each flag; return how many."""
    found = np.int64(0)
    for word in range(first // 8, last // 8):
        if words[word] != 0:
            for x in range(8 * word, 8 * word + 8):
                visit[found] = x
                found += flag[x]
    return found


@inline
def _start(level, upper, lower, free_at, thresholds, on, off):
    """Put the band of every pixel around its first level; beyond the field, where no light change counts."""
    for x in range(FIELD * ROW):
        inside = x % ROW < FIELD
        upper[x] = level[x] + on * thresholds[x] if inside else np.inf
        lower[x] = level[x] - off * thresholds[x] if inside else -np.inf
        free_at[x] = -1e9


@inline
def _draw_thresholds(random, normals, spread, thresholds):
    """Relative threshold of every pixel, from the first block of random numbers."""
    for y in range(FIELD):
        for x in range(FIELD):
            quantile = normals[random[_FIRST_PIXEL + y * FIELD + x] >> 4]
            thresholds[y * ROW + x] = max(1.0 + spread * quantile, LEAST)


@inline
def _rows_reached(box, path, shift):
    """First and one-past-last row of the field that the image's ink comes near."""
    top, bottom, _, _ = box
    low, high = path[1, 0], path[1, 0]
    for k in range(path.shape[1]):
        low, high = min(low, path[1, k]), max(high, path[1, k])
    if bottom == 0:
        return 0, 0
    reach = TAPS // 2 + 1
    return max(0, np.int64(top + low + shift) - reach), min(FIELD, np.int64(bottom + high + shift) + reach)


@inline
def _aim(position):
    """Where pixel 0 of a field axis looks, in image pixels times PHASES: whole part, and float32 fraction."""
    place = -min(max(position, -2.0), 9.0) * PHASES
    whole = np.int64(np.floor(place))
    return whole, np.float32(place - whole)


@inline
def _line(q):
    """Where column ``q / PHASES`` of the image begins in a row of the flat array of light."""
    return (q % PHASES) * LIGHT * LIGHT + q // PHASES + MARGIN


@inline
def _plane(q):
    """Where row ``q / PHASES`` of the image begins in the flat array of light."""
    return (q % PHASES) * PHASES * LIGHT * LIGHT + (q // PHASES + MARGIN) * LIGHT


@inline
def _look(light, qx, fx, qy, fy, y_first, y_last, level):
    """Write the light on every pixel of some rows, from where the field's axes look (see `_aim`)."""
    gx, gy = np.float32(1.0) - fx, np.float32(1.0) - fy
    weights = (gy * gx, gy * fx, fy * gx, fy * fx)
    left0, left1 = _line(qx), _line(qx + 1)
    row0, row1 = _plane(qy), _plane(qy + 1)
    for y in range(y_first, y_last):
        up, down = row0 + y * LIGHT, row1 + y * LIGHT
        corners = (np.uint64(up + left0), np.uint64(up + left1), np.uint64(down + left0), np.uint64(down + left1))
        _interpolate_row(light, corners, weights, level, np.uint64(y * ROW))


@inline
def _position(path, axis, time, fine):
    """Path at a time in microseconds; ``path`` has a point every ``fine`` us and rests before and after."""
    place = min(max(time / fine, 0.0), path.shape[1] - 1.000001)
    k = np.int64(place)
    return path[axis, k] + (place - k) * (path[axis, k + 1] - path[axis, k])


@inline
def _lateness(time, delays, drawn):
    """By how much the path runs late at a time: 0 at first, from each of the ``delays`` on what was drawn for it."""
    late = 0.0
    for j in range(delays.shape[0]):
        share = min(max((time - delays[j, 0]) / BLEND_US, 0.0), 1.0)
        late += share * (drawn[j] - late)
    return late


@inline
def _renew(seed, target, random, place, block, needed):
    """Where to read the next ``needed`` random numbers, and their block: the next one if this has not as many left."""
    if place + needed <= random.shape[0]:
        return place, block
    _fill_random(seed, target, block + 1, random)
    return 0, block + 1


@inline
def _follow_pixel(x, lights, bands, moments, contrast, draws, times, channels, n):
    """Events of a pixel within a step; returns where the next event goes (-1: no room), and what `_renew` does."""
    (level, before), (upper, lower, free_at, thresholds) = lights, bands
    (start, now, end, per_us), (on, off, refractory, threshold_noise) = moments, contrast
    seed, target, normals, random, place, block = draws
    new, old = np.float64(level[x]), np.float64(before[x])
    slope = (new - old) * per_us
    at = max(start, free_at[x])
    while at < now:
        if new > upper[x]:
            edge, polarity = np.float64(upper[x]), 1
        elif new < lower[x]:
            edge, polarity = np.float64(lower[x]), 0
        else:
            break
        way = edge - (old + slope * (at - start))
        if way * slope > 0.0:  # else the light had left the band while the pixel was blind
            at = min(at + way / slope, now)
        if at < end:
            if n >= times.shape[0]:
                return -1, place, block
            times[n] = np.int32(at)
            channels[n] = polarity * FIELD * FIELD + x // ROW * FIELD + x % ROW
            n += 1
        place, block = _renew(seed, target, random, place, block, 1)
        # The band closes around the edge, not around the light: what a blind pixel misses counts afterwards.
        bend = thresholds[x] * max(1.0 + threshold_noise * normals[random[place] >> 4], LEAST)
        place += 1
        upper[x] = edge + on * bend
        lower[x] = edge - off * bend
        at += refractory
        free_at[x] = at
    return n, place, block


@inline
def _add_background(start, step_us, background, on_fraction, random, place, times, channels, n):
    """Events of no cause within a step; returns where the next event goes (-1: no room) and where the next number is."""
    field = FIELD * FIELD
    for _ in range(np.int64(background + random[place] / 65536.0)):
        if n >= times.shape[0]:
            return -1, place
        fine = np.int64(random[place + 2])
        times[n] = np.int32(start + step_us * ((fine >> 8) / 256.0))
        channels[n] = np.int64((fine & 255) < on_fraction * 256.0) * field
        channels[n] += (np.int64(random[place + 1]) * field) >> 16
        n += 1
        place += 2
    return n, place + 1


@kernel
def record_digit(
    image, target, seed, path, fine_us, step_us, duration_us, optics, pixels, noise, scratch, times, channels, n
):
    """Record one image while it moves along the path.

    Parameters
    ----------
    image : ndarray of uint8, shape (SIDE, SIDE)
    target, seed : int
        The digit's index and the seed: with them the noise is fixed.
    path : ndarray of float64, shape (2, n_points)
        x and y of the image's upper left corner in the field, every ``fine_us``.
    fine_us, step_us : float
    duration_us : tuple of float
        Shortest and longest duration of a recording; drawn uniformly in between.
    optics : tuple
        ``(taps, log_table)`` as for `_fill_light`.
    pixels : tuple
        ``(threshold_on, threshold_off, spread, refractory_us)``.
    noise : tuple
        ``(normals, jitter, warp, elastic, spacing, splines, contrast, threshold_noise, background, on_fraction, delays)``:
        table of normal quantiles (4096), px, relative, px, px, the weights for `_distort`, two relative ones, events per step,
        share, and float64 (n, 2) of a time and the largest delay from there, us.
    scratch : tuple
        Arrays of `make_scratch`.
    times, channels : ndarray of int32, shape (capacity,)
        Written from ``n`` on; in order of steps, but not of time within one.
    n : int

    Returns
    -------
    int
        Where the next event goes; -1 if the capacity is too small.
    """
    taps, log_table = optics
    on, off, spread, refractory = pixels
    normals, jitter, warp, elastic, spacing, splines, contrast, threshold_noise, background, on_fraction, delays = noise
    distortion, light4, rows, upper, lower, level, before, free_at, thresholds, random, drawn, visit, flag, words = (
        scratch
    )
    light = light4.reshape(light4.size)

    _fill_random(seed, target, 0, random)
    shift_x, shift_y = jitter * normals[random[0] >> 4], jitter * normals[random[1] >> 4]
    end = duration_us[0] + (duration_us[1] - duration_us[0]) * (random[2] / 65536.0)
    for j in range(delays.shape[0]):
        drawn[j] = delays[j, 1] * (random[_FIRST_DELAY + j] / 32768.0 - 1.0)
    _draw_thresholds(random, normals, spread, thresholds)
    rise = max(1.0 + contrast * normals[random[3] >> 4], LEAST)
    on, off = rise * on, rise * off
    if warp > 0.0 or elastic > 0.0:
        distorted, few, nodes = distortion
        if elastic > 0.0:
            _draw_nodes(seed, target, normals, elastic, few, nodes)
        _distort(image, random, nodes, normals, warp, spacing, splines, distorted)
        image = distorted
    box = _image_box(image)
    _fill_light(image, box, taps, log_table, rows, light4)
    y_first, y_last = _rows_reached(box, path, shift_y)

    bands = (upper, lower, free_at, thresholds)
    place, block = random.shape[0], 0
    for k in range(1 + np.int64(np.ceil(duration_us[1] / step_us))):
        now = k * step_us
        start = now - step_us
        source = now - _lateness(now, delays, drawn)
        qx, fx = _aim(_position(path, 0, source, fine_us) + shift_x)
        qy, fy = _aim(_position(path, 1, source, fine_us) + shift_y)
        _look(light, qx, fx, qy, fy, y_first, y_last, level)
        if k == 0:
            _start(level, upper, lower, free_at, thresholds, on, off)
            level, before = before, level
            continue
        _outside(level, upper, lower, np.uint64(y_first * ROW), np.uint64(y_last * ROW), flag)
        for v in range(_gather(flag, words, y_first * ROW, y_last * ROW, visit)):
            n, place, block = _follow_pixel(
                visit[v],
                (level, before),
                bands,
                (start, now, end, 1.0 / step_us),
                (on, off, refractory, threshold_noise),
                (seed, target, normals, random, place, block),
                times,
                channels,
                n,
            )
            if n < 0:
                return -1
        level, before = before, level
        if now >= end:
            continue
        place, block = _renew(seed, target, random, place, block, 2 * (np.int64(background) + 1) + 1)
        n, place = _add_background(start, step_us, background, on_fraction, random, place, times, channels, n)
        if n < 0:
            return -1
    return n


@kernel
def record_block(
    images, indices, seed, path, fine_us, step_us, duration_us, optics, pixels, noise, scratch, times, channels, offsets
):
    """Record digits one after another until all are done or the room is used up.

    Reads ``images`` (uint8, (n, SIDE, SIDE)) and ``indices`` (int64, (n,)); writes ``times``, ``channels`` and
    ``offsets`` (int64, (n + 1,)). The other arguments are those of `record_digit`. Returns the digits done.
    """
    n = np.int64(0)
    offsets[0] = 0
    for i in range(images.shape[0]):
        after = record_digit(
            images[i],
            indices[i],
            seed,
            path,
            fine_us,
            step_us,
            duration_us,
            optics,
            pixels,
            noise,
            scratch,
            times,
            channels,
            n,
        )
        if after < 0:
            return i
        n = after
        offsets[i + 1] = n
    return images.shape[0]


def make_scratch(spacing: int) -> tuple[Any, ...]:
    """Arrays that one thread needs while it records; nodes of elastic distortions are ``spacing`` pixels apart."""
    nodes = (SIDE - 1) // spacing + 4  # a spline reaches two to each side
    state = FIELD * ROW
    words = np.zeros(state // 8, np.uint64)
    return (
        (
            np.zeros((SIDE, SIDE), np.uint8),
            np.zeros(2 * nodes * nodes, np.uint16),
            np.zeros((2, nodes, nodes), np.float64),
        ),
        np.zeros((PHASES, PHASES, LIGHT, LIGHT), np.float32),
        np.zeros((SIDE, LIGHT), np.float32),
        np.zeros(state, np.float32),
        np.zeros(state, np.float32),
        np.zeros(state, np.float32),
        np.zeros(state, np.float32),
        np.zeros(state, np.float64),
        np.zeros(state, np.float32),
        np.zeros(8 * (FIELD * FIELD // 8 + 3), np.uint16),
        np.zeros(MAX_DELAYS, np.float64),
        np.zeros(state + 8, np.int32),
        words.view(np.uint8),
        words,
    )
