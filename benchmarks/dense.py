"""Dense e-prop in NumPy, written for speed: the comparison of `task_speed.py`. This file is no script.

The class computes the gradient of `eprop.rules.EProp`, one sample after the other. LIF neurons come first, then ALIF
neurons. Missing connections are zeros of the matrices. Two methods share the forward pass, one matrix-vector product
per step, and differ in the gradient:

* ``stepped``: the time-driven method. It steps the adaptive component of the eligibility of every pair of neurons through time.
  It steps nothing else: the learning signal takes over the filter of the eligibility, and the component without adaptation is one
  matrix product over all steps.
* ``adjoint``: the method of this package with matrices. It computes ``G`` of each neuron backwards in time, without traces. One
  matrix product with the spikes gives the gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass
class Dense:
    """Parameters and weights of ``n`` neurons. Neurons with ``beta > 0`` adapt.

    Attributes
    ----------
    w_in, w_rec, w_out : (n, inputs), (n, n), (readouts, n)
    feedback : (n, readouts)
    beta : (n,)
        The zeros come first.
    """

    w_in: np.ndarray
    w_rec: np.ndarray
    w_out: np.ndarray
    feedback: np.ndarray
    beta: np.ndarray
    alpha: float
    rho: float
    alpha_out: float
    kappa: float
    v_th: float
    ref_steps: int
    height: float
    width: float
    c_reg: float
    target_per_step: float

    @property
    def n_plain(self) -> int:
        """Number of neurons without adaptation, which come first."""
        return int(np.count_nonzero(self.beta == 0.0))

    def forward(self, inputs: np.ndarray, label: int, window: np.ndarray):
        """Return spikes, surrogate gradients and errors of a sample: (steps, n), (steps, n), (steps, readouts)."""
        dtype, n_steps, n = self.w_rec.dtype, len(inputs), self.beta.size
        v, a, y = np.zeros(n, dtype), np.zeros(n, dtype), np.zeros(len(self.w_out), dtype)
        wait, z = np.zeros(n, np.int64), np.zeros(n, dtype)
        spikes, psi = np.zeros((n_steps, n), dtype), np.zeros((n_steps, n), dtype)
        error = np.zeros((n_steps, y.size), dtype)
        # An input of step t - 1 arrives in step t, as spikes do.
        driven = np.vstack([np.zeros((1, n), dtype), inputs[:-1].astype(dtype) @ self.w_in.T])
        for t in range(n_steps):
            wait = np.maximum(wait - 1, 0)
            a = self.rho * a + z
            v = self.alpha * v + driven[t] + self.w_rec @ z - self.v_th * z
            y = self.alpha_out * y + (1.0 - self.alpha_out) * (self.w_out @ z)
            above = v - self.v_th - self.beta * a
            psi[t] = np.where(wait > 0, 0.0, self.height * np.maximum(0.0, 1.0 - np.abs(above) / self.width))
            z = ((above >= 0.0) & (wait == 0)).astype(dtype)
            wait[z > 0.0] = self.ref_steps
            spikes[t] = z
            if window[t]:
                shown = np.exp(y - y.max())
                error[t] = window[t] * (shown / shown.sum() - (np.arange(y.size) == label))
        return spikes, psi, error

    def signals(self, spikes: np.ndarray, error: np.ndarray) -> tuple[np.ndarray, int]:
        """Return the factors of the eligibility in each step, and the number of steps that count.

        ``sum_t L(t) e_bar(t) = sum_t lam(t) e(t)`` with ``lam(t) = (1 - kappa) L(t) + kappa lam(t + 1)``.
        """
        length = len(spikes) - 1  # the last step's spikes reach no readout
        learning = error[1:] @ self.feedback.T
        lam = np.zeros_like(learning)
        after = np.zeros(self.beta.size, learning.dtype)
        for t in range(length - 1, -1, -1):
            after = (1.0 - self.kappa) * learning[t] + self.kappa * after
            lam[t] = after
        return lam + self.c_reg * (spikes[:length].mean(axis=0) - self.target_per_step) / length, length

    def readout_gradient(self, spikes: np.ndarray, error: np.ndarray) -> np.ndarray:
        """Return the gradient of the readout weights: errors times filtered spikes."""
        back, total = np.zeros(error.shape[1], error.dtype), np.zeros_like(error)
        for t in range(len(error) - 1, -1, -1):
            back = error[t] + self.alpha_out * back
            total[t] = (1.0 - self.alpha_out) * back
        return total[1:].T @ spikes[:-1]

    def stepped(self, arriving: np.ndarray, psi: np.ndarray, lam: np.ndarray) -> np.ndarray:
        """Return the gradient of the weights of ``arriving`` spikes (steps, sources); steps the eligibility through time."""
        z_bar = np.zeros_like(arriving[: len(lam)])
        now = np.zeros(arriving.shape[1], arriving.dtype)
        for t in range(len(lam)):
            now = self.alpha * now + arriving[t]
            z_bar[t] = now
        psi = psi[: len(lam)]
        gradient = (lam * psi).T @ z_bar
        first, beta = self.n_plain, self.beta[self.n_plain :]
        keep = self.rho - beta * psi[:, first:]
        weigh = -beta * lam[:, first:] * psi[:, first:]
        eps, part = np.zeros_like(gradient[first:]), np.zeros_like(gradient[first:])
        work = np.empty_like(eps)
        for t in range(len(lam)):
            part += np.multiply(weigh[t][:, None], eps, out=work)
            eps *= keep[t][:, None]
            eps += np.multiply(psi[t, first:][:, None], z_bar[t], out=work)
        gradient[first:] += part
        return gradient

    def adjoint(self, arriving: np.ndarray, psi: np.ndarray, lam: np.ndarray) -> np.ndarray:
        """Return the same gradient; one backward pass for each neuron."""
        reach, big_g, eps = np.zeros_like(lam), np.zeros(self.beta.size, lam.dtype), np.zeros(self.beta.size, lam.dtype)
        for t in range(len(lam) - 1, -1, -1):
            d = psi[t] * (lam[t] + eps)
            big_g = d + self.alpha * big_g
            eps = self.rho * eps - self.beta * d
            reach[t] = big_g
        return reach.T @ arriving[: len(lam)]

    def gradients(self, way: str, inputs: np.ndarray, label: int, window: np.ndarray) -> dict[str, np.ndarray]:
        """Return the gradient of one sample; ``way`` is ``stepped`` or ``adjoint``."""
        spikes, psi, error = self.forward(inputs, label, window)
        lam, _ = self.signals(spikes, error)
        late = [np.vstack([np.zeros_like(x[:1]), x[:-1]]) for x in (inputs.astype(spikes.dtype), spikes)]
        ways = getattr(self, way)
        return {
            "input": ways(late[0], psi, lam),
            "recurrent": ways(late[1], psi, lam),
            "readout": self.readout_gradient(spikes, error),
        }
