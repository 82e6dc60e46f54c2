// The topology of a built network as an object of Python, with the arrays that it views.
#pragma once
#include "bindings/convert.hpp"
#include "network/tables.hpp"

namespace eprop {

struct PyTopology : Topology {
  nb::object arrays;  // has an attribute for each array
};

}  // namespace eprop
