#pragma once

#include "rbee/audit/files.hpp"
#include "rbee/audit/verify.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rbee::test {

/// Does one of the things that somebody could do to lines. False when it changed nothing.
inline bool mutate(std::vector<std::string>& lines, std::mt19937& random) {
    const auto pick = [&](std::size_t size) {
        return std::uniform_int_distribution<std::size_t>(0, size - 1)(random);
    };
    const std::vector<std::string> before = lines;
    const std::size_t at = pick(lines.size());
    const auto place = lines.begin() + static_cast<std::ptrdiff_t>(at);
    switch (pick(7)) {
    case 0: { // one bit
        char& byte = lines[at][pick(lines[at].size())];
        byte = static_cast<char>(static_cast<unsigned char>(byte) ^ (1U << pick(8)));
        break;
    }
    case 1:
        std::swap(lines[at], lines[pick(lines.size())]);
        break;
    case 2:
        lines.erase(place);
        break;
    case 3: { // a line that was never written
        std::string made = lines[at];
        made[pick(made.size())] = 'x';
        lines.insert(place, made);
        break;
    }
    case 4:
        lines.insert(place, lines[pick(lines.size())]);
        break;
    case 5: // the end is cut off
        lines.resize(at);
        break;
    default: // a byte more or less
        if (pick(2) == 0) {
            lines[at].erase(pick(lines[at].size()), 1);
        } else {
            lines[at].insert(pick(lines[at].size()), 1, 'y');
        }
    }
    return lines != before;
}

/// What became of mutations of a log.
struct MutationCount {
    std::size_t changed = 0;   ///< Those that made a difference.
    std::size_t unnoticed = 0; ///< Of them, logs that were called in order.
    std::size_t accused = 0;   ///< Logs without a difference that were not.
};

inline std::vector<std::string> lines_of(std::string_view text) {
    std::vector<std::string> out;
    for (auto end = text.find('\n'); end != std::string_view::npos; end = text.find('\n')) {
        out.emplace_back(text.substr(0, end));
        text.remove_prefix(end + 1);
    }
    return out;
}

/// Mutates the log in `folder`, which is in order, `times` times, each time from the original.
inline MutationCount mutate_log(const std::string& folder, std::size_t times, std::uint32_t seed) {
    namespace fs = std::filesystem;
    std::vector<std::pair<std::string, std::string>> files;
    for (const audit::SegmentName& name : audit::list_log(folder)->segments) {
        const std::string path = folder + "/" + name.file();
        fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write);
        std::ifstream in(path, std::ios::binary);
        files.emplace_back(path, std::string(std::istreambuf_iterator<char>(in), {}));
    }
    std::mt19937 random(seed); // NOLINT(bugprone-random-generator-seed): the same each time
    MutationCount out;
    for (std::size_t i = 0; i < times; ++i) {
        const auto& [path, original] = files[random() % files.size()];
        std::vector<std::string> lines = lines_of(original);
        const bool differs = mutate(lines, random);
        {
            std::ofstream file(path, std::ios::binary | std::ios::trunc);
            for (const std::string& line : lines) {
                file << line << '\n';
            }
        }
        const auto report = audit::verify({.folder = folder, .key = {}, .witness = {}});
        const bool ok = report && report->verdict == audit::Verdict::ok;
        out.changed += differs ? 1 : 0;
        out.unnoticed += differs && ok ? 1 : 0;
        out.accused += !differs && !ok ? 1 : 0;
        std::ofstream(path, std::ios::binary | std::ios::trunc) << original;
    }
    return out;
}

} // namespace rbee::test
