#include "rbee/audit/line_reader.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace rbee::audit {
namespace {

constexpr std::size_t buffer_bytes = std::size_t{1} << 20U;

} // namespace

LineReader::LineReader(UniqueFd file, std::uint64_t offset)
    : file_(std::move(file)), base_(offset) {
    buffer_.reserve(2 * buffer_bytes);
}

std::optional<LineReader> LineReader::open(const std::string& path) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg): open has no other form
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return file.valid() ? std::optional<LineReader>(LineReader(std::move(file))) : std::nullopt;
}

bool LineReader::fill() {
    base_ += used_;
    buffer_.erase(0, used_);
    used_ = 0;
    const std::size_t had = buffer_.size();
    if (had >= buffer_bytes) {
        return false;
    }
    buffer_.resize(had + buffer_bytes);
    const auto at = static_cast<off_t>(base_ + had);
    ssize_t count = ::pread(file_.get(), buffer_.data() + had, buffer_bytes, at);
    while (count < 0 && errno == EINTR) {
        count = ::pread(file_.get(), buffer_.data() + had, buffer_bytes, at);
    }
    failed_ = count < 0;
    buffer_.resize(had + (count > 0 ? static_cast<std::size_t>(count) : 0));
    return count > 0;
}

std::optional<LineReader::Line> LineReader::next() {
    std::size_t end = buffer_.find('\n', used_);
    while (end == std::string::npos && fill()) {
        end = buffer_.find('\n', used_);
    }
    const std::uint64_t offset = base_ + used_;
    const bool complete = end != std::string::npos;
    const std::string_view text =
        std::string_view(buffer_).substr(used_, complete ? end - used_ : std::string::npos);
    if (!complete && text.empty()) {
        return std::nullopt;
    }
    used_ = complete ? end + 1 : buffer_.size();
    return Line{text, offset, complete};
}

void LineReader::put_back(const Line& line) {
    used_ = static_cast<std::size_t>(line.offset - base_);
}

} // namespace rbee::audit
