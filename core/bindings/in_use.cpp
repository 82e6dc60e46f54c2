// Who may use a network, for Python.
#include "bindings/in_use.hpp"

namespace eprop {

bool InUse::begin_reading() {
  const unsigned long me = PyThread_get_thread_ident();
  if (!is_used() || is_here() || reads_here() || (open_ > 0 && reads_wait_)) {
    readers_.push_back(me);
  } else if (reads_wait_) {
    waiting_.push_back(me);
    awaited = true;
    wait_until([this] { return reads_here(); });
  } else {
    return false;
  }
  return true;
}

void InUse::end_reading() {
  readers_.erase(std::find(readers_.begin(), readers_.end(), PyThread_get_thread_ident()));
  note_change();
}

void InUse::admit() {
  readers_.insert(readers_.end(), waiting_.begin(), waiting_.end());
  waiting_.clear();
  awaited = false;
  note_change();
}

void InUse::wait_for_readers() {
  wait_until([this] { return readers_.empty(); });
}

template <class Ready> void InUse::wait_until(const Ready& ready) {
  while (!ready()) {
    const std::uint32_t seen = changes_;
    nb::gil_scoped_release release;
    changes_.wait(seen);
  }
}

void InUse::note_change() {
  changes_.fetch_add(1);
  changes_.notify_all();
}

namespace {

void refuse_unless(bool allowed, InUse& use, nb::handle self) {
  if (!allowed) use.refuse(self);
}

// Raises the error for a context that got no memory.
void check_memory(const InUse& use, nb::handle kind, nb::handle problem) {
  if (!kind.is_none() && PyErr_GivenExceptionMatches(kind.ptr(), PyExc_MemoryError)) use.no_memory(problem);
}

// The context of a read, and one in which nothing changes.
struct Reading {
  nb::object user;

  void enter() const { refuse_unless(use().begin_reading(), use(), user); }
  void leave() const { use().end_reading(); }
  InUse& use() const { return nb::cast<InUse&>(user); }
};
struct Open {
  nb::object user;

  void enter() const { use().open(); }
  void leave() const { use().close(); }
  InUse& use() const { return nb::cast<InUse&>(user); }
};

template <class Context> void bind_context(nb::module_& m, const char* name, const char* doc) {
  nb::class_<Context>(m, name, doc)
      .def("__enter__", &Context::enter)
      .def(
          "__exit__",
          [](const Context& context, nb::handle kind, nb::handle problem, nb::handle) {
            context.leave();
            check_memory(context.use(), kind, problem);
          },
          "kind"_a.none(), "problem"_a.none(), "trace"_a.none(),
          nb::sig("def __exit__(self, kind: object, problem: object, trace: object) -> None"));
}

}  // namespace

void bind_in_use(nb::module_& m) {
  bind_context<Reading>(m, "Reading", "Context of a read, see `InUse`.");
  bind_context<Open>(m, "Open", "Context in which nothing changes, see `InUse`.");
  nb::class_<InUse>(m, "InUse", "Context of a call that uses a network and may change it: one thread at a time.")
      .def(nb::init<nb::callable, nb::callable, bool>(), "refuse"_a, "no_memory"_a, "reads_wait"_a,
           nb::sig("def __init__(self, refuse: object, no_memory: object, reads_wait: bool) -> None"),
           "`refuse` takes this object, `no_memory` an error; both raise. With `reads_wait`, a read of another thread waits for "
           "the "
           "end of a call, or of a piece of its run; without, it is refused.")
      .def(
          "__enter__",
          [](nb::handle self) {
            InUse& use = nb::cast<InUse&>(self);
            refuse_unless(use.acquire(), use, self);
          },
          nb::sig("def __enter__(self) -> None"))
      .def(
          "__exit__",
          [](InUse& use, nb::handle kind, nb::handle problem, nb::handle) {
            use.release();
            check_memory(use, kind, problem);
          },
          "kind"_a.none(), "problem"_a.none(), "trace"_a.none(),
          nb::sig("def __exit__(self, kind: object, problem: object, trace: object) -> None"))
      .def_prop_ro(
          "reading", [](nb::handle self) { return Reading{nb::borrow(self)}; }, nb::sig("def reading(self) -> Reading"),
          "Context of a read.")
      .def_prop_ro(
          "open", [](nb::handle self) { return Open{nb::borrow(self)}; }, nb::sig("def open(self) -> Open"),
          "Context in which the network does not change: others may read, nobody may change it.")
      .def_prop_ro("is_open_here", &InUse::is_open_here, "Whether this thread uses the network and has opened it.");
}

}  // namespace eprop
