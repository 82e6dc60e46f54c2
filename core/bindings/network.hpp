// A network as an object of Python, with the arrays that it views.
#pragma once
#include "bindings/convert.hpp"
#include "network/network.hpp"

namespace eprop {

struct PyTopology : Topology {
  nb::dict arrays;  // by name
};

template <class Real> struct PyNetwork : Network<Real> {
  explicit PyNetwork(Network<Real>&& network = {}) : Network<Real>(std::move(network)) {}
  PyNetwork(const PyNetwork&) = delete;
  nb::object owners;
};

}  // namespace eprop
