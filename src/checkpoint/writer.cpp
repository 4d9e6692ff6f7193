// The order of steps is the whole point here; see [Note: Crash safety] in docs/checkpoint.md.
#include "checkpoint/writer.h"

#include <unistd.h>

#include <chrono>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "core/file.h"
#include "deepspeed/error.h"
#include "io/safetensors_writer.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

int64_t unix_time_ms() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

// A whole tensor keeps its shape, so that other programs can use the file; a part of one is flat.
std::vector<int64_t> stored_shape(const Entry& entry) {
  const bool is_whole_box = entry.range == Range{0, numel(entry.box)};
  return is_whole_box ? entry.box.extent : std::vector<int64_t>{entry.range.numel()};
}

std::string unique_key(const Entry& entry, std::unordered_set<std::string>& keys) {
  const std::string plain = entry.state == kWeightState ? entry.name : concat(entry.name, "/", entry.state);
  std::string key = plain;
  for (int count = 2; !keys.insert(key).second; ++count) key = concat(plain, "#", count);
  return key;
}

// With its missing ancestors. A new name lasts only once the folder that it is in was synced.
void create_lasting_folder(const fs::path& folder) {
  if (folder.empty() || fs::is_directory(folder)) return;
  create_lasting_folder(folder.parent_path());
  std::error_code error;
  fs::create_directory(folder, error);
  if (error) throw IoError(concat("[checkpoint] creating ", folder.string()), folder, error.value());
  core::sync_path(folder.has_parent_path() ? folder.parent_path() : fs::path("."));
}

}  // namespace

EntryDescription whole_tensor(std::string name, std::string state, io::ElementType type, std::vector<int64_t> shape) {
  const Box box = whole_box(shape);
  const Range range{0, numel(box)};
  return {std::move(name), std::move(state), type, std::move(shape), box, range};
}

CheckpointWriter::CheckpointWriter(fs::path folder, std::string tag, int rank, int world)
    : folder_(std::move(folder)), tag_(std::move(tag)), rank_(rank), world_(world), owner_(::getpid()) {
  check_tag(tag_);
  DS_CHECK(!folder_.empty(), ValueError, "[checkpoint.writer] the folder to save to is empty");
  DS_CHECK(rank_ >= 0 && rank_ < world_, ValueError, "[checkpoint.writer] rank ", rank_, " of ", world_);
}

CheckpointWriter::~CheckpointWriter() {
  if (!lock_ || owner_ != ::getpid()) return;
  std::error_code ignored;  // what stays is removed by the next save
  fs::remove_all(staging(), ignored);
}

void CheckpointWriter::prepare() {
  DS_INTERNAL_CHECK(rank_ == 0 && !lock_, "prepare() is for rank 0, once");
  const fs::path target = tag_folder(folder_, tag_);
  create_lasting_folder(target.parent_path());
  DS_CHECK(!fs::exists(target) || fs::is_directory(target), CheckpointError, "[checkpoint] ", target.string(),
           " exists and is no folder. Save under another tag or move it away.");
  clean_leftovers(folder_, tag_);
  DS_CHECK(!fs::exists(staging()), CheckpointError, "[checkpoint] ", staging().string(),
           " exists and is not ours to remove: another process saves the same tag right now, or the folder holds other "
           "files. Wait for it, or move the folder away.");
  std::error_code error;
  fs::create_directory(staging(), error);
  if (error) throw IoError(concat("[checkpoint] creating ", staging().string()), staging(), error.value());
  lock_ = StagingLock::try_acquire(staging());
  DS_CHECK(lock_.has_value(), CheckpointError, "[checkpoint] another process saves ", target.string(),
           " right now. Wait for it or save under another tag.");
  core::sync_path(target.parent_path());
}

void CheckpointWriter::add(EntryDescription description, const void* data) {
  const auto error =
      find_geometry_error(description.global_shape, description.type, description.box, description.range);
  DS_CHECK(error.empty(), ValueError, "[checkpoint.writer] '", description.name, "', state '", description.state,
           "': ", error);
  DS_CHECK(!description.name.empty() && !description.state.empty(), ValueError,
           "[checkpoint.writer] a tensor needs a name and a state, got '", description.name, "' and '",
           description.state, "'");
  DS_INTERNAL_CHECK(data != nullptr || description.range.numel() == 0, "'", description.name, "' has no data");
  pending_.push_back({Entry{std::move(description.name), std::move(description.state), description.type,
                            std::move(description.global_shape), std::move(description.box), description.range,
                            data_file_name(rank_), "", 0},
                      data});
}

std::string CheckpointWriter::write() {
  std::unordered_set<std::string> keys = {"__metadata__"};
  std::vector<io::TensorDeclaration> declarations;
  declarations.reserve(pending_.size());
  for (auto& pending : pending_) {
    pending.entry.key = unique_key(pending.entry, keys);
    declarations.push_back({pending.entry.key, pending.entry.type, stored_shape(pending.entry)});
  }
  io::SafetensorsWriter file(staging() / data_file_name(rank_), std::move(declarations));
  RankReport report{rank_, data_file_name(rank_), {file.file_bytes(), file.header_crc32c()}, {}};
  for (size_t i = 0; i < pending_.size(); ++i) {
    pending_[i].entry.crc32c = file.write(i, pending_[i].data);
    report.entries.push_back(std::move(pending_[i].entry));
  }
  pending_.clear();
  file.commit();
  return rank_report_text(report);
}

Manifest CheckpointWriter::make_manifest(const Commit& commit) const {
  const std::string source = (staging() / kManifestFile).string();
  Manifest manifest;
  manifest.versions = commit.versions;
  manifest.saved_unix_ms = unix_time_ms();
  manifest.world = world_;
  manifest.aliases = commit.aliases;
  manifest.state = commit.state;
  for (const auto& text : commit.reports) {
    auto report = parse_rank_report(text, "a rank's report");
    DS_CHECK(report.rank < world_ && manifest.files.emplace(report.file, report.record).second, CheckpointError,
             "[checkpoint.writer] ", source, ": the report of rank ", report.rank,
             " came twice or is of another world");
    for (auto& entry : report.entries) manifest.entries.push_back(std::move(entry));
  }
  DS_CHECK(manifest.files.size() == static_cast<size_t>(world_), CheckpointError, "[checkpoint.writer] ", source,
           ": got the reports of ", manifest.files.size(), " ranks, expected ", world_);
  check_manifest(manifest, source);
  check_coverage(manifest, source);
  return manifest;
}

void CheckpointWriter::check_files(const Manifest& manifest) const {
  for (const auto& [name, record] : manifest.files) {
    std::error_code error;
    const auto bytes = fs::file_size(staging() / name, error);
    DS_CHECK(!error && bytes == record.bytes, CheckpointError, "[checkpoint.writer] ", (staging() / name).string(),
             ": rank 0 cannot see the file that a rank wrote there. All ranks must save to one shared folder.");
  }
}

void CheckpointWriter::commit(const Commit& commit) {
  DS_INTERNAL_CHECK(rank_ == 0 && lock_, "commit() is for rank 0, after prepare()");
  const Manifest manifest = make_manifest(commit);
  check_files(manifest);
  core::write_file_atomically(staging() / kManifestFile, manifest_text(manifest));
  const auto replaced = publish(folder_, tag_);
  lock_.reset();  // from here on nothing of ours is to be removed by the destructor
  if (commit.update_latest) core::write_file_atomically(folder_ / kLatestFile, tag_);
  if (replaced) retire_folder(*replaced, tag_folder(folder_, tag_));
}

}  // namespace deepspeed::checkpoint
