#include "rbee/hive/log_tail.hpp"

#include "rbee/api/json.hpp"
#include "rbee/base/text.hpp"
#include "rbee/base/unique_fd.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace rbee::hive {
namespace {

constexpr std::uint64_t tail_bytes_max = 1024ULL * 1024;
constexpr std::uint64_t piece_bytes_max = 256ULL * 1024;
constexpr std::size_t words_bytes_max = 300;

struct OpenLog {
    UniqueFd file;
    std::uint64_t size = 0;
};

Result<OpenLog> open_log(const std::string& path) {
    OpenLog out{UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)), 0};
    struct stat status{};
    if (!out.file.valid() || ::fstat(out.file.get(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return fail(Errc::not_found, "there is no log of that worker", "WORKER_NOT_FOUND");
    }
    out.size = static_cast<std::uint64_t>(status.st_size);
    return out;
}

std::string read_at(const UniqueFd& file, std::uint64_t from, std::uint64_t size) {
    std::string text(size, '\0');
    std::size_t have = 0;
    while (have < text.size()) {
        const auto got = ::pread(
            file.get(), text.data() + have, text.size() - have, static_cast<off_t>(from + have)
        );
        if (got <= 0) {
            break;
        }
        have += static_cast<std::size_t>(got);
    }
    text.resize(have);
    return text;
}

/// A field that is a text, or nothing.
std::string text_of(const boost::json::object& object, std::string_view name) {
    return api::get_string(object, name).value_or(std::nullopt).value_or("");
}

/// Our own programs log JSON objects; anything else is taken as it is.
struct Line {
    std::string text;
    bool error = false;
};

Line parse_line(std::string_view line) {
    if (line.starts_with('{')) {
        if (const auto object = api::parse_object(line)) {
            if (std::string text = text_of(*object, "message"); !text.empty()) {
                if (const std::string cause = text_of(*object, "cause"); !cause.empty()) {
                    text += ": " + cause;
                }
                return {std::move(text), text_of(*object, "level") == "error"};
            }
        }
    }
    return {std::string(line), false};
}

} // namespace

std::string log_path_of(const std::string& log_dir, std::string_view worker_id) {
    const std::string prefix = worker_id.starts_with("worker-") ? "/" : "/worker-";
    return log_dir + prefix + std::string(worker_id) + ".log";
}

Result<LogPiece> read_tail(const std::string& path, std::size_t lines) {
    const auto log = open_log(path);
    if (!log) {
        return error_of(log);
    }
    const std::uint64_t size = std::min(log->size, tail_bytes_max);
    std::string text = read_at(log->file, log->size - size, size);
    std::size_t cut = text.size();
    // The line end at the very end closes the last line; it does not begin another.
    std::size_t ends = text.ends_with('\n') ? lines + 1 : lines;
    while (cut > 0 && ends > 0) {
        const auto at = text.rfind('\n', cut - 1);
        if (at == std::string::npos) {
            cut = 0;
            break;
        }
        cut = at;
        --ends;
    }
    if (cut > 0) {
        text.erase(0, cut + 1);
    }
    return LogPiece{std::move(text), log->size};
}

Result<LogPiece> read_from(const std::string& path, std::uint64_t from) {
    const auto log = open_log(path);
    if (!log) {
        return error_of(log);
    }
    const std::uint64_t begin = from > log->size ? 0 : from;
    std::string text = read_at(log->file, begin, std::min(log->size - begin, piece_bytes_max));
    const std::uint64_t next = begin + text.size();
    return LogPiece{std::move(text), next};
}

std::string last_words(std::string_view log) {
    std::string last;
    std::string last_error;
    for (const std::string_view raw : split(log, '\n')) {
        const std::string_view line = trim(raw);
        if (line.empty()) {
            continue;
        }
        Line parsed = parse_line(line);
        last = parsed.text;
        if (parsed.error) {
            last_error = std::move(parsed.text);
        }
    }
    std::string words = last_error.empty() ? std::move(last) : std::move(last_error);
    words.resize(std::min(words.size(), words_bytes_max));
    std::ranges::replace_if(
        words, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' '
    );
    return words;
}

} // namespace rbee::hive
