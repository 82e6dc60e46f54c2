#include "online/exchange.hpp"

#include "support/threads.hpp"

namespace eprop {
namespace {

// Messages of at least this many bytes are read by several threads.
constexpr Index kManyBytes = 4096;

void put(std::vector<std::uint8_t>& message, Index value) {
  for (; value > 127; value >>= 7) message.push_back(static_cast<std::uint8_t>(128 | (value & 127)));
  message.push_back(static_cast<std::uint8_t>(value));
}

// The next number of a message; a truncated message continues with zeros.
Index get(Array1<const std::uint8_t> messages, Index& cursor) {
  Index value = 0;
  for (int shift = 0; cursor < messages.size && shift < 63; shift += 7) {
    const std::uint8_t byte = messages[cursor++];
    value |= static_cast<Index>(byte & 127) << shift;
    if (byte < 128) break;
  }
  return value;
}

// Reads the steps of one rank.
void read_rank(const Inbox& inbox, Index rank, Index steps, ReceivedSpikes& out) {
  const Index neurons = inbox.known.bits.size * 64;
  Index cursor = inbox.begin[rank];
  out.start.assign(1, 0);
  for (Index step = 0; step < steps; step++) {
    const Index count = get(inbox.messages, cursor);
    Index neuron = inbox.first[rank] - 1;
    for (Index k = 0; k < count && cursor < inbox.messages.size; k++) {
      neuron += get(inbox.messages, cursor) + 1;
      if (neuron < neurons && is_known(inbox.known.bits, neuron))
        out.neurons.push_back(static_cast<std::int32_t>(known_before(inbox.known, neuron)));
    }
    out.start.push_back(static_cast<Index>(out.neurons.size()));
  }
}

}  // namespace

void serialise_spikes(const Outbox& outbox, std::vector<std::uint8_t>& message) {
  for (Index step = 0; step < outbox.steps(); step++) {
    put(message, outbox.start[step + 1] - outbox.start[step]);
    Index before = -1;
    for (Index k = outbox.start[step]; k < outbox.start[step + 1]; k++) {
      put(message, outbox.spikes[k] - before - 1);
      before = outbox.spikes[k];
    }
  }
}

void deserialise_spikes(const Inbox& inbox, Index steps, int threads, ReceivedSpikes& received) {
  const Index ranks = inbox.begin.size;
  std::vector<ReceivedSpikes> of_rank(ranks);
  parallel_for(ranks, inbox.messages.size >= kManyBytes ? threads : 1,
               [&](Index rank) { read_rank(inbox, rank, steps, of_rank[rank]); });
  received.neurons.clear();
  received.start.assign(1, 0);
  for (Index step = 0; step < steps; step++) {
    for (const ReceivedSpikes& part : of_rank) {
      const auto first = part.neurons.begin();
      received.neurons.insert(received.neurons.end(), first + part.start[step], first + part.start[step + 1]);
    }
    received.start.push_back(static_cast<Index>(received.neurons.size()));
  }
}

}  // namespace eprop
