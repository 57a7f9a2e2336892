#pragma once

#include <cstdint>
#include <expected>
#include <filesystem>
#include <string_view>

namespace rbee::config {

/// Why a path is refused. None of it tells where the root is.
enum class PathViolation : std::uint8_t {
    empty,
    null_byte,
    path_traversal, ///< A "." or ".." component, or one with a backslash behind it.
    io,             ///< It does not exist or cannot be looked at.
    outside_root,   ///< Its canonical form lies elsewhere, by a symlink for example.
};

/// The canonical form of an existing path inside of `root` (behaviour.md 10.1). Relative paths
/// begin at the root. Checks run in the order of PathViolation. Blocks on the file system.
[[nodiscard]] std::expected<std::filesystem::path, PathViolation>
path_inside(std::string_view path, const std::filesystem::path& root);

/// The same, and no component below the root may be a symlink (outside_root).
[[nodiscard]] std::expected<std::filesystem::path, PathViolation>
path_inside_without_links(std::string_view path, const std::filesystem::path& root);

} // namespace rbee::config
