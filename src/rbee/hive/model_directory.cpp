#include "rbee/hive/model_directory.hpp"

#include "rbee/base/text.hpp"
#include "rbee/config/inside.hpp"
#include "rbee/domain/validate.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::hive {

namespace fs = std::filesystem;

namespace {

/// More entries than this are not looked at: a models directory is not a home directory.
constexpr std::size_t entries_max = 10'000;

/// "-00001-of-00003" at the end of a file name without ".gguf".
struct Shard {
    std::string stem;
    std::uint64_t index = 0;
    std::uint64_t count = 0;
};

std::optional<Shard> parse_shard(std::string_view stem) {
    constexpr std::size_t suffix = 15;
    if (stem.size() <= suffix) {
        return std::nullopt;
    }
    const std::string_view tail = stem.substr(stem.size() - suffix);
    const auto index = parse_u64(tail.substr(1, 5));
    const auto count = parse_u64(tail.substr(10, 5));
    if (tail[0] != '-' || tail.substr(6, 4) != "-of-" || !index || !count || *index == 0) {
        return std::nullopt;
    }
    return Shard{std::string(stem.substr(0, stem.size() - suffix)), *index, *count};
}

bool is_inside(const fs::path& path, const fs::path& root) {
    const auto mismatch = std::ranges::mismatch(root, path);
    return mismatch.in1 == root.end();
}

/// Size of the model that begins with `path`, all its shards together; 0 when one is missing.
std::uint64_t size_of_model(const fs::path& path) {
    std::error_code error;
    const auto shard = parse_shard(path.stem().string());
    if (!shard) {
        const auto size = fs::file_size(path, error);
        return error ? 0 : size;
    }
    std::uint64_t total = 0;
    for (std::uint64_t index = 1; index <= shard->count; ++index) {
        const std::string name =
            fmt::format("{}-{:05}-of-{:05}.gguf", shard->stem, index, shard->count);
        const auto size = fs::file_size(path.parent_path() / name, error);
        if (error) {
            return 0;
        }
        total += size;
    }
    return total;
}

/// The canonical file behind `path` when it can be offered as a model.
std::optional<fs::path> usable_file(const fs::path& path, const fs::path& root) {
    const std::string name = path.filename().string();
    if (name.starts_with('.') || name.starts_with("mmproj") || path.extension() != ".gguf") {
        return std::nullopt;
    }
    if (const auto shard = parse_shard(path.stem().string()); shard && shard->index != 1) {
        return std::nullopt;
    }
    std::error_code error;
    fs::path real = fs::canonical(path, error);
    if (error || !is_inside(real, root) || !fs::is_regular_file(real, error)) {
        return std::nullopt;
    }
    return real;
}

/// Entries of a directory by name; empty when it cannot be read.
std::vector<fs::path> entries_of(const fs::path& directory) {
    std::vector<fs::path> out;
    std::error_code error;
    fs::directory_iterator at(directory, fs::directory_options::skip_permission_denied, error);
    while (!error && at != fs::directory_iterator() && out.size() < entries_max) {
        out.push_back(at->path());
        at.increment(error);
    }
    std::ranges::sort(out);
    return out;
}

/// Models are known by names that a reference can carry and that name one entry.
bool usable_name(const std::string& name) {
    const auto ref = domain::parse_model_ref(name);
    return ref && ref->provider == domain::ModelRef::Provider::name && !name.contains('/');
}

void add_model(std::map<std::string, Model>& models, std::string name, const fs::path& file) {
    if (!usable_name(name) || models.contains(name)) {
        return;
    }
    const std::uint64_t size = size_of_model(file);
    if (size == 0) {
        return;
    }
    Model model{{domain::ModelRef::Provider::name, name}, name, file.string(), size};
    models.emplace(std::move(name), std::move(model));
}

void scan_directory(std::map<std::string, Model>& models, const fs::path& directory) {
    std::error_code error;
    const fs::path root = fs::canonical(directory, error);
    if (error) {
        return;
    }
    for (const fs::path& entry : entries_of(root)) {
        if (entry.filename().string().starts_with('.')) {
            continue;
        }
        if (fs::is_directory(entry, error)) {
            for (const fs::path& inner : entries_of(entry)) {
                if (const auto file = usable_file(inner, root)) {
                    add_model(models, entry.filename().string(), *file);
                    break;
                }
            }
        } else if (const auto file = usable_file(entry, root)) {
            const std::string stem = entry.stem().string();
            const auto shard = parse_shard(stem);
            add_model(models, shard ? shard->stem : stem, *file);
        }
    }
}

Result<Model> resolve_file(const domain::ModelRef& ref) {
    std::error_code error;
    const fs::path real = fs::canonical(ref.reference, error);
    if (error == std::errc::permission_denied) {
        return fail(Errc::forbidden, "the hive may not read the model file");
    }
    if (error) {
        return fail(Errc::not_found, "there is no such model file on this hive", "MODEL_NOT_FOUND");
    }
    if (!fs::is_regular_file(real, error) || real.extension() != ".gguf") {
        return fail(
            Errc::invalid_argument,
            "Invalid path: the model must be a regular .gguf file",
            "INVALID_MODEL_REF"
        );
    }
    const std::uint64_t size = size_of_model(real);
    if (size == 0) {
        return fail(
            Errc::not_found,
            "the model file is empty, or parts of it are missing",
            "MODEL_NOT_FOUND"
        );
    }
    return Model{ref, ref.model_name(), real.string(), size};
}

} // namespace

