// How a long call hears that it shall end: the calling thread asks now and then, the others see a flag.
#pragma once
#include <atomic>

#include "arrays.hpp"

namespace eprop {

// Given by the binding: `requested` may be called by the thread that entered the core, and by no other.
struct Interrupt {
  bool (*requested)(void*) = nullptr;
  void* context = nullptr;
};

// What one thread of a call knows of it. Each has its own; `stop` is shared.
struct Watch {
  std::atomic<bool>& stop;
  Interrupt interrupt;  // empty in all threads but the calling one
  Index budget = 0;
  // Whether to end now; `work` is about what was done since the last time, in synapses or neurons.
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
