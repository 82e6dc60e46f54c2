// One pool of threads for the process: started when first used, forgotten after a fork.
#pragma once
#include <algorithm>
#include <atomic>
#include <functional>

#include "arrays.hpp"

namespace eprop {

// Call work(0) .. work(n - 1), each once, on up to `threads` threads, the calling one included; returns when all are done.
// Thread k begins with index k, so that a partition stays with its thread; further indices go to whoever is free. What a thread
// has not begun when the calling thread is done, that one does: a core that another program has taken holds up nobody. While
// another caller uses the pool, the calling thread does all of it. No result may depend on who does what. The first exception of
// `work` is thrown here once all threads are done; other indices may then have been left out.
void parallel_for(Index n, int threads, const std::function<void(Index)>& work);

// Share items 0 .. n - 1 among up to `threads` workers: worker(number, take) makes its buffers once and works on take() until
// that is -1. Worker 0 is the calling thread.
template <class Worker> void share_items(Index n, int threads, const Worker& worker) {
  std::atomic<Index> next{0};
  const auto take = [&]() -> Index {
    const Index item = next.fetch_add(1, std::memory_order_relaxed);
    return item < n ? item : -1;
  };
  const Index workers = std::min<Index>(n, threads);
  parallel_for(workers, threads, [&](Index number) { worker(number, take); });
}

// Threads that this process may use: those of the machine that it may run on.
int available_threads();

// While it lives, numbers that are almost zero (subnormal) count as zero in this thread: x86 processors take many times as long
// with them. The mode that was there is put back.
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
