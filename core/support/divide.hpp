// Interruptible work, divided among threads.
#pragma once
#include <atomic>

#include "support/interrupt.hpp"
#include "support/threads.hpp"

namespace eprop {

// Calls work(thread, piece, watch) for each of `n` pieces; a thread takes the next piece when it has finished one. Returns false
// if it was interrupted.
template <class Work> bool divide(Index n, int threads, Interrupt interrupt, const Work& work) {
  std::atomic<bool> stop{false};
  share_items(n, threads, [&](Index thread, const auto& take) {
    FlushSubnormals flush;
    Watch watch{stop, thread == 0 ? interrupt : Interrupt{}};
    for (Index piece = take(); piece >= 0 && !stop.load(std::memory_order_relaxed); piece = take()) work(thread, piece, watch);
  });
  return !stop.load(std::memory_order_relaxed);
}

}  // namespace eprop
