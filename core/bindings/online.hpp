// The online loop as an object of Python.
#pragma once
#include "bindings/in_use.hpp"
#include "bindings/network.hpp"
#include "online/run.hpp"

namespace eprop {

// A network that runs on, with a reference to it.
template <class Real> struct PyRun : OnlineRun<Real> {
  using OnlineRun<Real>::OnlineRun;
  PyRun(const PyRun&) = delete;
  nb::object owner, user;
  InUse* in_use = nullptr;  // of `user`; none if nobody else knows of this run
};

// Adds `step` to the class; see bindings/stepper.cpp.
template <class Real> void bind_step(nb::class_<PyRun<Real>>& bound);

}  // namespace eprop
