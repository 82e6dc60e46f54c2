#include "eprop_plus/delay_group.hpp"
#include "eprop_plus/kinds.hpp"

namespace eprop {
EPROP_PLUS_KIND(2, 1, true, true)
}  // namespace eprop
