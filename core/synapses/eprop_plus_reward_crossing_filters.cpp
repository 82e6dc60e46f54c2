#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {
EPROP_PLUS_KIND(1, 0, false, true)
EPROP_PLUS_KIND(2, 0, false, true)
}  // namespace eprop
