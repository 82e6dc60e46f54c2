// Who may use a network: one thread at a time, and between its changes all that read.
#pragma once
#include <algorithm>
#include <atomic>
#include <vector>

#include "bindings/convert.hpp"

namespace eprop {

// The thread that uses a network and may change it, for the context of a call; another one is refused. Reads of other threads
// wait until it lets them in: at its end, between two pieces of a run, or while it changes nothing. The GIL makes all methods
// atomic; they release it while they wait.
class InUse {
 public:
  InUse(nb::callable refuse, nb::callable no_memory, bool reads_wait)
      : refuse(std::move(refuse)), no_memory(std::move(no_memory)), reads_wait_(reads_wait) {}

  const nb::callable refuse;     // raises the error for a call that may not use it now; takes this object
  const nb::callable no_memory;  // raises the error for a call that got no memory; takes its error

  // A thread that uses the network may begin again, unless it is open. False: this call may not use the network now.
  bool acquire() {
    if (is_used() ? !is_here() || open_ > 0 : reads_here()) return false;
    if (depth_++ > 0) return true;
    thread_ = PyThread_get_thread_ident();
    if (!readers_.empty()) wait_for_readers();
    return true;
  }
  void release() {
    if (--depth_ == 0 && !waiting_.empty()) admit();
  }

  // False: another thread uses the network, and reads do not wait.
  bool begin_reading();
  void end_reading();

  // The thread that uses the network lets those in that wait, until they have read.
  void pause() {
    if (waiting_.empty()) return;
    admit();
    wait_for_readers();
  }
  // It changes nothing until `close`, so that others may read.
  void open() {
    open_++;
    if (!waiting_.empty()) admit();
  }
  void close() {
    if (--open_ == 0) wait_for_readers();
  }
  // Whether this thread uses the network and has opened it.
  bool is_open_here() const { return open_ > 0 && is_here(); }

  std::atomic<bool> awaited = false;  // whether a read waits

 private:
  bool is_used() const { return depth_ > 0; }
  bool is_here() const { return is_used() && thread_ == PyThread_get_thread_ident(); }
  bool reads_here() const {
    return !readers_.empty() && std::find(readers_.begin(), readers_.end(), PyThread_get_thread_ident()) != readers_.end();
  }

  // Out of the way of a step, which seldom meets a read.
  void admit();
  void wait_for_readers();
  template <class Ready> void wait_until(const Ready& ready);
  void note_change();

  const bool reads_wait_;
  unsigned long thread_ = 0;
  Index depth_ = 0, open_ = 0;
  std::vector<unsigned long> readers_, waiting_;  // threads that read, and that wait for it
  std::atomic<std::uint32_t> changes_ = 0;        // of `readers_`; waiting needs no more than that it differs
};

}  // namespace eprop
