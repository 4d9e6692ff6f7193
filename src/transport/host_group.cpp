// Meeting, and the blocks that come later.
//
// [Note: Who lives] Each rank holds a record lock (fcntl) on its own segment. The kernel drops it when the process
// ends, however that is, and forked children do not inherit it, which a socket's end could not say.
#include "transport/host_group.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <sstream>
#include <utility>

#include "deepspeed/error.h"

namespace deepspeed::transport {
namespace {

constexpr uint64_t kMagic = 0x6473'7368'6d30'3032;  // another one for each layout

struct Hello {
  uint64_t magic;
  int32_t rank;
  int32_t size;
};

// A block comes, with its file, or goes: then bytes is 0.
struct Notice {
  int64_t bytes;
  uint64_t number;
};

std::string socket_name(const std::string& token, int rank) { return concat("deepspeed.", token, ".", rank); }

// Tells processes apart where process numbers do not (in containers with process namespaces of their own), and forked
// ones, which share the random part.
uint64_t number_of_this_process() {
  static const uint64_t random = [] {
    std::random_device device;
    return static_cast<uint64_t>(device()) << 32 | device();
  }();
  return random + static_cast<uint64_t>(::getpid()) * 0x9E37'79B9'7F4A'7C15;
}

template <class Value>
std::span<const std::byte> bytes_of(const Value& value) {
  return std::as_bytes(std::span(&value, 1));
}

template <class Value>
std::span<std::byte> room_of(Value& value) {
  return std::as_writable_bytes(std::span(&value, 1));
}

void lock_for_life(int file) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  DS_CHECK(::fcntl(file, F_SETLK, &lock) == 0, CommError,
           "[transport.host_group] locking shared memory: ", std::strerror(errno));
}

}  // namespace

std::string random_token() {
  std::random_device random;
  std::ostringstream token;
  for (int i = 0; i < 4; ++i) token << std::hex << random();
  return token.str();
}

HostGroup::HostGroup(const HostGroupOptions& options)
    : rank_(options.rank), size_(options.size), pid_(::getpid()), layout_(options.size) {
  segments_.resize(static_cast<size_t>(size_));
  peers_.resize(static_cast<size_t>(size_));
  SharedSegment& mine = segments_[rank_] = SharedSegment::create(layout_.bytes);
  new (mine.data()) Control{.process = number_of_this_process()};
  for (int peer = 0; peer < size_; ++peer) {
    new (mine.data() + layout_.queue(peer)) Queue;
    new (mine.data() + layout_.message_queue(peer)) Queue;
  }
  lock_for_life(mine.descriptor());
  meet(options);
}

// Everyone connects to the ranks below and then accepts those above; hellos wait in the sockets meanwhile.
void HostGroup::meet(const HostGroupOptions& options) {
  const auto deadline = Clock::now() + options.timeout;
  LocalListener listener(socket_name(options.token, rank_), size_);
  const Hello mine{.magic = kMagic, .rank = rank_, .size = size_};
  const int file = segments_[rank_].descriptor();
  for (int peer = 0; peer < rank_; ++peer) {
    peers_[peer].socket = LocalSocket::connect(socket_name(options.token, peer), deadline);
    peers_[peer].socket.send(bytes_of(mine), file);
  }
  const auto take = [&](LocalSocket& socket, const char* missing, int expected) {
    Hello theirs{};
    auto packet = socket.receive(room_of(theirs), deadline);
    DS_CHECK(packet, CommError, "[transport.host_group] rank ", rank_, " of ", size_, ": ", missing, " within ",
             options.timeout.count() / 1000, " s");
    DS_CHECK(packet->bytes == sizeof(Hello) && theirs.magic == kMagic && packet->file, CommError,
             "[transport.host_group] rank ", rank_, ": another rank speaks another version of this library");
    const bool fits = theirs.size == size_ && theirs.rank >= 0 && theirs.rank < size_ &&
                      (expected < 0 ? theirs.rank > rank_ : theirs.rank == expected) &&
                      segments_[theirs.rank].data() == nullptr;
    DS_CHECK(fits, CommError, "[transport.host_group] rank ", rank_, " of ", size_, ": got rank ", theirs.rank, " of ",
             theirs.size, " under the same name. Do two groups share it?");
    segments_[theirs.rank] = SharedSegment::map(std::move(packet->file), layout_.bytes);
    return theirs.rank;
  };
  for (int left = size_ - 1 - rank_; left > 0; --left) {
    auto socket = listener.accept(deadline);
    DS_CHECK(socket, CommError, "[transport.host_group] rank ", rank_, " of ", size_, ": ", left,
             " ranks above it did not come within ", options.timeout.count() / 1000, " s");
    const int peer = take(*socket, "a rank above it said nothing", -1);
    peers_[peer].socket = std::move(*socket);
    peers_[peer].socket.send(bytes_of(mine), file);
  }
  for (int peer = 0; peer < rank_; ++peer) take(peers_[peer].socket, "a rank below it said nothing", peer);
}

