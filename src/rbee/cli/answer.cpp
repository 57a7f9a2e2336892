#include "rbee/cli/answer.hpp"

#include "rbee/base/unique_fd.hpp"

#include <boost/json/array.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>

namespace rbee::cli {

namespace json = boost::json;

namespace {

std::uint64_t tokens_of(const GenerationResult& result) {
    return result.summary.completion_tokens.value_or(result.summary.pieces);
}

} // namespace

void add_sampling(json::object& body, const SamplingOptions& sampling) {
    if (sampling.max_tokens) {
        body["max_tokens"] = *sampling.max_tokens;
    }
    body["temperature"] = sampling.temperature.value_or(0.7);
    if (sampling.seed) {
        body["seed"] = *sampling.seed;
    }
    if (sampling.top_p) {
        body["top_p"] = *sampling.top_p;
    }
    if (sampling.top_k) {
        body["top_k"] = *sampling.top_k;
    }
    if (!sampling.stop.empty()) {
        body["stop"] = json::array(sampling.stop.begin(), sampling.stop.end());
    }
}

Result<std::string> save_partial(const std::string& folder, std::string_view text) {
    constexpr std::string_view suffix = ".txt";
    std::string path = folder + "/rbee-partial-XXXXXX" + std::string(suffix);
    const UniqueFd fd(::mkstemps(path.data(), static_cast<int>(suffix.size())));
    if (!fd.valid()) {
        return fail(
            Errc::io,
            fmt::format(
                "cannot create a file in {}: {}", folder, std::generic_category().message(errno)
            )
        );
    }
    std::string_view rest = text;
    while (!rest.empty()) {
        const ssize_t size = ::write(fd.get(), rest.data(), rest.size());
        if (size < 0 && errno != EINTR) {
            return fail(
                Errc::io,
                fmt::format("cannot write {}: {}", path, std::generic_category().message(errno))
            );
        }
        rest.remove_prefix(size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    return path;
}

json::object to_json(const GenerationResult& result, const std::string& model) {
    const auto& summary = result.summary;
    json::object usage{{"completion_tokens", tokens_of(result)}};
    if (summary.prompt_tokens) {
        usage["prompt_tokens"] = *summary.prompt_tokens;
        usage["total_tokens"] = *summary.prompt_tokens + tokens_of(result);
    }
    return {
        {"model", summary.model.empty() ? model : summary.model},
        {"text", result.text},
        {"finish_reason",
         summary.finish_reason.empty() ? json::value(nullptr) : json::value(summary.finish_reason)},
        {"usage", std::move(usage)},
        {"request_id", result.request_id},
        {"duration_ms",
         std::chrono::duration_cast<std::chrono::milliseconds>(result.duration).count()},
    };
}

std::string token_count(const GenerationResult& result, std::optional<std::uint32_t> max_tokens) {
    const auto count = tokens_of(result);
    return max_tokens ? fmt::format("{} / {} tokens", count, *max_tokens)
                      : fmt::format("{} tokens", count);
}

} // namespace rbee::cli
