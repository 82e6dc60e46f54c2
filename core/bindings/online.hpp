// The online loop as an object of Python.
#pragma once
#include "bindings/convert.hpp"
#include "online/run.hpp"

namespace eprop {

// A network that runs on, with references to the arrays that it views.
template <class Real> struct PyRun : OnlineRun<Real> {
  PyRun() = default;
  PyRun(const PyRun&) = delete;
  nb::object owners;
};

// Adds `step` to the class; see bindings/stepper.cpp.
template <class Real> void bind_step(nb::class_<PyRun<Real>>& bound);

}  // namespace eprop
