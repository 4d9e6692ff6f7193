// A recursive descent over the structure (objects, arrays, comments, commas); nlohmann::json reads each string and
// number, so that escapes, UTF-8 and rounding are its business.
#include "config/text.h"

#include <algorithm>
#include <limits>

#include "deepspeed/error.h"

namespace deepspeed::config {
namespace {

constexpr size_t kShownColumns = 60;  // of a long line, at each side of the error

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+' ||
         c == '-' || c == '.';
}

class Parser {
 public:
  Parser(std::string_view text, std::string_view origin) : text_(text), origin_(origin) {}

  Text parse() {
    if (text_.substr(0, 3) == "\xEF\xBB\xBF") at_ = 3;
    skip_blank();
    if (at_ == text_.size()) fail(at_, "the text is empty, expected a JSON object. Write at least {}.");
    if (peek() != '{') fail(at_, "expected \"{\": a config is a JSON object");
    Text result;
    result.value = parse_value("");
    skip_blank();
    if (at_ != text_.size()) fail(at_, "expected the end of the text after the closing brace");
    result.lines = std::move(lines_);
    return result;
  }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool at_end() const { return at_ >= text_.size(); }

  void skip_blank() {
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
        ++at_;
      } else if (c == '#' || text_.substr(at_, 2) == "//") {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (text_.substr(at_, 2) == "/*") {
        skip_block_comment();
      } else {
        return;
      }
    }
  }

  void skip_block_comment() {
    const size_t end = text_.find("*/", at_ + 2);
    if (end == std::string_view::npos) fail(at_, "this comment is never closed. Add */.");
    line_ += static_cast<int>(std::count(text_.begin() + at_, text_.begin() + end, '\n'));
    at_ = end + 2;
  }

  nlohmann::json parse_value(const std::string& path) {
    switch (peek()) {
      case '{':
        return parse_object(path);
      case '[':
        return parse_array(path);
      case '"':
        return parse_string();
      default:
        return parse_word();
    }
  }

  void enter() {
    if (++depth_ > kMaxDepth) fail(at_, concat("more than ", kMaxDepth, " objects and lists inside each other"));
    ++at_;
  }
  void leave() {
    --depth_;
    ++at_;
  }

  nlohmann::json parse_object(const std::string& path) {
    const size_t open = at_;
    auto object = nlohmann::json::object();
    enter();
    for (skip_blank(); peek() != '}'; skip_blank()) {
      if (at_end()) fail(open, "this brace is never closed. Add }.");
      const size_t key_at = at_;
      if (peek() != '"') fail(at_, "expected a key in double quotes or \"}\"");
      const std::string key = parse_string().get<std::string>();
      const std::string key_path = join_path(path, key);
      const auto [known, is_new] = lines_.emplace(key_path, line_);
      if (object.contains(key)) {
        fail(key_at, concat("the key \"", key, "\" (", key_path, ") was already given on line ", known->second,
                            ". Keep one of the two."));
      }
      skip_blank();
      if (peek() != ':') fail(at_, concat("expected \":\" after the key \"", key, "\""));
      ++at_;
      skip_blank();
      object[key] = parse_value(key_path);
      end_item('}', "an object");
    }
    leave();
    return object;
  }

  nlohmann::json parse_array(const std::string& path) {
    const size_t open = at_;
    auto array = nlohmann::json::array();
    enter();
    for (skip_blank(); peek() != ']'; skip_blank()) {
      if (at_end()) fail(open, "this bracket is never closed. Add ].");
      array.push_back(parse_value(concat(path, "[", array.size(), "]")));
      end_item(']', "a list");
    }
    leave();
    return array;
  }

  // After an item stands a comma, perhaps the last one, or the closing bracket.
  void end_item(char close, const char* what) {
    skip_blank();
    if (peek() == ',') {
      ++at_;
    } else if (peek() != close && !at_end()) {
      fail(at_, concat("expected \",\" or \"", close, "\" after an item of ", what));
    }
  }

  nlohmann::json parse_string() {
    const size_t begin = at_;
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != '"' && text_[end] != '\n') end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size() || text_[end] != '"') fail(begin, "this string is never closed. Add a double quote.");
    at_ = end + 1;
    const std::string_view token = text_.substr(begin, at_ - begin);
    try {
      return nlohmann::json::parse(token);
    } catch (const nlohmann::json::exception&) {
      fail(begin, "this string has a wrong escape, a control character or bytes that are not UTF-8");
    }
  }

  nlohmann::json parse_word() {
    const size_t begin = at_;
    while (!at_end() && is_word(text_[at_])) ++at_;
    const std::string word(text_.substr(begin, at_ - begin));
    if (word.empty()) fail(begin, at_end() ? "the text ends where a value is expected" : "expected a value");
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (word == "Infinity") return kInfinity;
    if (word == "-Infinity") return -kInfinity;
    if (word == "NaN") return std::numeric_limits<double>::quiet_NaN();
    try {
      return nlohmann::json::parse(word);
    } catch (const nlohmann::json::out_of_range&) {
      return word[0] == '-' ? -kInfinity : kInfinity;  // 1e400, as Python reads it
    } catch (const nlohmann::json::exception&) {
      fail(begin, concat("got ", word, ", expected a JSON value. ", remedy_for(word)));
    }
  }

  static std::string remedy_for(const std::string& word) {
    if (word == "True" || word == "TRUE") return "Write true.";
    if (word == "False" || word == "FALSE") return "Write false.";
    if (word == "None" || word == "NULL") return "Write null.";
    return "Put text in double quotes.";
  }

  [[noreturn]] void fail(size_t at, const std::string& what) const {
    const size_t before = at == 0 ? std::string_view::npos : text_.rfind('\n', at - 1);
    const size_t begin = before == std::string_view::npos ? 0 : before + 1;
    const size_t end = std::min(text_.find('\n', at), text_.size());
    const auto line = 1 + std::count(text_.begin(), text_.begin() + static_cast<ptrdiff_t>(begin), '\n');
    const size_t first = at - begin > kShownColumns ? at - kShownColumns : begin;
    std::string shown(text_.substr(first, std::min(end, at + kShownColumns) - first));
    for (char& c : shown) {
      if (c < ' ' || c == '\x7f') c = c == '\t' || c == '\r' ? ' ' : '?';  // bytes above 127 too: they may be cut
    }
    throw ConfigError(concat("[config] ", origin_, ", line ", line, ", column ", at - begin + 1, ": ", what, "\n  ",
                             shown, "\n  ", std::string(at - first, ' '), "^"));
  }

  std::string_view text_;
  std::string_view origin_;
  size_t at_ = 0;
  int line_ = 1;
  int depth_ = 0;
  std::map<std::string, int> lines_;
};

}  // namespace

std::string join_path(std::string_view parent, std::string_view key) {
  return parent.empty() ? std::string(key) : concat(parent, ".", key);
}

Text parse_text(std::string_view text, std::string_view origin) { return Parser(text, origin).parse(); }

}  // namespace deepspeed::config
