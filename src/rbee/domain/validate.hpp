#pragma once

#include "rbee/base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace rbee::domain {

// Checks of single fields (behaviour.md 10.2), on the wire and on command lines. Each fails with
// Errc::invalid_argument and one FieldError under the usual name of the field; messages name the
// rule and never repeat the input.

/// 1-64 of [A-Za-z0-9-].
[[nodiscard]] Result<void> check_worker_id(std::string_view id);
/// 1-64 of [A-Za-z0-9.-], not beginning or ending with a dot or dash, no two dots in a row.
[[nodiscard]] Result<void> check_node_name(std::string_view name);
/// cpu, cuda or metal.
[[nodiscard]] Result<void> check_backend(std::string_view backend);
/// 1024-65535, or 0 for "any free one".
[[nodiscard]] Result<void> check_port(std::uint64_t port);

/// A path below a directory of ours: 1-512 of [A-Za-z0-9._+=@ /-], relative, without "." and ".."
/// components. Whether a component is a symlink only the directory can tell.
[[nodiscard]] Result<void> check_relative_path(std::string_view path);

/// How a free text is bounded.
struct TextRule {
    std::size_t bytes_max = 1024;
    bool lines = false; ///< Tab and line ends are allowed.
    bool empty = true;  ///< May be empty.
};
/// Text that is shown to people or passed on: bounded, without NUL, escape and control characters
/// and without characters that hide or reorder text. `field` begins the message.
[[nodiscard]] Result<void>
check_text(std::string_view field, std::string_view text, TextRule rule = {});

/// Prose of another program for people, such as the cause of a failure: made harmless instead of
/// refused. What check_text() would refuse becomes a space; cut at `bytes_max`.
[[nodiscard]] std::string harmless(std::string_view text, std::size_t bytes_max = 1024);

/// The error of one field. `message` is a whole sentence.
[[nodiscard]] Error
field_error(std::string_view field, std::string_view constraint, std::string message);

/// `error` as one of `field`: names it in all its FieldErrors.
[[nodiscard]] Error in_field(Error error, std::string_view field);

} // namespace rbee::domain
