// Opening checks the manifest and the files' sizes; data are checked when they are touched.
#include "checkpoint/reader.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <system_error>

#include "checkpoint/element_conversion.h"
#include "checkpoint/tag_folder.h"
#include "core/file.h"
#include "core/log.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

std::string list_text(const std::vector<std::string>& items) {
  constexpr size_t kShown = 10;
  std::string text;
  for (size_t i = 0; i < std::min(items.size(), kShown); ++i) text += concat(i == 0 ? "'" : ", '", items[i], "'");
  if (items.size() > kShown) text += concat(" and ", items.size() - kShown, " more");
  return text;
}

// What a user can do after a tag could not be opened.
std::string remedy(const fs::path& folder) {
  const auto tags = complete_tags(folder);
  if (tags.empty()) return concat(" ", folder.string(), " holds no complete checkpoint.");
  return concat(" Complete tags there, newest first: ", list_text(tags), ". Load the newest with load_checkpoint(\"",
                folder.string(), "\", tag=\"", tags.front(), "\").");
}

bool holds_deepspeed_files(const fs::path& path) {
  std::error_code error;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    if (entry->path().filename().string().ends_with("_model_states.pt")) return true;
  }
  return false;
}

Manifest read_manifest(const fs::path& path) {
  const fs::path file = path / kManifestFile;
  if (!fs::exists(file)) {
    throw CheckpointError(concat("[checkpoint] ", path.string(), " has no ", kManifestFile,
                                 holds_deepspeed_files(path) ? ": it was written by DeepSpeed, in another format."
                                                             : ": it is no checkpoint or was never completed."));
  }
  Manifest manifest = parse_manifest(core::read_file(file), file.string());
  for (const auto& [name, record] : manifest.files) {
    std::error_code error;
    const auto bytes = fs::file_size(path / name, error);
    DS_CHECK(!error, CheckpointError, "[checkpoint] ", (path / name).string(), " cannot be read (", error.message(),
             "), but the manifest lists it. The checkpoint is torn.");
    DS_CHECK(bytes == record.bytes, CheckpointError, "[checkpoint] ", (path / name).string(), " has ", bytes,
             " bytes, the manifest says ", record.bytes, ". The checkpoint is torn.");
  }
  return manifest;
}

struct CompleteTag {
  int64_t saved_unix_ms;
  std::string tag;
  bool operator<(const CompleteTag& other) const {
    return saved_unix_ms != other.saved_unix_ms ? saved_unix_ms > other.saved_unix_ms : tag > other.tag;
  }
};

}  // namespace

