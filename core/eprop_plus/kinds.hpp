// All kinds of eligibility that e-prop+ supports: the files eprop_plus_*.cpp instantiate their loops, so that they compile in
// parallel; eprop_plus.cpp chooses among them.
#pragma once
#include "eprop_plus/eprop_plus.hpp"

namespace eprop {

// The loops for one set of components, anchored or not, with or without reward; defined in delay_group.hpp.
template <int n_filters, int n_own, bool anchored, bool reward, class Real>
PlusFunctions<Real> functions_of_kind(bool two_kappas, bool moments);

// In those files, one line for each kind.
#define EPROP_PLUS_KIND(n_filters, n_own, anchored, reward)                                        \
  template PlusFunctions<float> functions_of_kind<n_filters, n_own, anchored, reward>(bool, bool); \
  template PlusFunctions<double> functions_of_kind<n_filters, n_own, anchored, reward>(bool, bool);

}  // namespace eprop
