// The arrays of a topology by name: its table, from which follow what Python hands over, its attributes and the stub.
#pragma once
#include <tuple>

#include "network/tables.hpp"

namespace eprop {

// A row of the table.
template <class View> struct Entry {
  const char* name;
  View Topology::* member;
};
template <class View> Entry(const char*, View Topology::*) -> Entry<View>;

inline constexpr auto topology_fields() {
  return std::tuple{
      Entry{"populations", &Topology::populations},
      Entry{"groups", &Topology::groups},
      Entry{"trace_groups", &Topology::trace_groups},
      Entry{"readouts", &Topology::readouts},
      Entry{"poisson_rates", &Topology::poisson_rates},
      Entry{"decays", &Topology::decays},
      Entry{"filters", &Topology::filters},
      Entry{"doublings", &Topology::doublings},
      Entry{"arrivals", &Topology::arrivals},
      Entry{"trace_consumers", &Topology::trace_consumers},
      Entry{"kinds", &Topology::kinds},
      Entry{"eligibility", &Topology::eligibility},
      Entry{"adjoint", &Topology::adjoint},
      Entry{"branch_start", &Topology::branch_start},
      Entry{"targets", &Topology::targets},
      Entry{"near_targets", &Topology::near_targets},
      Entry{"params", &Topology::params},
      Entry{"bounds", &Topology::bounds},
      Entry{"signal_delay", &Topology::signal_delay},
      Entry{"error_latency", &Topology::error_latency},
      Entry{"adaptive", &Topology::adaptive},
      Entry{"pair_powers", &Topology::pair_powers},
      Entry{"drives", &Topology::drives},
      Entry{"drive_values", &Topology::drive_values},
      Entry{"out_degrees", &Topology::out_degrees},
      Entry{"source_nodes", &Topology::source_nodes},
      Entry{"products", &Topology::products},
      Entry{"kept_rows", &Topology::kept_rows},
  };
}

}  // namespace eprop
