#include "rbee/config/inside.hpp"

#include <algorithm>
#include <system_error>

namespace rbee::config {

namespace fs = std::filesystem;

namespace {

bool has_dots(std::string_view path) {
    return std::ranges::any_of(fs::path(path), [](const fs::path& part) {
        return part == "." || part == ".." || part.native().contains("..\\");
    });
}

bool is_below(const fs::path& path, const fs::path& root) {
    return std::ranges::mismatch(root, path).in1 == root.end();
}

} // namespace

std::expected<fs::path, PathViolation> path_inside(std::string_view path, const fs::path& root) {
    if (path.empty()) {
        return std::unexpected(PathViolation::empty);
    }
    if (path.contains('\0')) {
        return std::unexpected(PathViolation::null_byte);
    }
    if (has_dots(path)) {
        return std::unexpected(PathViolation::path_traversal);
    }
    std::error_code error;
    const fs::path real_root = fs::canonical(root, error);
    fs::path real = error ? fs::path() : fs::canonical(real_root / path, error);
    if (error) {
        return std::unexpected(PathViolation::io);
    }
    if (!is_below(real, real_root)) {
        return std::unexpected(PathViolation::outside_root);
    }
    return real;
}

std::expected<fs::path, PathViolation>
path_inside_without_links(std::string_view path, const fs::path& root) {
    auto real = path_inside(path, root);
    if (!real) {
        return real;
    }
    std::error_code error;
    const fs::path meant = (fs::canonical(root, error) / path).lexically_normal();
    if (error || meant != *real) {
        return std::unexpected(PathViolation::outside_root);
    }
    return real;
}

} // namespace rbee::config
