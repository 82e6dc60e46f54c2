#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {
EPROP_PLUS_KIND(2, 1, true, true)
}  // namespace eprop
