#include "rbee/audit/files.hpp"

#include "rbee/audit/line_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

namespace rbee::audit {
namespace {

namespace fs = std::filesystem;

std::optional<Head> find_head(const std::string& folder) {
    std::ifstream file(folder + "/" + head_file, std::ios::binary);
    const Secret text(std::string(std::istreambuf_iterator<char>(file), {}));
    auto head = Head::parse(text.expose());
    if (head) {
        head->point.key.clear();
    }
    return head;
}

/// "queen-rbee" of "audit-queen-rbee-0000000000000001" in the first record.
std::string service_of(const std::string& file) {
    auto reader = LineReader::open(file);
    const auto line = reader ? reader->next() : std::nullopt;
    constexpr std::string_view opening = "{\"id\":\"audit-";
    if (!line || !line->text.starts_with(opening)) {
        return {};
    }
    const std::string_view id = line->text.substr(opening.size());
    const auto end = id.find('"');
    return end == std::string_view::npos || end < 17 ? "" : std::string(id.substr(0, end - 17));
}

} // namespace

Result<Listing> list_log(const std::string& folder) {
    // The head first: a log that is written to meanwhile must not seem to end before it.
    auto head = find_head(folder);
    std::error_code error;
    std::vector<std::string> names;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
        names.push_back(at->path().filename().string());
    }
    if (error == std::errc::no_such_file_or_directory) {
        return fail(Errc::not_found, "there is no audit log in " + folder);
    }
    if (error) {
        return fail(Errc::io, fmt::format("cannot read {}: {}", folder, error.message()));
    }
    Listing out{.service = {}, .segments = segments_of(names), .head = std::move(head)};
    if (out.segments.empty() && !out.head) {
        return fail(Errc::not_found, "there is no audit log in " + folder);
    }
    if (out.head) {
        out.service = out.head->service;
    }
    bool written = false;
    for (const SegmentName& name : out.segments) {
        const std::string path = folder + "/" + name.file();
        written = written || fs::file_size(path, error) > 0;
        out.service = out.service.empty() ? service_of(path) : out.service;
    }
    if (out.service.empty()) {
        return written ? fail(Errc::corrupt, folder + ": no record says whose log this is")
                       : fail(Errc::not_found, "there is no record in " + folder);
    }
    return out;
}

std::vector<std::string> find_logs(const std::string& base) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator at(base, error), end; !error && at != end; at.increment(error)) {
        if (at->is_directory(error) && list_log(at->path().string())) {
            out.push_back(at->path().string());
        }
    }
    std::ranges::sort(out);
    return out;
}

} // namespace rbee::audit
