#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::http {

/// Header fields in the order in which they came. Names compare without regard to ASCII case.
class Headers {
public:
    using Field = std::pair<std::string, std::string>;

    void add(std::string name, std::string value) {
        fields_.emplace_back(std::move(name), std::move(value));
    }
    /// Replaces all fields of that name by one.
    void set(std::string_view name, std::string value);
    void remove(std::string_view name);
    /// The first field of that name.
    [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;
    [[nodiscard]] auto begin() const { return fields_.begin(); }
    [[nodiscard]] auto end() const { return fields_.end(); }
    [[nodiscard]] bool empty() const { return fields_.empty(); }

private:
    std::vector<Field> fields_;
};

/// The head of a request, as parsed. `path` is the undecoded part of `target` before '?'.
struct RequestHead {
    std::string method;
    std::string target;
    std::string path;
    std::string query; ///< After '?', undecoded.
    bool http_1_0 = false;
    bool keep_alive = true;
    Headers headers = {};
    std::optional<std::uint64_t> content_length;
    bool chunked = false;

    /// The decoded value of a query parameter.
    [[nodiscard]] std::optional<std::string> query_parameter(std::string_view name) const;
};

/// The head of a response, as parsed.
struct ResponseHead {
    int status = 0;
    bool keep_alive = true;
    Headers headers = {};
    std::optional<std::uint64_t> content_length;
    bool chunked = false;
};

/// A whole response to send. Content-Length, Date-free framing and Connection are added on the way.
struct Response {
    int status = 200;
    std::string content_type = "application/json";
    std::string body = {};
    Headers headers = {};
};

/// The standard reason phrase (RFC 9110), or "Unknown".
[[nodiscard]] std::string_view reason_phrase(int status);

/// Appends all pieces. Heads are put together with it, which formatting is too slow for.
void append(std::string& out, std::initializer_list<std::string_view> pieces);
/// Appends a header field with its line end.
void append_field(std::string& out, std::string_view name, std::string_view value);

/// True for field names that belong to one connection (RFC 9110 §7.6.1) and must not be relayed.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);

} // namespace rbee::http
