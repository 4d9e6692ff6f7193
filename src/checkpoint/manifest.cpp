// Text and back. The text is JSON with one entry a line; only the first line's checksum needs a fixed form.
#include "checkpoint/manifest.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>
#include <set>
#include <utility>

#include "checkpoint/intersect.h"
#include "checkpoint/manifest_fields.h"
#include "deepspeed/error.h"
#include "io/crc32c.h"

namespace deepspeed::checkpoint {
namespace {

constexpr const char* kFormat = "deepspeed-cpp";
constexpr std::string_view kChecksumPrefix = "{\"crc32c\":\"";
constexpr std::string_view kChecksumSuffix = "\",\n";
constexpr size_t kChecksumDigits = 8;
constexpr int64_t kMaxInteger = std::numeric_limits<int64_t>::max();

std::string checksum_text(uint32_t crc) {
  std::array<char, kChecksumDigits + 1> digits{};
  std::snprintf(digits.data(), digits.size(), "%08x", crc);
  return digits.data();
}

std::string context_of(const std::string& source) { return concat("[checkpoint.manifest] ", source, ": "); }

std::string context_of(const Entry& entry, const std::string& source) {
  return concat(context_of(source), "entry '", entry.name, "', state '", entry.state, "': ");
}

Json entry_json(const Entry& entry) {
  return {{"name", entry.name},
          {"state", entry.state},
          {"dtype", std::string(io::element_type_name(entry.type))},
          {"global_shape", entry.global_shape},
          {"box", {{"offset", entry.box.offset}, {"extent", entry.box.extent}}},
          {"range", {entry.range.begin, entry.range.end}},
          {"file", entry.file},
          {"key", entry.key},
          {"crc32c", entry.crc32c}};
}

Entry parse_entry(const Json& json, size_t index, const std::string& source) {
  ManifestFields fields(json, concat(context_of(source), "entry ", index, ": "));
  Entry entry;
  entry.name = fields.text("name");
  entry.state = fields.text("state");
  const auto type = io::parse_element_type(fields.text("dtype"));
  if (!type) fields.fail(concat("'", entry.name, "' has the unknown dtype '", fields.text("dtype"), "'"));
  entry.type = *type;
  entry.global_shape = fields.integers("global_shape");
  ManifestFields box(fields.object("box"),
                     concat(context_of(source), "the box of entry ", index, " ('", entry.name, "'): "));
  entry.box = {box.integers("offset"), box.integers("extent")};
  box.expect_no_other();
  const auto range = fields.integers("range");
  if (range.size() != 2) fields.fail(concat("the range of '", entry.name, "' is not [begin, end]"));
  entry.range = {range[0], range[1]};
  entry.file = fields.text("file");
  entry.key = fields.text("key");
  entry.crc32c = fields.checksum("crc32c");
  fields.expect_no_other();
  return entry;
}

std::vector<Entry> parse_entries(const Json& array, const std::string& source) {
  std::vector<Entry> entries;
  entries.reserve(array.size());
  for (const auto& item : array) entries.push_back(parse_entry(item, entries.size(), source));
  return entries;
}

std::map<std::string, std::string> parse_texts(const Json& object, const char* field, const std::string& source) {
  std::map<std::string, std::string> texts;
  for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
    DS_CHECK(value.is_string(), CheckpointError, context_of(source), field, ": the value of '", key, "' is not a text");
    texts[key] = value.get<std::string>();
  }
  return texts;
}

FileRecord parse_record(ManifestFields& fields) {
  return {static_cast<uint64_t>(fields.integer("bytes", 0, kMaxInteger)), fields.checksum("header_crc32c")};
}

std::map<std::string, FileRecord> parse_files(const Json& object, const std::string& source) {
  std::map<std::string, FileRecord> files;
  for (const auto& [name, value] : object.get_ref<const Json::object_t&>()) {
    ManifestFields fields(value, concat(context_of(source), "file '", name, "': "));
    files[name] = parse_record(fields);
    fields.expect_no_other();
  }
  return files;
}

Json parse_json(std::string_view text, const std::string& source) {
  try {
    return io::parse_json_text(text);
  } catch (const ValueError& error) {
    throw CheckpointError(concat(context_of(source), error.what(), ". The file is damaged or no manifest."));
  }
}

void check_checksum(std::string_view text, const std::string& source) {
  const size_t begin = kChecksumPrefix.size() + kChecksumDigits;
  const bool has_checksum = text.size() > begin + kChecksumSuffix.size() && text.starts_with(kChecksumPrefix) &&
                            text.substr(begin, kChecksumSuffix.size()) == kChecksumSuffix;
  DS_CHECK(has_checksum, CheckpointError, context_of(source),
           "it does not start with its checksum. The file is damaged, was edited, or is no manifest.");
  const auto stated = text.substr(kChecksumPrefix.size(), kChecksumDigits);
  const auto body = text.substr(begin + kChecksumSuffix.size());
  const auto found = checksum_text(io::crc32c(body.data(), body.size()));
  DS_CHECK(stated == found, CheckpointError, context_of(source), "its checksum is ", found, ", its first line says ",
           stated, ". The file is damaged or was edited.");
}

// A manifest may name files beside itself only.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

using TensorId = std::pair<std::string, std::string>;  // name, state

void check_entries(const Manifest& manifest, const std::string& source) {
  std::map<TensorId, const Entry*> first_of;
  for (const auto& entry : manifest.entries) {
    const auto context = [&] { return context_of(entry, source); };
    const auto error = find_geometry_error(entry.global_shape, entry.type, entry.box, entry.range);
    DS_CHECK(error.empty(), CheckpointError, context(), error);
    DS_CHECK(manifest.files.count(entry.file) == 1, CheckpointError, context(), "its file '", entry.file,
             "' is not in the list of files");
    const auto& first = *first_of.emplace(TensorId{entry.name, entry.state}, &entry).first->second;
    DS_CHECK(first.global_shape == entry.global_shape && first.type == entry.type, CheckpointError, context(),
             "two entries disagree: ", io::element_type_name(first.type), " ", io::shape_text(first.global_shape),
             " and ", io::element_type_name(entry.type), " ", io::shape_text(entry.global_shape));
  }
}

void check_aliases(const Manifest& manifest, const std::string& source) {
  std::set<std::string> names;
  for (const auto& entry : manifest.entries) names.insert(entry.name);
  for (const auto& [alias, owner] : manifest.aliases) {
    DS_CHECK(names.count(owner) == 1, CheckpointError, context_of(source), "the alias '", alias, "' stands for '",
             owner, "', which has no entry");
    DS_CHECK(names.count(alias) == 0, CheckpointError, context_of(source), "'", alias,
             "' is an alias and has entries of its own");
  }
}

}  // namespace

