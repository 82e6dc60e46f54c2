"""Compiled event camera: images and a path in, events out.

Serial on purpose: the caller runs blocks of digits on threads. So one machine code serves any number of threads, and
a digit's events depend on nothing but its image, the seed and its index.
"""

from __future__ import annotations

import numpy as np

from eprop._jit import inline, kernel
from eprop.equations.rng import CAMERA, philox

#: Pixels along each side of the field; `SIDE` of the image shown in it.
FIELD = 34
SIDE = 28
#: Positions per pixel (and axis) at which the blurred image is worked out exactly; linear in between.
PHASES = 2
#: Room around the image, so that the path may lead it 2 pixels out of the field without a bounds check.
MARGIN = 10
LIGHT = FIELD + MARGIN + 3
TAPS = 8
#: Levels of light told apart before the logarithm is looked up.
LEVELS = 4096

_U16 = np.uint64(0xFFFF)


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
def _level_row(a0, a1, b0, b1, w00, w01, w10, w11, upper, lower, first, last, level, flag):
    """Interpolate one row of light and say whether a pixel of it needs a look; vectorised by the compiler."""
    hit = np.int32(0)
    for x in range(first, last):
        value = w00 * a0[x] + w01 * a1[x] + w10 * b0[x] + w11 * b1[x]
        level[x] = value
        out = np.int32(value > upper[x]) | np.int32(value < lower[x])
        flag[x] = out
        hit |= out
    return hit


@kernel
def record_digit(image, target, seed, path, step_us, duration_us, optics, pixels, noise, scratch, times, channels, n):
    """Record one image while it moves along the path.

    Parameters
    ----------
    image : ndarray of uint8, shape (SIDE, SIDE)
    target, seed : int
        The digit's index and the seed: with them the noise is fixed.
    path : ndarray of float64, shape (2, n_points)
        x and y of the image's upper left corner in the field, every ``step_us``.
    step_us : float
    duration_us : tuple of float
        Shortest and longest duration of a recording; drawn uniformly in between.
    optics : tuple
        ``(taps, log_table)`` as for `_fill_light`.
    pixels : tuple
        ``(threshold_on, threshold_off, spread, refractory_us, hold)``; while ``hold`` a refractory pixel does not
        follow the light but resumes from the level of its event.
    noise : tuple
        ``(normals, jitter, threshold_noise, background, on_fraction, stagger_us)``: table of normal quantiles (4096),
        px, relative, events per pixel and step, share, us.
    scratch : tuple
        Arrays of `make_scratch`.
    times, channels : ndarray of int32, shape (capacity,)
        Written from ``n`` on.
    n : int

    Returns
    -------
    int
        Where the next event goes; -1 if the capacity is too small.
    """
    taps, log_table = optics
    on, off, spread, refractory, hold = pixels
    normals, jitter, threshold_noise, background, on_fraction, stagger = noise
    light, rows, upper, lower, level, before, free_at, thresholds, random, flag = scratch
    capacity = times.shape[0]
    field = FIELD * FIELD

    _fill_random(seed, target, 0, random)
    shift_x = jitter * normals[random[0] >> 4]
    shift_y = jitter * normals[random[1] >> 4]
    late = stagger * normals[random[2] >> 4]
    end = duration_us[0] + (duration_us[1] - duration_us[0]) * (random[3] / 65536.0)
    for i in range(field):
        scale = 1.0 + spread * normals[random[8 + i] >> 4]
        thresholds[i] = max(scale, 0.25)

    box = _image_box(image)
    _fill_light(image, box, taps, log_table, rows, light)
    top, bottom, left, right = box
    reach = TAPS // 2
    low_x, high_x, low_y, high_y = path[0, 0], path[0, 0], path[1, 0], path[1, 0]
    for k in range(path.shape[1]):
        low_x, high_x = min(low_x, path[0, k]), max(high_x, path[0, k])
        low_y, high_y = min(low_y, path[1, k]), max(high_y, path[1, k])
    x_first = max(0, np.int64(left + low_x + shift_x) - reach)
    x_last = min(FIELD, np.int64(right + high_x + shift_x) + 1 + reach)
    y_first = max(0, np.int64(top + low_y + shift_y) - reach)
    y_last = min(FIELD, np.int64(bottom + high_y + shift_y) + 1 + reach)
    if bottom == 0:
        y_last = y_first = 0

    draw = np.int64(0)
    draw_block = 1
    _fill_random(seed, target, draw_block, random)
    for k in range(path.shape[1]):
        now = k * step_us + late
        start_of_step = now - step_us
        # Where field pixel (0, 0) looks, in image pixels * PHASES: whole part q, fraction f.
        cx = -min(max(path[0, k] + shift_x, -2.0), 9.0) * PHASES
        cy = -min(max(path[1, k] + shift_y, -2.0), 9.0) * PHASES
        qx, qy = np.int64(np.floor(cx)), np.int64(np.floor(cy))
        fx, fy = np.float32(cx - qx), np.float32(cy - qy)
        w00 = (np.float32(1.0) - fy) * (np.float32(1.0) - fx)
        w01 = (np.float32(1.0) - fy) * fx
        w10 = fy * (np.float32(1.0) - fx)
        w11 = fy * fx
        px0, px1, py0, py1 = qx % PHASES, (qx + 1) % PHASES, qy % PHASES, (qy + 1) % PHASES
        ox0, ox1 = qx // PHASES + MARGIN, (qx + 1) // PHASES + MARGIN
        oy0, oy1 = qy // PHASES + MARGIN, (qy + 1) // PHASES + MARGIN
        step_start = n
        for y in range(y_first, y_last):
            hit = _level_row(
                light[py0, px0, y + oy0, ox0 : ox0 + FIELD],
                light[py0, px1, y + oy0, ox1 : ox1 + FIELD],
                light[py1, px0, y + oy1, ox0 : ox0 + FIELD],
                light[py1, px1, y + oy1, ox1 : ox1 + FIELD],
                w00, w01, w10, w11, upper[y], lower[y], x_first, x_last, level[y], flag,
            )  # fmt: skip
            if k == 0:
                for x in range(x_first, x_last):
                    upper[y, x] = level[y, x] + on * thresholds[y * FIELD + x]
                    lower[y, x] = level[y, x] - off * thresholds[y * FIELD + x]
                    free_at[y, x] = -1.0
                hit = 0
            if hit != 0:
                for x in range(x_first, x_last):
                    if flag[x] == 0:
                        continue
                    new, old = level[y, x], before[y, x]
                    slope = (new - old) / step_us
                    at = start_of_step
                    if free_at[y, x] >= now:
                        continue
                    if free_at[y, x] > at:
                        at = free_at[y, x]
                    value = old + slope * (at - start_of_step)
                    if upper[y, x] == -np.inf:  # back from refractoriness
                        base = np.float64(lower[y, x]) if hold else value
                        bend = 1.0
                        if threshold_noise > 0.0:
                            if draw == random.shape[0]:
                                draw_block += 1
                                _fill_random(seed, target, draw_block, random)
                                draw = 0
                            bend = max(1.0 + threshold_noise * normals[random[draw] >> 4], 0.25)
                            draw += 1
                        upper[y, x] = base + on * thresholds[y * FIELD + x] * bend
                        lower[y, x] = base - off * thresholds[y * FIELD + x] * bend
                    if new > upper[y, x]:
                        edge, polarity = np.float64(upper[y, x]), 1
                    elif new < lower[y, x]:
                        edge, polarity = np.float64(lower[y, x]), 0
                    else:
                        continue
                    if (edge - value) * slope > 0.0:
                        at += (edge - value) / slope
                    at = min(at, now)
                    if at >= 0.0 and at < end:
                        if n >= capacity:
                            return -1
                        times[n] = np.int32(at)
                        channels[n] = polarity * field + y * FIELD + x
                        n += 1
                    free_at[y, x] = at + refractory
                    upper[y, x] = -np.inf
                    lower[y, x] = edge
            for x in range(x_first, x_last):
                before[y, x] = level[y, x]
        if background > 0.0 and now >= 0.0 and now + step_us < end:
            if draw + 3 > random.shape[0]:
                draw_block += 1
                _fill_random(seed, target, draw_block, random)
                draw = 0
            if random[draw] < background * field * 65536.0:
                if n >= capacity:
                    return -1
                where = (np.int64(random[draw + 1]) * field) >> 16
                fine = np.int64(random[draw + 2])
                is_on = np.int64((fine & 255) < on_fraction * 256.0)
                times[n] = np.int32(now + step_us * ((fine >> 8) / 256.0))
                channels[n] = is_on * field + where
                n += 1
            draw += 3
        _sort_tail(times, channels, step_start, n)
    return n


