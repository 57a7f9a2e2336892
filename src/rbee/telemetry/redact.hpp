#pragma once

#include <string>
#include <string_view>

namespace rbee::telemetry {

/// `text` as it may be shown: secrets become [REDACTED] (bearer tokens; values of names that end in
/// key, token, secret, password and the like; JWTs; private keys; passwords in URLs; tokens with a
/// known prefix), line ends and tabs become spaces, other control characters '?', bytes that are
/// not UTF-8 U+FFFD. UUIDs on their own stay. Errs on the side of hiding. Thread-safe.
[[nodiscard]] std::string redact(std::string_view text);

/// The same for each line of `text`, whose line ends stay. A private key over several lines is
/// hidden as a whole, also when `text` begins or ends within it. Thread-safe.
[[nodiscard]] std::string redact_lines(std::string_view text);

/// True for a field name whose text value is a secret whatever it looks like, such as "api_key".
[[nodiscard]] bool names_a_secret(std::string_view name);

} // namespace rbee::telemetry
