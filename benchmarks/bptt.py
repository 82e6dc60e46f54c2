"""Backpropagation through time in NumPy: the comparison of `spoken_digits.py` and `series.py`. This file is no script.

The network is that of a simulator with one population of LIF or ALIF neurons: its weights, delays and constants are read once.
All matrices are dense, and a mini-batch is stepped together, in single precision. The reset of a neuron has no derivative, as in
`eprop.reference.backpropagation`.
"""

from __future__ import annotations

import numpy as np

import eprop as ep

FLOAT = np.float32


class Bptt:
    """A dense copy of a network ``in`` -> ``rec`` -> ``out`` that learns by backpropagation through time, with Adam.

    Parameters
    ----------
    sim : Simulator
    eta : float
        Learning rate.
    clip : float
        Largest norm of the gradient of a projection; gradients explode where time constants are long.
    """

    def __init__(self, sim: ep.Simulator, eta: float = 1e-3, clip: float = np.inf):
        network = sim.network
        self.dt, self.eta, self.clip = network.dt, eta, clip
        x, rec, out = (next(p for p in network.populations if p.name == name) for name in ("in", "rec", "out"))
        sources, targets, w = sim.connections("in->rec")
        delays = np.rint(sim.delays("in->rec") / self.dt).astype(int)
        self.sizes, self.delays = (x.size, rec.size, out.size), np.unique(delays)
        self.w_in = np.zeros((self.delays.size, x.size, rec.size), FLOAT)
        self.w_in[np.searchsorted(self.delays, delays), sources, targets] = w
        self.mask = (self.w_in != 0.0).reshape(-1, rec.size)
        self.w_in = self.w_in.reshape(-1, rec.size)
        self.w_rec, self.w_out = (self._dense(sim, name) for name in ("rec->rec", "rec->out"))
        self.mask_rec = self.w_rec != 0.0
        v_th, tau_m, tau_adapt, beta = (
            self._constants(sim, rec, name) for name in ("v_th", "tau_m", "tau_adapt", "beta")
        )
        self.v_th, self.beta = v_th, beta
        self.alpha, self.rho = np.exp(-self.dt / tau_m).astype(FLOAT), np.exp(-self.dt / tau_adapt).astype(FLOAT)
        self.alpha_out = FLOAT(np.exp(-self.dt / out.model.tau_m))
        self.height, self.width = FLOAT(rec.model.surrogate.height), FLOAT(rec.model.surrogate.width)
        self.moments = {name: [np.zeros_like(getattr(self, name)) for _ in range(2)] for name in self.names}
        self.steps = 0

    names = ("w_in", "w_rec", "w_out")

    @staticmethod
    def _dense(sim: ep.Simulator, name: str) -> np.ndarray:
        """Weights (sources, targets)."""
        sources, targets, w = sim.connections(name)
        out = np.zeros((sources.max() + 1, targets.max() + 1), FLOAT)
        out[sources, targets] = w
        return out

    @staticmethod
    def _constants(sim: ep.Simulator, rec: ep.network.Population, name: str) -> np.ndarray:
        """A constant of each neuron, also if it was drawn; LIF neurons have no adaptation."""
        if not hasattr(rec.model, name):
            return np.full(rec.size, 1.0 if name == "tau_adapt" else 0.0, FLOAT)
        return np.broadcast_to(np.asarray(sim.parameters(rec)[name], FLOAT), (rec.size,))

    def forward(self, inputs: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run a mini-batch (n, steps, channels) of zeros and ones; outputs, spikes, surrogate gradients, delayed inputs."""
        n, steps, channels = inputs.shape
        delayed = np.zeros((n, steps, self.delays.size, channels), FLOAT)
        for k, delay in enumerate(self.delays):
            delayed[:, delay:, k] = inputs[:, : steps - delay]
        delayed = delayed.reshape(n, steps, -1)
        driven = (delayed.reshape(n * steps, -1) @ self.w_in).reshape(n, steps, -1).transpose(1, 0, 2).copy()
        spikes, psi = (np.zeros((steps, n, self.sizes[1]), FLOAT) for _ in range(2))
        outputs = np.zeros((steps, n, self.sizes[2]), FLOAT)
        v, a, z = (np.zeros((n, self.sizes[1]), FLOAT) for _ in range(3))
        y = np.zeros((n, self.sizes[2]), FLOAT)
        for t in range(steps):
            a = self.rho * a + z
            v = self.alpha * v + driven[t] + z @ self.w_rec
            y = self.alpha_out * y + z @ self.w_out
            above = v - self.v_th - self.beta * a
            psi[t] = self.height * np.maximum(0.0, 1.0 - np.abs(above) / self.width)
            z = (above >= 0.0).astype(FLOAT)
            v -= self.v_th * z
            spikes[t], outputs[t] = z, y
        return outputs, spikes, psi, delayed

    def gradients(self, inputs: np.ndarray, labels: np.ndarray, window: np.ndarray) -> dict[str, np.ndarray]:
        """Gradient of the mean cross-entropy, summed over the steps of the window."""
        outputs, spikes, psi, delayed = self.forward(inputs)
        steps, n, _ = outputs.shape
        error = np.exp(outputs - outputs.max(axis=2, keepdims=True))
        error /= error.sum(axis=2, keepdims=True)
        error[:, np.arange(n), labels] -= 1.0
        error *= np.asarray(window, FLOAT)[:, None, None] / n
        dy, dv = np.zeros((steps + 1, *error.shape[1:]), FLOAT), np.zeros((steps + 1, *psi.shape[1:]), FLOAT)
        da = np.zeros(psi.shape[1:], FLOAT)
        for t in range(steps - 1, -1, -1):
            dz = dy[t + 1] @ self.w_out.T + dv[t + 1] @ self.w_rec.T + da
            dy[t] = error[t] + self.alpha_out * dy[t + 1]
            dv[t] = self.alpha * dv[t + 1] + psi[t] * dz
            da = self.rho * da - self.beta * psi[t] * dz
        sent = spikes[:-1].reshape(-1, self.sizes[1])
        batch_first = dv[:-1].transpose(1, 0, 2).reshape(n * steps, -1)
        return {
            "w_in": (delayed.reshape(n * steps, -1).T @ batch_first) * self.mask,
            "w_rec": (sent.T @ dv[1:-1].reshape(-1, self.sizes[1])) * self.mask_rec,
            "w_out": sent.T @ dy[1:-1].reshape(-1, self.sizes[2]),
        }

    def train(self, inputs: np.ndarray, labels: np.ndarray, window: np.ndarray, factor: float) -> None:
        """One step of Adam, with the learning rate times ``factor``."""
        self.steps += 1
        adam = ep.Adam()
        for name, gradient in self.gradients(inputs, labels, window).items():
            gradient *= FLOAT(min(1.0, self.clip / max(np.linalg.norm(gradient), 1e-30)))
            first, second = self.moments[name]
            first += FLOAT(1.0 - adam.beta_1) * (gradient - first)
            second += FLOAT(1.0 - adam.beta_2) * (gradient**2 - second)
            rate = factor * self.eta * np.sqrt(1.0 - adam.beta_2**self.steps) / (1.0 - adam.beta_1**self.steps)
            getattr(self, name)[...] -= FLOAT(rate) * first / (np.sqrt(second) + FLOAT(adam.epsilon))

    def predict(self, inputs: np.ndarray, window: np.ndarray) -> np.ndarray:
        """Class with the largest sum of outputs over the window."""
        return self.forward(inputs)[0][np.asarray(window) > 0].sum(axis=0).argmax(axis=1)