@inline
def _sort_tail(times, channels, first, last):
    """Sort the few events of the last step by time (insertion; a step holds some fifteen)."""
    for i in range(first + 1, last):
        t, c = times[i], channels[i]
        j = i - 1
        while j >= 0 and (times[j] > t or (times[j] == t and channels[j] > c)):
            times[j + 1] = times[j]
            channels[j + 1] = channels[j]
            j -= 1
        times[j + 1] = t
        channels[j + 1] = c


@kernel
def record_block(images, indices, seed, path, step_us, duration_us, optics, pixels, noise, scratch, times, channels, offsets):
    """Record digits one after another until all are done or the room is used up.

    Reads ``images`` (uint8, (n, SIDE, SIDE)) and ``indices`` (int64, (n,)); writes ``times``, ``channels`` and
    ``offsets`` (int64, (n + 1,)). The other arguments are those of `record_digit`. Returns the digits done.
    """
    n = np.int64(0)
    offsets[0] = 0
    for i in range(images.shape[0]):
        after = record_digit(
            images[i], indices[i], seed, path, step_us, duration_us, optics, pixels, noise, scratch, times, channels, n
        )
        if after < 0:
            return i
        n = after
        offsets[i + 1] = n
    return images.shape[0]


def make_scratch() -> tuple[np.ndarray, ...]:
    """Arrays that one thread needs while it records."""
    field = (FIELD, FIELD)
    return (
        np.empty((PHASES, PHASES, LIGHT, LIGHT), np.float32),
        np.empty((SIDE, LIGHT), np.float32),
        np.empty(field, np.float32),
        np.empty(field, np.float32),
        np.empty(field, np.float32),
        np.empty(field, np.float32),
        np.empty(field, np.float64),
        np.empty(FIELD * FIELD, np.float32),
        np.empty(8 * (FIELD * FIELD // 8 + 2), np.uint16),
        np.empty(FIELD, np.int32),
    )
