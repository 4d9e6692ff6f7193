// A SAX handler that builds the value. nlohmann's own builder looks through all earlier keys of an ordered object at
// each new key, which is quadratic, and keeps one of two equal keys silently.
#include "io/json_text.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "deepspeed/error.h"

namespace deepspeed::io {
namespace {

class ValueBuilder final : public nlohmann::json_sax<Json> {
 public:
  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    DS_CHECK(text.find_first_of(".eE") != std::string::npos, ValueError, "the integer ", text, " does not fit 64 bits");
    return add(value);
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool key(string_t& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool end_object() override {
    check_keys(*open_.back());
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(size_t position, const std::string& last_token, const nlohmann::json::exception&) override {
    throw ValueError(concat("not valid JSON at byte ", position, " (after '", printable(last_token), "')"));
  }

 private:
  static std::string printable(const std::string& token) {
    constexpr size_t kShown = 20;
    std::string text = token.substr(token.size() > kShown ? token.size() - kShown : 0);
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
  }

  static void check_keys(const Json& object) {
    std::vector<const std::string*> keys;
    keys.reserve(object.size());
    for (const auto& member : object.get_ref<const Json::object_t&>()) keys.push_back(&member.first);
    std::sort(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a < *b; });
    const auto repeated = std::adjacent_find(keys.begin(), keys.end(), [](auto* a, auto* b) { return *a == *b; });
    DS_CHECK(repeated == keys.end(), ValueError, "the key '", **repeated, "' stands twice in one object");
  }

  Json* place(Json&& value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.get_ref<Json::array_t&>().push_back(std::move(value));
      return &parent.back();
    }
    // The vector below the ordered map, to append without its search.
    auto& members = static_cast<Json::object_t::Container&>(parent.get_ref<Json::object_t&>());
    members.emplace_back(std::move(keys_.back()), std::move(value));
    return &members.back().second;
  }

  template <class Value>
  bool add(Value&& value) {
    place(Json(std::forward<Value>(value)));
    return true;
  }

  bool open(Json&& value) {
    DS_CHECK(open_.size() < kMaxJsonDepth, ValueError, "nested deeper than ", kMaxJsonDepth, " levels");
    open_.push_back(place(std::move(value)));
    keys_.emplace_back();
    return true;
  }

  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;        // objects and arrays that have not ended; only the last one grows
  std::vector<std::string> keys_;  // the pending key of each of them
};

}  // namespace

Json parse_json_text(std::string_view text) {
  ValueBuilder builder;
  const bool complete = Json::sax_parse(text.begin(), text.end(), &builder);
  DS_CHECK(complete, ValueError, "not valid JSON");
  return builder.take();
}

}  // namespace deepspeed::io
