// All kinds of eligibility that e-prop+ knows, (filters, own, anchored), by the files that instantiate their loops.
#pragma once
#include "synapses/eprop_plus.hpp"

namespace eprop {

// (1, 0, yes), (2, 0, yes)                            eprop_plus_filters.cpp
template <class Real> PlusFunctions<Real> functions_without_own(const Kind& kind, bool moments);
// (0, 1, yes), (1, 1, yes)                            eprop_plus_own.cpp
template <class Real> PlusFunctions<Real> functions_with_own(const Kind& kind, bool moments);
// (2, 1, yes)                                         eprop_plus_own_2.cpp
template <class Real> PlusFunctions<Real> functions_with_own_2(const Kind& kind, bool moments);
// (0, 1, no), (1, 1, no), (2, 1, no)                  eprop_plus_crossing.cpp
template <class Real> PlusFunctions<Real> functions_of_crossing(const Kind& kind, bool moments);
// (0, 2, no), (1, 2, no), (2, 2, no)                  eprop_plus_crossing_2.cpp
template <class Real> PlusFunctions<Real> functions_of_crossing_2(const Kind& kind, bool moments);

}  // namespace eprop
