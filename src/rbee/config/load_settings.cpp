#include "rbee/config/load_settings.hpp"

#include <optional>
#include <utility>

namespace rbee::config {

Result<Loaded> load_settings(std::span<const Setting> rows, LoadQuery query, const ReadMore& more) {
    Loaded out;
    out.path = std::move(query.file);
    if (out.path.empty()) {
        out.path = find_config({query.sources.environment, query.program}).value_or("");
    }
    std::optional<TomlFile> file;
    if (!out.path.empty()) {
        auto loaded = TomlFile::load(out.path);
        if (!loaded) {
            return error_of(loaded);
        }
        file.emplace(std::move(*loaded));
        query.sources.file = &*file;
    }
    auto read = read_settings(rows, query.sources);
    if (!read) {
        return error_of(read);
    }
    if (file && more) {
        if (const auto done = more(*file); !done) {
            return error_of(done);
        }
    }
    if (file) {
        if (const auto known = file->check_unknown(); !known) {
            return error_of(known);
        }
    }
    out.values = std::move(read->values);
    out.overrides = std::move(read->overrides);
    return out;
}

} // namespace rbee::config