void check_manifest(const Manifest& manifest, const std::string& source) {
  for (const auto& file : manifest.files) {
    DS_CHECK(is_plain_file_name(file.first), CheckpointError, context_of(source), "'", file.first,
             "' is not the name of a file beside the manifest");
  }
  check_entries(manifest, source);
  check_aliases(manifest, source);
  check_typed_json(manifest.state, "state");
  std::set<std::string> extras;
  for (const auto& entry : manifest.entries) {
    if (entry.state == kExtraState) extras.insert(entry.name);
  }
  for (const auto& name : tensor_references(manifest.state)) {
    DS_CHECK(extras.count(name) == 1, CheckpointError, context_of(source), "state refers to the tensor '", name,
             "', which has no entry with state '", kExtraState, "'");
  }
}

void check_coverage(const Manifest& manifest, const std::string& source) {
  std::map<TensorId, std::vector<const Entry*>> entries_of;
  for (const auto& entry : manifest.entries) entries_of[{entry.name, entry.state}].push_back(&entry);
  std::string problems;
  int shown = 0;
  for (const auto& [id, entries] : entries_of) {
    const Box whole = whole_box(entries.front()->global_shape);
    std::vector<Piece> pieces;
    for (const auto* entry : entries) pieces.push_back({entry->box, entry->range});
    const auto missing = plan_copies({whole, {0, numel(whole)}}, pieces).missing;
    if (missing.empty() || ++shown > 5) continue;
    problems += concat(shown == 1 ? "" : "; ", "'", id.first, "', state '", id.second, "', from element ",
                       missing.front().begin, " to ", missing.front().end, " of ", numel(whole));
  }
  DS_CHECK(shown == 0, CheckpointError, context_of(source), "no rank wrote these elements: ", problems);
}

