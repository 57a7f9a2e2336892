#pragma once

#include "rbee/base/result.hpp"
#include "rbee/http/message.hpp"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace rbee::api {

/// HTTP status of an error, by its kind and, where narrower, its wire code (behaviour.md 2.3).
[[nodiscard]] int status_of(const Error& error);

/// UPPER_SNAKE code of an error: its own, or the default of its kind.
[[nodiscard]] std::string wire_code_of(const Error& error);

/// The one JSON shape of every error, which is also a valid OpenAI error object:
/// {"error":{"message","type","code","param","details"?,"correlation_id","retriable"}}. `details`
/// join those that the error carries, and win. The wrong fields, where known, are the array
/// `errors` of the details, and `param` is the first of them.
[[nodiscard]] boost::json::object error_object(
    const Error& error, std::string_view correlation_id, const boost::json::object& details = {}
);

/// A whole response with that body, the right status, and WWW-Authenticate or Retry-After where
/// due: after 503 as many seconds as the number `retry_after_s` of the details says, else 1.
[[nodiscard]] http::Response error_response(
    const Error& error, std::string_view correlation_id, const boost::json::object& details = {}
);

/// Dialects that show an error inside a started stream in different ways.
enum class StreamDialect { openai, responses, anthropic, rbee };

/// The stream dialect of a request path.
[[nodiscard]] StreamDialect stream_dialect_of(std::string_view path);

/// The server-sent event that ends a stream which cannot be finished. Never followed by [DONE] in
/// the OpenAI dialect; rbee's own dialect ends with its error event and [DONE] (behaviour.md 5.5).
[[nodiscard]] std::string
error_frame(StreamDialect dialect, const Error& error, std::string_view correlation_id);

/// Reads an error answer of another program of ours back into an Error, so that it can be passed
/// on, with its details. A body in another shape gives an Error made from the status alone.
[[nodiscard]] Error error_from_response(int status, std::string_view body);

} // namespace rbee::api
