// Interruption of a long call: the calling thread asks at intervals, the other threads see a flag.
#pragma once
#include <atomic>

#include "support/arrays.hpp"

namespace eprop {

// Provided by the binding: only the thread that entered the core may call `requested`.
struct Interrupt {
  bool (*requested)(void*) = nullptr;
  void* context = nullptr;
};

// The view of one thread of a call. Each thread has its own; `stop` is shared.
struct Watch {
  std::atomic<bool>& stop;
  Interrupt interrupt;  // empty except in the calling thread
  Index budget = 0;
  // Whether to stop now; `work` is the approximate work since the last call, in synapses or neurons.
  bool stopped(Index work) {
    constexpr Index kBetween = 1 << 16;
    if (interrupt.requested != nullptr) {
      budget -= work;
      if (budget < 0) {
        budget = kBetween;
        if (interrupt.requested(interrupt.context)) stop.store(true, std::memory_order_relaxed);
      }
    }
    return stop.load(std::memory_order_relaxed);
  }
};

}  // namespace eprop