std::string manifest_text(const Manifest& manifest) {
  Json versions = {{"manifest", std::to_string(kManifestVersion)}};
  for (const auto& [program, version] : manifest.versions) versions[program] = version;
  Json files = Json::object();
  for (const auto& [name, record] : manifest.files) {
    files.push_back({name, Json{{"bytes", record.bytes}, {"header_crc32c", record.header_crc32c}}});
  }
  std::string body = concat("\"format\":\"", kFormat, "\",\n\"versions\":", versions.dump(),
                            ",\n\"saved_unix_ms\":", manifest.saved_unix_ms, ",\n\"world\":", manifest.world,
                            ",\n\"files\":", files.dump(), ",\n\"aliases\":", Json(manifest.aliases).dump(),
                            ",\n\"state\":", manifest.state.dump(), ",\n\"entries\":[");
  for (size_t i = 0; i < manifest.entries.size(); ++i) {
    body += i == 0 ? "\n" : ",\n";
    body += entry_json(manifest.entries[i]).dump();
  }
  body += "\n]}\n";
  return concat(kChecksumPrefix, checksum_text(io::crc32c(body.data(), body.size())), kChecksumSuffix, body);
}

Manifest parse_manifest(std::string_view text, const std::string& source) {
  check_checksum(text, source);
  const Json json = parse_json(text, source);
  ManifestFields fields(json, context_of(source));
  fields.text("crc32c");
  if (fields.text("format") != kFormat)
    fields.fail(concat("the format is '", fields.text("format"), "', expected '", kFormat, "'"));
  Manifest manifest;
  manifest.versions = parse_texts(fields.object("versions"), "versions", source);
  const auto version = manifest.versions.extract("manifest");
  if (version.empty() || version.mapped() != std::to_string(kManifestVersion)) {
    fields.fail(concat("it is of version '", version.empty() ? "" : version.mapped(), "', this build reads version ",
                       kManifestVersion, ". Load it with the program that wrote it, or update this one."));
  }
  manifest.saved_unix_ms = fields.integer("saved_unix_ms", 0, kMaxInteger);
  manifest.world = static_cast<int>(fields.integer("world", 1, std::numeric_limits<int>::max()));
  manifest.files = parse_files(fields.object("files"), source);
  manifest.aliases = parse_texts(fields.object("aliases"), "aliases", source);
  manifest.state = fields.value("state");
  manifest.entries = parse_entries(fields.array("entries"), source);
  fields.expect_no_other();
  check_manifest(manifest, source);
  return manifest;
}

std::string rank_report_text(const RankReport& report) {
  Json entries = Json::array();
  for (const auto& entry : report.entries) entries.push_back(entry_json(entry));
  const Json json = {{"rank", report.rank},
                     {"file", report.file},
                     {"bytes", report.record.bytes},
                     {"header_crc32c", report.record.header_crc32c},
                     {"entries", std::move(entries)}};
  return json.dump();
}

RankReport parse_rank_report(std::string_view text, const std::string& source) {
  const Json json = parse_json(text, source);
  ManifestFields fields(json, context_of(source));
  RankReport report;
  report.rank = static_cast<int>(fields.integer("rank", 0, std::numeric_limits<int>::max()));
  report.file = fields.text("file");
  report.record = parse_record(fields);
  report.entries = parse_entries(fields.array("entries"), source);
  fields.expect_no_other();
  return report;
}

}  // namespace deepspeed::checkpoint
