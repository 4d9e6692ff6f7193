// Prefixes, and who stands at the cursor.
#include "launcher/output_merger.h"

#include <array>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";
constexpr std::string_view kResetColour = "\x1b[0m";
constexpr std::array<std::string_view, 6> kColours = {"\x1b[36m", "\x1b[33m", "\x1b[32m",
                                                      "\x1b[35m", "\x1b[34m", "\x1b[31m"};

}  // namespace

std::string OutputMerger::prefix(int rank) const {
  const auto index = static_cast<size_t>(rank);
  if (index >= options_.host_of_rank.size()) return concat("[rank ", rank, "] ");
  return concat("[", options_.host_of_rank[index], ":", rank, "] ");
}

std::string OutputMerger::prefix(const std::vector<int>& ranks) const {
  if (ranks.size() == 1) return prefix(ranks.front());
  const auto host_of = [&](int rank) {
    const auto index = static_cast<size_t>(rank);
    return index < options_.host_of_rank.size() ? options_.host_of_rank[index] : "";
  };
  std::string text = "[";
  for (size_t i = 0; i < ranks.size();) {
    const std::string host = host_of(ranks[i]);
    size_t end = i + 1;
    while (end < ranks.size() && ranks[end] == ranks[end - 1] + 1 && host_of(ranks[end]) == host) ++end;
    if (i == 0 || host_of(ranks[i - 1]) != host) {
      text += concat(i == 0 ? "" : " ", host.empty() ? "ranks " : host + ":");
    } else {
      text += ",";
    }
    text += end - i == 1 ? concat(ranks[i]) : concat(ranks[i], "-", ranks[end - 1]);
    i = end;
  }
  return text + "] ";
}

std::string OutputMerger::marked(int rank, const std::string& prefix, std::string_view text) const {
  if (!options_.with_colour) return concat(prefix, text);
  return concat(kColours[static_cast<size_t>(rank) % kColours.size()], prefix, kResetColour, text);
}

void OutputMerger::write(const LineSource& source, const Line& line) {
  if (options_.is_terminal) {
    write_to_terminal(source, prefix(source.rank), line);
  } else {
    write_to_file(source, prefix(source.rank), line);
  }
}

void OutputMerger::write_shared(const std::vector<int>& ranks, int channel, std::string_view text) {
  const LineSource source{ranks.front(), channel};
  if (options_.is_terminal) {
    write_to_terminal(source, prefix(ranks), {text, LineEnd::kNewline});
  } else {
    write_to_file(source, prefix(ranks), {text, LineEnd::kNewline});
  }
}

void OutputMerger::write_to_file(const LineSource& source, const std::string& prefix, const Line& line) {
  const bool goes_on = is_continued_ && open_ == source;
  std::string out = is_after_other(source) ? "\n" : "";
  out += goes_on ? std::string(line.text) : marked(source.rank, prefix, line.text);
  if (line.end == LineEnd::kNewline) out += '\n';
  if (line.end == LineEnd::kReturn) out += '\r';
  open_.reset();
  if (line.end != LineEnd::kNewline) open_ = source;
  is_continued_ = line.end == LineEnd::kNone;
  sink_(out);
}

void OutputMerger::write_to_terminal(const LineSource& source, const std::string& prefix, const Line& line) {
  const bool is_live = source.rank == options_.live_rank;
  if (line.end == LineEnd::kReturn) {
    if (is_live) show_begun(source, line.text);  // other ranks' bars are drawn over at once: show their end only
    return;
  }
  const bool goes_on = is_continued_ && open_ == source;
  std::string out;
  if (open_ && !goes_on) out = is_continued_ ? "\n" : std::string(kEraseLine);
  out += goes_on ? std::string(line.text) : marked(source.rank, prefix, line.text);
  is_continued_ = line.end == LineEnd::kNone;
  open_.reset();
  if (is_live || is_continued_) shown_.clear();
  if (is_continued_) {
    open_ = source;
  } else {
    out += '\n';
    if (!shown_.empty()) {
      out += marked(options_.live_rank, shown_);
      open_ = shown_source_;
    }
  }
  sink_(out);
}

void OutputMerger::show_begun(const LineSource& source, std::string_view text) {
  if (!options_.is_terminal || source.rank != options_.live_rank || text.empty() || text == shown_) return;
  if (is_continued_) return;  // a long line in pieces: the rest comes with its next piece
  if (!shown_.empty() && text.starts_with(shown_)) {
    sink_(text.substr(shown_.size()));
  } else {
    sink_(concat(open_ ? kEraseLine : "", marked(source.rank, text)));
  }
  shown_ = text;
  shown_source_ = source;
  open_ = source;
}

void OutputMerger::finish() {
  if (open_) sink_("\n");
  open_.reset();
  is_continued_ = false;
  shown_.clear();
}

}  // namespace deepspeed::launcher
