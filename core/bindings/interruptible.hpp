// Long calls from Python: they react to Ctrl-C.
#pragma once
#include <chrono>

#include "bindings/convert.hpp"
#include "support/interrupt.hpp"

namespace eprop {

// Asks Python for pending signals, at most once per interval; only the thread that entered the core asks.
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

// Runs work(interrupt) without the GIL; if it returns false, raises the exception of the signal handler.
template <class Work> void interruptible(const Work& work) {
  SignalCheck check;
  if (!unlocked([&] { return work(Interrupt{&SignalCheck::requested, &check}); })) throw nb::python_error();
}

}  // namespace eprop