bool HostGroup::is_forked() const { return ::getpid() != pid_; }

HostGroup::~HostGroup() {
  if (!is_forked()) leave();
}

void HostGroup::leave() noexcept {
  Presence there = Presence::kThere;
  control(rank_).presence.compare_exchange_strong(there, Presence::kLeft);
  for (int peer = 0; peer < size_; ++peer) {
    if (peer != rank_ && segments_[peer].data() != nullptr) control(peer).bell.ring();
  }
}

bool HostGroup::is_alive(int peer) const {
  if (control(peer).process == number_of_this_process()) return true;  // one's own locks are no obstacle
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return ::fcntl(segments_[peer].descriptor(), F_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

const std::byte* HostGroup::message_data_of(int peer, const Descriptor& descriptor) const {
  DS_CHECK(descriptor.offset + descriptor.bytes <= static_cast<uint64_t>(layout_.message_staging_bytes), CommError,
           "[transport.host_group] rank ", peer, " sent a message beyond its memory");
  return segments_[peer].data() + layout_.message_staging(rank_) + descriptor.offset;
}

const std::byte* HostGroup::data_of(int peer, const Descriptor& descriptor) {
  const std::byte* base = segments_[peer].data() + layout_.staging;
  int64_t bytes = layout_.staging_bytes;
  if (descriptor.block != 0) {
    auto& blocks = peers_[peer].blocks;
    auto found = blocks.find(descriptor.block);
    while (found == blocks.end()) {  // its notice was sent before the descriptor
      DS_CHECK(read_notice(peer, Clock::now() + std::chrono::seconds(10)), CommError, "[transport.host_group] rank ",
               peer, " did not hand over block ", descriptor.block);
      found = blocks.find(descriptor.block);
    }
    base = found->second.data();
    bytes = found->second.bytes();
  }
  DS_CHECK(descriptor.offset + descriptor.bytes <= static_cast<uint64_t>(bytes), CommError,
           "[transport.host_group] rank ", peer, " pointed beyond its memory");
  return base + descriptor.offset;
}

bool HostGroup::read_notice(int peer, Clock::time_point deadline) {
  Notice notice{};
  auto packet = peers_[peer].socket.receive(room_of(notice), deadline);
  if (!packet) return false;
  ++peers_[peer].notices;
  const auto number = static_cast<uint32_t>(notice.number);
  peers_[peer].blocks.erase(number);
  if (notice.bytes > 0) {
    SharedSegment block = SharedSegment::map(std::move(packet->file), notice.bytes);
    block.close_descriptor();
    peers_[peer].blocks.emplace(number, std::move(block));
  }
  return true;
}

void HostGroup::follow_notices() {
  for (int peer = 0; peer < size_; ++peer) {
    if (peer == rank_) continue;
    const uint64_t sent = control(peer).notices.load(std::memory_order_acquire);
    while (peers_[peer].notices < sent && read_notice(peer, Clock::now() + std::chrono::seconds(10))) {
    }
  }
}

HostGroup::Block HostGroup::share(int64_t bytes) {
  DS_CHECK(!is_forked(), CommError,
           "[transport.host_group] this process was forked after its process group was made, "
           "and shares no memory in it. Use the group only in the process that made it.");
  Block block{.segment = SharedSegment::create(bytes), .number = 0};
  const std::lock_guard lock(mutex_);
  block.number = ++blocks_shared_;
  tell(bytes, block.number, block.segment.descriptor());
  block.segment.close_descriptor();
  return block;
}

void HostGroup::unshare(uint32_t number) noexcept {
  if (is_forked()) return;
  const std::lock_guard lock(mutex_);
  try {
    tell(0, number, -1);
  } catch (const CommError&) {
    // It stays mapped there; nothing of it is read any more.
  }
}

void HostGroup::tell(int64_t bytes, uint32_t number, int file) {
  const Notice notice{.bytes = bytes, .number = number};
  for (int peer = 0; peer < size_; ++peer) {
    if (peer != rank_) peers_[peer].socket.send(bytes_of(notice), file);  // who has ended needs none
  }
  control(rank_).notices.fetch_add(1, std::memory_order_release);
}

}  // namespace deepspeed::transport
