// One pool of threads for the process: started on first use, replaced after a fork.
#pragma once
#include <algorithm>
#include <atomic>
#include <functional>

#include "support/arrays.hpp"

namespace eprop {

// Calls work(0) .. work(n - 1), each once, on up to `threads` threads including the calling one; returns when all are done.
// Thread k begins with index k, so that a partition stays with its thread; free threads take further indices. When the calling
// thread has finished, it takes over all indices that no thread has begun: a core that another program has taken delays nobody.
// While another caller uses the pool, the calling thread does everything. Results must not depend on which thread does what. The
// first exception of `work` is rethrown here after all threads are done; other indices may then have been skipped.
void parallel_for(Index n, int threads, const std::function<void(Index)>& work);

// Divides items 0 .. n - 1 among up to `threads` workers: worker(number, take) allocates its buffers once and processes take()
// until it is -1. Worker 0 is the calling thread.
template <class Worker> void share_items(Index n, int threads, const Worker& worker) {
  std::atomic<Index> next{0};
  const auto take = [&]() -> Index {
    const Index item = next.fetch_add(1, std::memory_order_relaxed);
    return item < n ? item : -1;
  };
  const Index workers = std::min<Index>(n, threads);
  parallel_for(workers, threads, [&](Index number) { worker(number, take); });
}

// Counts `n` calls of `parallel_for` that do nothing, for tests of its counter.
void skip_regions(Index n);

// Threads that this process may use: the processors of the machine that it may run on.
int available_threads();

// During its lifetime, subnormal numbers count as zero in this thread, because x86 processors take many times as long with them.
// The destructor restores the previous mode.
class FlushSubnormals {
 public:
  FlushSubnormals();
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  unsigned mode_;
};

}  // namespace eprop