std::vector<std::string> complete_tags(const fs::path& folder) {
  std::vector<CompleteTag> found;
  for (const auto& tag : list_tags(folder)) {
    const auto path = find_tag_folder(folder, tag);
    if (!path) continue;
    try {
      found.push_back({read_manifest(*path).saved_unix_ms, tag});
    } catch (const Error&) {  // the question is which tags are complete: this one is not
    }
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> tags;
  tags.reserve(found.size());
  for (auto& complete : found) tags.push_back(std::move(complete.tag));
  return tags;
}

std::optional<std::string> newest_complete_tag(const fs::path& folder) {
  auto tags = complete_tags(folder);
  if (tags.empty()) return std::nullopt;
  return std::move(tags.front());
}

CheckpointReader CheckpointReader::open(const fs::path& folder, std::optional<std::string> tag) {
  DS_CHECK(fs::is_directory(folder), CheckpointError, "[checkpoint] ", folder.string(),
           " does not exist or is no folder.");
  if (tag) check_tag(*tag);
  if (!tag) tag = read_latest(folder);
  DS_CHECK(tag.has_value(), CheckpointError, "[checkpoint] ", (folder / kLatestFile).string(),
           " does not exist, and no tag was given.", remedy(folder));
  const auto path = find_tag_folder(folder, *tag);
  DS_CHECK(path.has_value(), CheckpointError, "[checkpoint] there is no tag '", *tag, "' in ", folder.string(), ".",
           remedy(folder));
  if (*path != tag_folder(folder, *tag)) {
    core::log_warning("[checkpoint] a save of '", *tag, "' was interrupted; reading the one before, ", path->string());
  }
  std::string problem;
  try {
    return CheckpointReader(folder, *tag, *path, read_manifest(*path));
  } catch (const CheckpointError& error) {
    problem = error.what();
  } catch (const IoError& error) {
    problem = error.what();
  }
  throw CheckpointError(concat(problem, remedy(folder)));
}

CheckpointReader::CheckpointReader(fs::path folder, std::string tag, fs::path path, Manifest manifest)
    : folder_(std::move(folder)),
      tag_(std::move(tag)),
      path_(std::move(path)),
      manifest_(std::move(manifest)),
      is_verified_(manifest_.entries.size(), false) {
  std::set<std::string> seen;
  for (size_t i = 0; i < manifest_.entries.size(); ++i) {
    const Entry& entry = manifest_.entries[i];
    if (seen.insert(entry.name).second) names_.push_back(entry.name);
    Tensor& tensor = tensors_[{entry.name, entry.state}];
    tensor.entries.push_back(i);
    tensor.pieces.push_back({entry.box, entry.range});
  }
}

const std::string& CheckpointReader::resolve(const std::string& name) const {
  const auto alias = manifest_.aliases.find(name);
  return alias == manifest_.aliases.end() ? name : alias->second;
}

const CheckpointReader::Tensor& CheckpointReader::find(const std::string& name, const std::string& state) const {
  const auto found = tensors_.find({resolve(name), state});
  if (found != tensors_.end()) return found->second;
  const auto known = states(name);
  throw CheckpointError(
      concat("[checkpoint] ", path_.string(), " has no '", name, "' with state '", state, "'",
             known.empty() ? ", nor any other state of it." : concat("; it has ", list_text(known), ".")));
}

std::vector<std::string> CheckpointReader::states(const std::string& name) const {
  std::vector<std::pair<size_t, std::string>> found;
  const std::string& owner = resolve(name);
  for (auto tensor = tensors_.lower_bound({owner, ""}); tensor != tensors_.end() && tensor->first.first == owner;
       ++tensor) {
    found.emplace_back(tensor->second.entries.front(), tensor->first.second);
  }
  std::sort(found.begin(), found.end());
  std::vector<std::string> names;
  names.reserve(found.size());
  for (auto& state : found) names.push_back(std::move(state.second));
  return names;
}

bool CheckpointReader::has(const std::string& name, const std::string& state) const {
  return tensors_.count({resolve(name), state}) == 1;
}

const std::vector<int64_t>& CheckpointReader::global_shape(const std::string& name, const std::string& state) const {
  return manifest_.entries[find(name, state).entries.front()].global_shape;
}

io::ElementType CheckpointReader::type(const std::string& name, const std::string& state) const {
  return manifest_.entries[find(name, state).entries.front()].type;
}

io::SafetensorsReader& CheckpointReader::data_file(const std::string& file) {
  auto& reader = files_[file];
  if (!reader) {
    const fs::path path = path_ / file;
    auto opened = std::make_unique<io::SafetensorsReader>(path);
    const FileRecord& record = manifest_.files.at(file);
    DS_CHECK(opened->file_bytes() == record.bytes && opened->header_crc32c() == record.header_crc32c, CheckpointError,
             "[checkpoint] ", path.string(), ": the header's checksum is ", opened->header_crc32c(),
             ", the manifest says ", record.header_crc32c, ". The file is damaged.", remedy(folder_));
    reader = std::move(opened);
  }
  return *reader;
}

const std::byte* CheckpointReader::verified_data(size_t entry_index) {
  const Entry& entry = manifest_.entries[entry_index];
  const io::SafetensorsReader& file = data_file(entry.file);
  const auto context = [&] {
    return concat("[checkpoint] ", (path_ / entry.file).string(), ": tensor '", entry.key, "' (parameter '", entry.name,
                  "', state '", entry.state, "')");
  };
  const auto* tensor = file.find(entry.key);
  DS_CHECK(tensor != nullptr, CheckpointError, context(), " is not in the file.", remedy(folder_));
  const auto bytes = static_cast<uint64_t>(entry.range.numel() * io::element_bytes(entry.type));
  DS_CHECK(tensor->type == entry.type && tensor->bytes == bytes, CheckpointError, context(), " is ",
           io::element_type_name(tensor->type), " of ", tensor->bytes, " bytes, the manifest says ",
           io::element_type_name(entry.type), " of ", bytes, ".", remedy(folder_));
  const std::byte* data = file.data(*tensor);
  if (!is_verified_[entry_index]) {
    const uint32_t crc = io::crc32c(data, tensor->bytes);
    DS_CHECK(crc == entry.crc32c, CheckpointError, context(), ": its checksum is ", crc, ", the manifest says ",
             entry.crc32c, ". The data are damaged.", remedy(folder_));
    is_verified_[entry_index] = true;
  }
  return data;
}

void CheckpointReader::read(const std::string& name, const std::string& state, const Box& box, Range range, void* out,
                            io::ElementType out_type) {
  const Tensor& tensor = find(name, state);
  const Entry& first = manifest_.entries[tensor.entries.front()];
  const auto error = find_geometry_error(first.global_shape, first.type, box, range);
  DS_CHECK(error.empty(), ValueError, "[checkpoint] reading '", name, "', state '", state, "': ", error);
  DS_CHECK(is_convertible(first.type, out_type), CheckpointError, "[checkpoint] ", path_.string(), ": '", name,
           "', state '", state, "' is ", io::element_type_name(first.type), " and cannot become ",
           io::element_type_name(out_type));
  const CopyPlan plan = plan_copies({box, range}, tensor.pieces);
  if (!plan.missing.empty()) {
    const Range gap = plan.missing.front();
    throw CheckpointError(concat("[checkpoint] ", path_.string(), " lacks elements ", range.begin + gap.begin, " to ",
                                 range.begin + gap.end, plan.missing.size() > 1 ? " and others" : "", " of the box at ",
                                 io::shape_text(box.offset), " of extent ", io::shape_text(box.extent), " of '", name,
                                 "', state '", state, "'.", remedy(folder_)));
  }
  const int64_t from_bytes = io::element_bytes(first.type);
  const int64_t to_bytes = io::element_bytes(out_type);
  for (const Copy& copy : plan.copies) {
    const std::byte* source = verified_data(tensor.entries[copy.source]) + copy.source_begin * from_bytes;
    std::byte* destination = static_cast<std::byte*>(out) + copy.destination_begin * to_bytes;
    convert_elements(first.type, source, out_type, destination, copy.count);
  }
}

std::vector<std::byte> CheckpointReader::read_whole(const std::string& name, const std::string& state) {
  const Box box = whole_box(global_shape(name, state));
  const io::ElementType stored = type(name, state);
  std::vector<std::byte> bytes(static_cast<size_t>(numel(box) * io::element_bytes(stored)));
  read(name, state, box, {0, numel(box)}, bytes.data(), stored);
  return bytes;
}

std::vector<std::string> CheckpointReader::find_damage() {
  std::vector<std::string> problems;
  std::set<std::string> broken_files;
  for (const auto& file : manifest_.files) {
    try {
      data_file(file.first);
    } catch (const Error& error) {
      problems.emplace_back(error.what());
      broken_files.insert(file.first);
    }
  }
  for (size_t i = 0; i < manifest_.entries.size(); ++i) {
    if (broken_files.count(manifest_.entries[i].file) == 1) continue;
    try {
      verified_data(i);
    } catch (const CheckpointError& error) {
      problems.emplace_back(error.what());
    }
  }
  return problems;
}

}  // namespace deepspeed::checkpoint
