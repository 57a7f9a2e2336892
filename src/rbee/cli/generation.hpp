#pragma once

#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"
#include "rbee/cli/context.hpp"
#include "rbee/cli/stream_decoder.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::cli {

/// One answer that is to be streamed.
struct GenerationRequest {
    std::string target; ///< /v1/chat/completions, /v1/inference or /v2/tasks.
    boost::json::object body;
    std::string model;                                ///< For watching it load.
    std::optional<double> timeout_s;                  ///< Sent along as the request's deadline.
    Duration stall_limit = std::chrono::seconds(60);  ///< Without a token.
    Duration loading_limit = std::chrono::minutes(5); ///< Without progress while loading.
    /// Pauses before the next try while everything is busy (EH-018a).
    std::vector<Duration> busy_waits = {
        std::chrono::seconds(1), std::chrono::seconds(2), std::chrono::seconds(4)
    };
};

struct GenerationResult {
    enum class Ending {
        complete,
        interrupted, ///< By Ctrl+C; the server was told.
        failed,      ///< See `error`; `text` holds what came before.
    };
    Ending ending = Ending::failed;
    std::string text;
    StreamDecoder::Summary summary;
    std::string request_id;
    Error error{};
    Duration duration{};
};

/// Sends the request and streams the answer, with everything that can happen on the way: busy
/// servers, a model that loads first, a stall, a broken stream, Ctrl+C.
class Generation {
public:
    using OnText = std::function<void(std::string_view)>;

    Generation(Context& context, GenerationRequest request, OnText on_text);

    [[nodiscard]] boost::asio::awaitable<GenerationResult> run();

private:
    Context& context_;
    GenerationRequest request_;
    OnText on_text_;
};

} // namespace rbee::cli
