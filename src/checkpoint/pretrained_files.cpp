// The index is checked against the files: what it names must be there.
#include "checkpoint/pretrained_files.h"

#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include "checkpoint/element_conversion.h"
#include "core/file.h"
#include "deepspeed/error.h"
#include "io/json_text.h"

namespace deepspeed::checkpoint {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingleFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr int64_t kChunkBytes = int64_t{1} << 20;  // of file bytes that wait for their conversion

using WeightMap = std::map<std::string, std::string>;  // key to file name

WeightMap read_index(const fs::path& index) {
  const std::string context = concat("[checkpoint.pretrained] ", index.string(), ": ");
  io::Json json;
  try {
    json = io::parse_json_text(core::read_file(index));
  } catch (const ValueError& error) {
    throw CheckpointError(concat(context, "it is damaged: ", error.what()));
  }
  const auto found = json.is_object() ? json.find("weight_map") : json.end();
  DS_CHECK(json.is_object() && found != json.end() && found->is_object(), CheckpointError, context,
           "it has no object \"weight_map\"");
  WeightMap map;
  for (const auto& item : found->items()) {
    DS_CHECK(item.value().is_string(), CheckpointError, context, "the file of '", item.key(), "' is no string");
    const std::string name = item.value().get<std::string>();
    DS_CHECK(!name.empty() && fs::path(name).filename() == name && name != "..", CheckpointError, context, "'", name,
             "', which should hold '", item.key(), "', is no name of a file beside it");
    map[item.key()] = name;
  }
  return map;
}

/// What a user has in place of safetensors files, and what to do.
std::string what_is_there(const fs::path& folder) {
  std::set<std::string> pickles;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string extension = entry->path().extension().string();
    if (extension == ".bin" || extension == ".pt" || extension == ".pth")
      pickles.insert(entry->path().filename().string());
  }
  if (pickles.empty()) return "Give the folder that save_pretrained wrote.";
  return concat("It has ", *pickles.begin(),
                ", a pickle, which is not read because it could run code. Load it with from_pretrained and save it "
                "with save_pretrained, which writes safetensors.");
}

}  // namespace

PretrainedFiles PretrainedFiles::open(const fs::path& folder) {
  if (fs::is_regular_file(folder)) return PretrainedFiles({folder});
  DS_CHECK(fs::is_directory(folder), CheckpointError, "[checkpoint.pretrained] ", folder.string(),
           " does not exist or is no folder.");
  if (fs::exists(folder / kSingleFile)) return PretrainedFiles({folder / kSingleFile});
  const fs::path index = folder / kIndexFile;
  DS_CHECK(fs::exists(index), CheckpointError, "[checkpoint.pretrained] ", folder.string(), " has neither ",
           kSingleFile, " nor ", kIndexFile, ". ", what_is_there(folder));
  const WeightMap map = read_index(index);
  std::set<std::string> names;
  for (const auto& [key, file] : map) names.insert(file);
  std::vector<fs::path> paths;
  for (const std::string& name : names) {
    DS_CHECK(fs::exists(folder / name), CheckpointError, "[checkpoint.pretrained] ", index.string(), " names ", name,
             ", which does not exist. Copy all files of the model.");
    paths.push_back(folder / name);
  }
  PretrainedFiles files(paths);
  for (const auto& [key, file] : map) {
    const auto found = files.tensors_.find(key);
    DS_CHECK(found != files.tensors_.end() && paths[found->second.file].filename() == file, CheckpointError,
             "[checkpoint.pretrained] ", index.string(), " says that '", key, "' is in ", file, ", but it is not.");
  }
  return files;
}

PretrainedFiles::PretrainedFiles(const std::vector<fs::path>& paths)
    : where_(paths.size() == 1 ? paths.front().string()
             : paths.empty()   ? ""
                               : paths.front().parent_path().string()) {
  for (const fs::path& path : paths) {
    const io::SafetensorsFile& file = files_.emplace_back(path);
    bytes_read_ += file.header().bytes;
    for (const io::SafetensorsTensor& tensor : file.header().tensors) {
      const auto [known, added] =
          tensors_.emplace(tensor.key, StoredTensor{files_.size() - 1, tensor.type, tensor.shape, tensor.offset});
      DS_CHECK(added, CheckpointError, "[checkpoint.pretrained] '", tensor.key, "' is in ",
               files_[known->second.file].path().string(), " and in ", path.string(), ": which one counts?");
    }
  }
}

void PretrainedFiles::read(const PretrainedRead& read, void* out) {
  const io::SafetensorsFile& file = files_.at(read.file);
  const int64_t from_bytes = io::element_bytes(read.from);
  bytes_read_ += static_cast<uint64_t>(read.numel * from_bytes);
  if (read.from == read.to) {
    file.read(read.offset, out, static_cast<uint64_t>(read.numel * from_bytes));
    return;
  }
  const int64_t chunk = std::min(read.numel, kChunkBytes / from_bytes);
  std::vector<std::byte> waiting(static_cast<size_t>(chunk * from_bytes));
  for (int64_t done = 0; done < read.numel; done += chunk) {
    const int64_t numel = std::min(chunk, read.numel - done);
    file.read(read.offset + static_cast<uint64_t>(done * from_bytes), waiting.data(),
              static_cast<uint64_t>(numel * from_bytes));
    convert_elements(read.from, waiting.data(), read.to,
                     static_cast<std::byte*>(out) + done * io::element_bytes(read.to), numel);
  }
}

}  // namespace deepspeed::checkpoint