std::map<std::string, Model> ModelDirectory::scan() const {
    std::map<std::string, Model> models;
    for (const std::string& directory : directories_) {
        scan_directory(models, directory);
    }
    return models;
}

std::vector<Model> ModelDirectory::list() const {
    std::vector<Model> out;
    for (auto& [name, model] : scan()) {
        out.push_back(model);
    }
    return out;
}

Result<Model> ModelDirectory::resolve(const domain::ModelRef& ref) const {
    using Provider = domain::ModelRef::Provider;
    if (ref.provider == Provider::file) {
        return resolve_file(ref);
    }
    if (ref.provider == Provider::hub) {
        return fail(
            Errc::unsupported,
            "this hive does not download models yet: put the .gguf file into its models directory "
            "and "
            "use its name, or a file: reference"
        );
    }
    std::map<std::string, Model> models = scan();
    if (const auto found = models.find(ref.reference); found != models.end()) {
        return std::move(found->second);
    }
    std::vector<std::string> names;
    names.reserve(models.size());
    for (const auto& [name, model] : models) {
        names.push_back(name);
    }
    return fail(
        Errc::not_found,
        names.empty()
            ? "there is no such model on this hive; it has none"
            : fmt::format(
                  "there is no such model on this hive; it has: {}", fmt::join(names, ", ")
              ),
        "MODEL_NOT_FOUND"
    );
}

Result<Model> ModelDirectory::resolve_path(const std::string& path) const {
    const auto refuse = [](std::string_view constraint, std::string why) {
        return std::unexpected(domain::field_error("model_path", constraint, std::move(why)));
    };
    for (const std::string& directory : directories_) {
        const auto real = config::path_inside_without_links(path, directory);
        if (real) {
            return resolve_file({domain::ModelRef::Provider::file, real->string()});
        }
        if (real.error() == config::PathViolation::path_traversal) {
            return refuse("no_traversal", "Invalid path: path traversal detected");
        }
        if (real.error() == config::PathViolation::outside_root) {
            return refuse("no_symlinks", "Invalid path: symlinks not allowed");
        }
    }
    return fail(Errc::not_found, "there is no such model file on this hive", "MODEL_NOT_FOUND");
}

} // namespace rbee::hive
