// Parsing of hostfiles and of host filters.
#include "launcher/hostfile.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <variant>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr int kMostSlots = 4096;
constexpr std::string_view kBlanks = " \t\r\f\v";

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == std::string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

// The number at the front of `text`, which may go on after it.
std::optional<int> leading_number(std::string_view text) {
  int number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  return number;
}

// Where a line stops being what it should be, and what was expected there.
struct BadPlace {
  size_t at = 0;
  std::string expected;
};

bool is_host_character(char c) {
  constexpr std::string_view kOthers = "._-:%@[]";  // of IPv6 addresses and USER@HOST too
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != std::string_view::npos;
}

// `line` has no blanks at its ends and is not empty.
std::variant<Host, BadPlace> parse_line(std::string_view line) {
  constexpr std::string_view kSlots = "slots=";
  size_t at = 0;
  while (at < line.size() && is_host_character(line[at])) ++at;
  const std::string_view name = line.substr(0, at);
  if (name.empty() || (at < line.size() && kBlanks.find(line[at]) == std::string_view::npos)) {
    return BadPlace{at, "a host's name or address"};
  }
  if (name.front() == '-') return BadPlace{0, "a host's name or address, which does not begin with -"};
  at = std::min(line.find_first_not_of(kBlanks, at), line.size());
  if (!line.substr(at).starts_with(kSlots)) return BadPlace{at, "slots=N after the host"};
  at += kSlots.size();
  const auto count = leading_number(line.substr(at));
  const size_t end = std::min(line.find_first_not_of("0123456789", at), line.size());
  if (!count || *count > kMostSlots || end == at) {
    return BadPlace{at, concat("a number of slots from 0 to ", kMostSlots)};
  }
  if (end < line.size() && kBlanks.find(line[end]) == std::string_view::npos && line[end] != '#') {
    return BadPlace{end, "a blank or the end of the line after the number"};
  }
  Host host{std::string(name), std::vector<int>(static_cast<size_t>(*count))};
  std::iota(host.slots.begin(), host.slots.end(), 0);
  return host;
}

// Of the pool's names the longest that `text` begins with as a whole: it may hold @ and :, as me@node1 and fe80::1 do.
size_t pool_name_length(std::string_view text, const std::vector<Host>& pool) {
  size_t length = 0;
  for (const Host& host : pool) {
    const size_t end = host.name.size();
    const bool is_whole = text.starts_with(host.name) && (text.size() == end || text[end] == ':' || text[end] == '@');
    if (is_whole) length = std::max(length, end);
  }
  return length;
}

// A host of a filter, and what stands behind its colon; nothing where there is none.
struct FilterPart {
  std::string name;
  std::optional<std::string_view> slots;
};

std::vector<FilterPart> filter_parts(std::string_view text, const std::vector<Host>& pool) {
  std::vector<FilterPart> parts;
  while (true) {
    const size_t known = pool_name_length(text, pool);
    const size_t end = std::min(text.find('@', known), text.size());
    const std::string_view part = text.substr(0, end);
    const size_t colon = part.find(':', known);
    FilterPart& one = parts.emplace_back(FilterPart{std::string(part.substr(0, colon)), std::nullopt});
    if (colon != std::string_view::npos) one.slots = part.substr(colon + 1);
    if (end == text.size()) return parts;
    text.remove_prefix(end + 1);
  }
}

auto find_host(const std::vector<Host>& hosts, const std::string& name) {
  return std::find_if(hosts.begin(), hosts.end(), [&](const Host& host) { return host.name == name; });
}

std::string slots_in_words(const Host& host) {
  if (host.slots.empty()) return "it has none";
  std::string text = "it has ";
  for (size_t i = 0; i < host.slots.size(); ++i) text += concat(i == 0 ? "" : ",", host.slots[i]);
  return text;
}

void check_against_pool(const std::vector<Host>& pool, const HostFilter& filter,
                        const std::vector<Host>& wanted_hosts) {
  for (const Host& wanted : wanted_hosts) {
    const auto host = find_host(pool, wanted.name);
    std::string known;
    for (const Host& one : pool) known += (known.empty() ? "" : ", ") + one.name;
    DS_CHECK(host != pool.end(), ValueError, "[launcher] ", filter.origin, ": no host \"", wanted.name,
             "\"; the hosts are: ", known, ".");
    for (const int slot : wanted.slots) {
      DS_CHECK(std::binary_search(host->slots.begin(), host->slots.end(), slot), ValueError, "[launcher] ",
               filter.origin, ": no slot ", slot, " on host \"", wanted.name, "\"; ", slots_in_words(*host), ".");
    }
  }
}

}  // namespace

