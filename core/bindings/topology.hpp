// The topology of a built network, from a Python object that must outlive it.
#pragma once
#include "bindings/convert.hpp"
#include "common/tables.hpp"

namespace eprop {

Topology topology_of(nb::handle owner);

}  // namespace eprop
