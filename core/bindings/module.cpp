// The extension module. Only this folder includes nanobind; the rest of the core knows nothing of Python.
#include "bindings/convert.hpp"
#include "support/threads.hpp"

// Defined by the build: the module's name, the level of the processor, its features that the compiler uses, and the flags.
#ifndef EPROP_MODULE
#define EPROP_MODULE _native
#endif
#ifndef EPROP_LEVEL
#define EPROP_LEVEL "native"
#endif
#ifndef EPROP_FEATURES
#define EPROP_FEATURES ""
#endif
#ifndef EPROP_FLAGS
#define EPROP_FLAGS ""
#endif
#if defined(__clang__)
#define EPROP_COMPILER __VERSION__
#else
#define EPROP_COMPILER "GCC " __VERSION__
#endif

namespace eprop {
// One declaration for each part of the bindings.
void bind_tables(nb::module_& m);
void bind_bandwidth(nb::module_& m);
void bind_camera(nb::module_& m);
void bind_cochlea(nb::module_& m);
void bind_connections(nb::module_& m);
void bind_events(nb::module_& m);
void bind_network(nb::module_& m);
void bind_neurons(nb::module_& m);
void bind_random(nb::module_& m);
void bind_inputs(nb::module_& m);
void bind_stepper(nb::module_& m);
void bind_online(nb::module_& m);
void bind_episodes(nb::module_& m);
void bind_rewiring(nb::module_& m);
}  // namespace eprop

NB_MODULE(EPROP_MODULE, m) {
  using namespace eprop;
  nanobind::set_leak_warnings(false);  // simulators that are alive at the end of the process are not leaks
  m.attr("level") = EPROP_LEVEL;
  m.attr("features") = EPROP_FEATURES;
  m.attr("flags") = EPROP_FLAGS;
  m.attr("compiler") = EPROP_COMPILER;
  m.def("available_threads", &available_threads);
  bind_tables(m);
  bind_bandwidth(m);
  bind_camera(m);
  bind_cochlea(m);
  bind_connections(m);
  bind_events(m);
  bind_random(m);
  bind_neurons(m);
  bind_network(m);
  bind_episodes(m);
  bind_rewiring(m);
  bind_inputs(m);
  bind_stepper(m);
  bind_online(m);
}
