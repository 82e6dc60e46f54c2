#include "support/threads.hpp"

#include <pthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif
#if defined(__linux__)
#include <sched.h>
#endif

namespace eprop {
namespace {

// Time for which a worker spins before it sleeps: about the gap between two regions of a step. Waking a sleeper takes about 50
// microseconds; spinning longer would take the core from other programs.
constexpr auto kSpin = std::chrono::microseconds(50);
constexpr int kLooksPerClock = 64;

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until `value` differs from `old`: spin, then sleep.
template <class T> T wait_for_change(const std::atomic<T>& value, T old) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int k = 0; k < kLooksPerClock; k++) {
      const auto now = value.load(std::memory_order_acquire);
      if (now != old) return now;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  value.wait(old, std::memory_order_acquire);
  return value.load(std::memory_order_acquire);
}

// A region is one call of `run`. It has a share for each thread: the index of its number, then further indices while there are
// some. Thread k claims share k. When the calling thread has finished its own share, it takes every share that is not claimed
// yet. So nobody waits for a sleeping worker, or for one whose core another program has taken.
class Pool {
 public:
  static constexpr int kMostThreads = 1023;

  void run(Index n, int threads, const std::function<void(Index)>& work) {
    grow(threads - 1);
    n_ = n;
    work_ = &work;
    next_.store(threads, std::memory_order_relaxed);
    left_.store(static_cast<std::uint32_t>(threads), std::memory_order_relaxed);
    const auto region = next_region(1) + static_cast<std::uint64_t>(threads);
    region_.store(region, std::memory_order_release);
    region_.notify_all();
    for (int share = 0; share < threads; share++)
      if (claim(share, region)) take(share);
    for (auto left = left_.load(std::memory_order_acquire); left != 0;) left = wait_for_change(left_, left);
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
  }

  // Counts `n` regions that have no share.
  void skip(std::uint64_t n) { region_.store(next_region(n), std::memory_order_release); }

  std::mutex owner;

 private:
  // `region_` counts regions in units of this; the remainder is the number of threads. In 64 bits the count never wraps around.
  static constexpr std::uint64_t kRegion = kMostThreads + 1;

  std::uint64_t next_region(std::uint64_t n) const { return (region_.load(std::memory_order_relaxed) / kRegion + n) * kRegion; }

  void grow(int workers) {
    while (workers_ < workers) {
      const int k = workers_ + 1;
      const auto region = region_.load(std::memory_order_relaxed);
      std::thread([this, k, region] { serve(k, region); }).detach();
      workers_ = k;
    }
  }

  void serve(int k, std::uint64_t region) {
    for (;;) {
      region = wait_for_change(region_, region);
      if (static_cast<std::uint64_t>(k) < region % kRegion && claim(k, region)) take(k);
    }
  }

  // Tries to claim a share of a region for the caller. In a finished region all shares are claimed; a later region has a
  // larger number.
  bool claim(int share, std::uint64_t region) {
    auto claimed = claimed_[share].load(std::memory_order_relaxed);
    return region > claimed && claimed_[share].compare_exchange_strong(claimed, region, std::memory_order_acq_rel);
  }

  // Does a share. The region cannot end before, so its plan stays readable. An exception must not leave a thread of the pool: the
  // first one is stored for the caller, and no further index is taken.
  void take(Index k) {
    try {
      for (; k < n_; k = next_.fetch_add(1, std::memory_order_relaxed)) (*work_)(k);
    } catch (...) {
      std::lock_guard<std::mutex> lock(failing_);
      if (!failure_) failure_ = std::current_exception();
      next_.store(n_, std::memory_order_relaxed);
    }
    if (left_.fetch_sub(1, std::memory_order_acq_rel) == 1) left_.notify_all();
  }

  int workers_ = 0;
  std::mutex failing_;
  std::exception_ptr failure_;
  Index n_ = 0;
  const std::function<void(Index)>* work_ = nullptr;
  alignas(64) std::atomic<std::uint64_t> region_{0};
  alignas(64) std::atomic<std::uint32_t> left_{0};
  alignas(64) std::atomic<Index> next_{0};
  alignas(64) std::atomic<std::uint64_t> claimed_[kMostThreads]{};
};

// Never destroyed: its threads end with the process. After a fork there are none, and the child starts its own pool.
Pool* pool = nullptr;
std::once_flag fork_handler;

Pool& the_pool() {
  static std::mutex creation;
  std::call_once(fork_handler, [] { pthread_atfork(nullptr, nullptr, [] { pool = nullptr; }); });
  std::lock_guard<std::mutex> lock(creation);
  if (pool == nullptr) pool = new Pool;
  return *pool;
}

}  // namespace

void parallel_for(Index n, int threads, const std::function<void(Index)>& work) {
  const int wanted = static_cast<int>(std::min<Index>({threads, n, Pool::kMostThreads}));
  if (wanted > 1) {
    Pool& shared = the_pool();
    std::unique_lock<std::mutex> owner(shared.owner, std::try_to_lock);
    if (owner.owns_lock()) return shared.run(n, wanted, work);
  }
  for (Index k = 0; k < n; k++) work(k);
}

void skip_regions(Index n) {
  Pool& shared = the_pool();
  const std::lock_guard<std::mutex> owner(shared.owner);
  shared.skip(static_cast<std::uint64_t>(n));
}

int available_threads() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
#endif
  return std::max(1u, std::thread::hardware_concurrency());
}

#if defined(__x86_64__)
FlushSubnormals::FlushSubnormals() : mode_(_mm_getcsr()) {
  constexpr unsigned kResults = 1u << 15, kOperands = 1u << 6;
  _mm_setcsr(mode_ | kResults | kOperands);
}
FlushSubnormals::~FlushSubnormals() { _mm_setcsr(mode_); }
#else
FlushSubnormals::FlushSubnormals() : mode_(0) {}
FlushSubnormals::~FlushSubnormals() = default;
#endif

}  // namespace eprop