std::vector<Host> parse_hostfile(std::string_view text, const std::string& path) {
  std::vector<Host> hosts;
  int line_number = 0;
  for (const std::string_view raw_line : split(text, '\n')) {
    ++line_number;
    const std::string_view line = trim(raw_line);
    if (line.empty() || line.front() == '#') continue;
    const auto where = [&](size_t at) {
      const auto column = static_cast<size_t>(line.data() - raw_line.data()) + at + 1;
      return concat("[launcher] ", path, " line ", line_number, ", column ", column, ": ");
    };
    auto parsed = parse_line(line);
    if (const auto* bad = std::get_if<BadPlace>(&parsed)) {
      throw ValueError(concat(where(bad->at), "got \"", line, "\", expected ", bad->expected,
                              ". Write `HOST slots=N`, such as `node1 slots=8`."));
    }
    Host& host = std::get<Host>(parsed);
    DS_CHECK(find_host(hosts, host.name) == hosts.end(), ValueError, where(0), "host \"", host.name,
             "\" stands there twice. Keep one line a host.");
    hosts.push_back(std::move(host));
  }
  DS_CHECK(!hosts.empty(), ValueError, "[launcher] ", path, " names no host: expected lines `HOST slots=N`.");
  return hosts;
}

std::vector<Host> parse_host_filter(const HostFilter& filter, const std::vector<Host>& pool) {
  std::vector<Host> hosts;
  for (const FilterPart& part : filter_parts(filter.text, pool)) {
    Host host{part.name, {}};
    DS_CHECK(!host.name.empty(), ValueError, "[launcher] ", filter.origin, ": got \"", filter.text,
             "\", expected HOST[:SLOT[,SLOT...]], several joined by @.");
    if (part.slots) {
      for (const std::string_view text : split(*part.slots, ',')) {
        const auto slot = leading_number(text);
        const bool is_whole = slot && text.find_first_not_of("0123456789") == std::string_view::npos;
        DS_CHECK(is_whole && *slot < kMostSlots, ValueError, "[launcher] ", filter.origin, ": slot \"", text,
                 "\" of host \"", host.name, "\" is not a number from 0 to ", kMostSlots - 1,
                 ". Expected HOST:SLOT[,SLOT...], such as localhost:0,2.");
        host.slots.push_back(*slot);
      }
      std::sort(host.slots.begin(), host.slots.end());
      host.slots.erase(std::unique(host.slots.begin(), host.slots.end()), host.slots.end());
    }
    DS_CHECK(find_host(hosts, host.name) == hosts.end(), ValueError, "[launcher] ", filter.origin, ": host \"",
             host.name, "\" stands there twice.");
    hosts.push_back(std::move(host));
  }
  return hosts;
}

std::vector<Host> select_hosts(const std::vector<Host>& pool, const HostFilter& filter) {
  if (filter.text.empty()) return pool;
  const auto named_hosts = parse_host_filter(filter, pool);
  check_against_pool(pool, filter, named_hosts);

  std::vector<Host> selected;
  for (const Host& host : pool) {
    const auto named = find_host(named_hosts, host.name);
    Host kept{host.name, {}};
    for (const int slot : host.slots) {
      const bool is_named =
          named != named_hosts.end() &&
          (named->slots.empty() || std::binary_search(named->slots.begin(), named->slots.end(), slot));
      if (is_named != filter.excludes) kept.slots.push_back(slot);
    }
    if (!kept.slots.empty()) selected.push_back(std::move(kept));
  }
  DS_CHECK(!selected.empty(), ValueError, "[launcher] ", filter.origin, " ", filter.text, " leaves no slot to run on.");
  return selected;
}

std::string address_of(const std::string& host) {
  const size_t at = host.rfind('@');
  return at == std::string::npos ? host : host.substr(at + 1);
}

}  // namespace deepspeed::launcher
