// The topology of a built network, from a Python object that must outlive it.
#pragma once
#include "convert.hpp"
#include "tables.hpp"

namespace eprop {

Topology topology_of(nb::handle owner);

}  // namespace eprop
