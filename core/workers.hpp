// Work that allocates, on threads of the pool.
#pragma once
#include <atomic>
#include <new>

#include "threads.hpp"

namespace eprop {

// Share items 0 .. n - 1 among up to `threads` workers: worker(take) makes its buffers once and works on take() until that is -1.
// Memory that a worker cannot get becomes std::bad_alloc in the calling thread.
template <class Worker>
void share_among_workers(Index n, int threads, const Worker& worker) {
  std::atomic<Index> next{0};
  std::atomic<bool> no_memory{false};
  const auto take = [&]() -> Index {
    const Index item = next.fetch_add(1, std::memory_order_relaxed);
    return item < n ? item : -1;
  };
  const Index workers = n < threads ? n : threads;
  parallel_for(workers < 1 ? 1 : workers, threads, [&](Index) {
    try {
      worker(take);
    } catch (const std::bad_alloc&) {  // must not leave a thread of the pool
      no_memory = true;
    }
  });
  if (no_memory) throw std::bad_alloc();
}

}  // namespace eprop
