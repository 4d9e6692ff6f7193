// Sizes. Chunks shrink where many ranks share a host, so that a chunk for each of them fits the staging area twice.
#include "transport/layout.h"

#include <algorithm>

namespace deepspeed::transport {
namespace {

constexpr int64_t kPage = 4096;
constexpr int64_t kStagingBytes = int64_t{2} << 20;
constexpr int64_t kLargestChunk = int64_t{128} << 10;
constexpr int64_t kSmallestChunk = int64_t{8} << 10;

// Chunks of a message that are on their way to one peer at once.
constexpr int64_t kMessageChunks = 4;

int64_t rounded_up(int64_t bytes, int64_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

SegmentLayout::SegmentLayout(int size) {
  const int64_t peers = std::max(size - 1, 1);
  chunk_bytes = std::clamp(kStagingBytes / (2 * peers) / kPage * kPage, kSmallestChunk, kLargestChunk);
  staging_bytes = std::max(kStagingBytes, 2 * peers * chunk_bytes);
  message_chunk_bytes = size <= 8 ? int64_t{32} << 10 : kSmallestChunk;
  message_staging_bytes = kMessageChunks * message_chunk_bytes;

  queues = rounded_up(sizeof(Control), kPage);
  message_queues = queues + size * static_cast<int64_t>(sizeof(Queue));
  message_stagings = rounded_up(message_queues + size * static_cast<int64_t>(sizeof(Queue)), kPage);
  staging = rounded_up(message_stagings + size * message_staging_bytes, kPage);
  bytes = staging + staging_bytes;
}

}  // namespace deepspeed::transport
