// Long calls of Python: they hear Ctrl-C, and add up gradients.
#pragma once
#include <chrono>

#include "convert.hpp"
#include "interrupt.hpp"
#include "tables.hpp"

namespace eprop {

// Asks Python whether a signal has come, not more often than this; only the thread that entered the core does so.
struct SignalCheck {
  std::chrono::steady_clock::time_point last = std::chrono::steady_clock::now();
  static bool requested(void* self) {
    auto& last = static_cast<SignalCheck*>(self)->last;
    const auto now = std::chrono::steady_clock::now();
    if (now - last < std::chrono::milliseconds(50)) return false;
    last = now;
    nb::gil_scoped_acquire acquire;
    return PyErr_CheckSignals() != 0;
  }
};

// Runs work(interrupt) without the GIL; raises what a signal handler has raised in between if it returns false.
template <class Work> void interruptible(const Work& work) {
  SignalCheck check;
  if (!unlocked([&] { return work(Interrupt{&SignalCheck::requested, &check}); })) throw nb::python_error();
}

template <class Real> Array1<Real> pending_of(const Out1<Real>& pending, const Topology& topology) {
  if (static_cast<Index>(pending.shape(0)) != topology.targets.size)
    throw nb::value_error("pending: one number for each synapse");
  return view1(pending);
}

}  // namespace eprop
