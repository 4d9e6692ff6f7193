// One reader that knows its column, under both grammars.
#include "launcher/slurm_lists.h"

#include <charconv>
#include <iterator>

#include "deepspeed/error.h"

namespace deepspeed::launcher {
namespace {

constexpr size_t kMostHosts = 65536;  // as Slurm
constexpr size_t kLongestName = 255;
constexpr size_t kMostDigits = 9;
constexpr int kMostTasks = 4096;  // of one host

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '.' || c == '_' || c == '-';
}

struct Number {
  int value = 0;
  size_t num_digits = 0;
};

class Reader {
 public:
  Reader(std::string_view text, const std::string& origin) : text_(text), origin_(origin) {}

  bool is_at_end() const { return at_ == text_.size(); }
  char peek() const { return is_at_end() ? '\0' : text_[at_]; }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void expect(std::string_view word) {
    if (!take(word)) fail(concat("\"", word, "\""));
  }

  Number number() {
    const size_t begin = at_;
    while (is_digit(peek()) && at_ - begin < kMostDigits) ++at_;
    if (at_ == begin || is_digit(peek())) fail(concat("a number of 1 to ", kMostDigits, " digits"));
    Number number{0, at_ - begin};
    std::from_chars(text_.data() + begin, text_.data() + at_, number.value);
    return number;
  }

  std::string name_part() {
    const size_t begin = at_;
    while (is_name_character(peek())) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  [[noreturn]] void fail(const std::string& expected) const {
    throw ValueError(concat("[launcher] ", origin_, ", column ", at_ + 1, ": got \"", text_, "\", expected ", expected,
                            ". Set it as Slurm does, or unset it."));
  }

 private:
  std::string_view text_;
  const std::string& origin_;
  size_t at_ = 0;
};

std::string padded(int value, size_t num_digits) {
  const std::string digits = std::to_string(value);
  return std::string(num_digits > digits.size() ? num_digits - digits.size() : 0, '0') + digits;
}

void check_count(size_t count, const Reader& reader) {
  if (count > kMostHosts) reader.fail(concat("no more than ", kMostHosts, " hosts"));
}

// What stands in one pair of brackets, which is open: "01-03,7]".
std::vector<std::string> read_numbers(Reader& reader) {
  std::vector<std::string> numbers;
  do {
    const Number first = reader.number();
    const Number last = reader.take("-") ? reader.number() : first;
    if (last.value < first.value) reader.fail("a range whose end is not below its begin");
    check_count(numbers.size() + static_cast<size_t>(last.value - first.value) + 1, reader);
    for (int value = first.value; value <= last.value; ++value) numbers.push_back(padded(value, first.num_digits));
  } while (reader.take(","));
  reader.expect("]");
  return numbers;
}

std::vector<std::string> combined(const std::vector<std::string>& fronts, const std::vector<std::string>& backs,
                                  const Reader& reader) {
  check_count(fronts.size() * backs.size(), reader);
  std::vector<std::string> names;
  for (const std::string& front : fronts) {
    for (const std::string& back : backs) {
      if (front.size() + back.size() > kLongestName) reader.fail(concat("names of at most ", kLongestName, " bytes"));
      names.push_back(front + back);
    }
  }
  return names;
}

// One element between commas.
std::vector<std::string> read_names(Reader& reader) {
  if (reader.peek() == '-' || (reader.peek() != '[' && !is_name_character(reader.peek()))) {
    reader.fail("a host's name, of letters, digits, \".\", \"_\" and \"-\", the last not in front");
  }
  std::vector<std::string> names = {""};
  while (true) {
    if (is_name_character(reader.peek())) {
      names = combined(names, {reader.name_part()}, reader);
    } else if (reader.take("[")) {
      names = combined(names, read_numbers(reader), reader);
    } else {
      return names;
    }
  }
}

}  // namespace

std::vector<std::string> expand_node_list(std::string_view list, const std::string& origin) {
  Reader reader(list, origin);
  std::vector<std::string> hosts;
  do {
    auto names = read_names(reader);
    check_count(hosts.size() + names.size(), reader);
    std::move(names.begin(), names.end(), std::back_inserter(hosts));
  } while (reader.take(","));
  if (!reader.is_at_end()) reader.fail("\",\", \"[\" or the end");
  return hosts;
}

std::vector<int> expand_counts(std::string_view list, const std::string& origin) {
  Reader reader(list, origin);
  std::vector<int> counts;
  do {
    const int count = reader.number().value;
    if (count > kMostTasks) reader.fail(concat("at most ", kMostTasks, " a host"));
    int num_hosts = 1;
    if (reader.take("(x")) {
      num_hosts = reader.number().value;
      reader.expect(")");
    }
    check_count(counts.size() + static_cast<size_t>(num_hosts), reader);
    counts.insert(counts.end(), static_cast<size_t>(num_hosts), count);
  } while (reader.take(","));
  if (!reader.is_at_end()) reader.fail("\",\" or the end");
  return counts;
}

}  // namespace deepspeed::launcher
