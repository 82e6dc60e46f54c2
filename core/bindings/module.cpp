// The extension module. Only this folder includes nanobind; the rest of the core knows nothing of Python.
#include "convert.hpp"
#include "threads.hpp"

#ifndef EPROP_MODULE
#define EPROP_MODULE _native
#endif
#ifndef EPROP_LEVEL
#define EPROP_LEVEL "native"
#endif

namespace eprop {
// One line for each part of the core that Python calls.
void bind_tables(nanobind::module_& m);
void bind_batch(nanobind::module_& m);
void bind_bandwidth(nanobind::module_& m);
void bind_camera(nanobind::module_& m);
void bind_connections(nanobind::module_& m);
void bind_events(nanobind::module_& m);
void bind_neurons(nanobind::module_& m);
void bind_random(nanobind::module_& m);
void bind_stream(nanobind::module_& m);
}  // namespace eprop

NB_MODULE(EPROP_MODULE, m) {
  using namespace eprop;
  nanobind::set_leak_warnings(false);  // simulators that still live at the end of the process are no leak
  m.attr("level") = EPROP_LEVEL;
  m.def("available_threads", &available_threads);
  bind_tables(m);
  bind_batch(m);
  bind_bandwidth(m);
  bind_camera(m);
  bind_connections(m);
  bind_events(m);
  bind_neurons(m);
  bind_random(m);
  bind_stream(m);
}
