// One pass over the word: text, or a bracket with its numbers.
#include "hosts/name_range.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "deepspeed/error.h"

namespace deepspeed::hosts {
namespace {

constexpr size_t kMostDigits = 9;  // so that a number fits into 32 bits

bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_name_character(char c) {
  constexpr std::string_view kOthers = "._-:%@";  // of IPv6 addresses and USER@HOST too
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || kOthers.find(c) != std::string_view::npos;
}

class Expander {
 public:
  explicit Expander(std::string_view word) : word_(word) {}

  std::vector<std::string> run() {
    if (word_.empty()) fail("a host's name");
    if (word_.front() == '-') fail("a host's name, which does not begin with -");
    while (at_ < word_.size()) {
      if (word_[at_] == '[') {
        append(bracket());
      } else if (is_name_character(word_[at_])) {
        append({std::string(1, word_[at_++])});
      } else {
        fail("a letter, a digit, one of . _ - : % @, or [ before numbers");
      }
    }
    return names_;
  }

 private:
  [[noreturn]] void fail(const char* expected) const {
    throw ValueError(concat("[hosts] \"", word_, "\", column ", at_ + 1, ": expected ", expected,
                            ". Write names such as node1, node[1-8] or 10.0.0.[3,5-9]."));
  }

  char here() const { return at_ < word_.size() ? word_[at_] : '\0'; }

  struct Number {
    uint32_t value = 0;
    size_t width = 0;  // 0: as short as it is
  };

  Number number() {
    const size_t begin = at_;
    while (is_digit(here())) ++at_;
    const std::string_view digits = word_.substr(begin, at_ - begin);
    if (digits.empty()) fail("a number");
    if (digits.size() > kMostDigits) {
      at_ = begin;
      fail("a number of at most 9 digits");
    }
    Number result;
    std::from_chars(digits.data(), digits.data() + digits.size(), result.value);
    if (digits.size() > 1 && digits.front() == '0') result.width = digits.size();
    return result;
  }

  std::vector<std::string> bracket() {
    std::vector<std::string> texts;
    do {
      ++at_;  // [ or ,
      const Number first = number();
      Number last = first;
      if (here() == '-') {
        ++at_;
        const size_t begin = at_;
        last = number();
        if (last.value < first.value) {
          at_ = begin;
          fail("a number that is not below the first of its range");
        }
      }
      check_count(texts.size() + last.value - first.value + 1);
      for (uint32_t value = first.value; value <= last.value; ++value) {
        std::string text = std::to_string(value);
        if (text.size() < first.width) text.insert(0, first.width - text.size(), '0');
        texts.push_back(std::move(text));
      }
    } while (here() == ',');
    if (here() != ']') fail("] after the numbers");
    ++at_;
    return texts;
  }

  void append(const std::vector<std::string>& texts) {
    check_count(names_.size() * texts.size());
    std::vector<std::string> longer;
    for (const std::string& name : names_) {
      for (const std::string& text : texts) longer.push_back(name + text);
    }
    names_ = std::move(longer);
  }

  void check_count(size_t count) const {
    DS_CHECK(count <= kMostHosts, ValueError, "[hosts] \"", word_, "\" stands for more than ", kMostHosts, " hosts.");
  }

  std::string_view word_;
  size_t at_ = 0;
  std::vector<std::string> names_ = {""};
};

}  // namespace

std::vector<std::string> expand_name(std::string_view word) { return Expander(word).run(); }

std::vector<std::string> expand_names(const std::vector<std::string>& words) {
  DS_CHECK(!words.empty(), ValueError, "[hosts] no host was named. Write names such as node1 or node[1-8].");
  std::vector<std::string> names;
  std::set<std::string> known;
  for (const std::string& word : words) {
    for (std::string& name : expand_name(word)) {
      if (known.insert(name).second) names.push_back(std::move(name));
    }
  }
  DS_CHECK(names.size() <= kMostHosts, ValueError, "[hosts] got ", names.size(), " hosts, expected at most ",
           kMostHosts, ".");
  return names;
}

}  // namespace deepspeed::hosts
