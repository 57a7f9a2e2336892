#include "rbee/cli/advice.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/printable.hpp"

#include <fmt/format.h>

#include <string_view>

namespace rbee::cli {
namespace {

std::string advice_for_token(const Settings* settings) {
    const std::string token = settings == nullptr || settings->token_source.empty()
                                  ? "No token was found"
                                  : "The token came from " + settings->token_source;
    const std::string file =
        settings == nullptr ? "~/.config/rbee/config.toml" : settings->config_file.string();
    return token + "; set --token-file, LLORCH_API_TOKEN_FILE or LLORCH_API_TOKEN, or " +
           "token_file in the [auth] section of " + file;
}

std::string advice_for_code(std::string_view code) {
    if (code == "MODEL_NOT_FOUND" || code == "MODEL_REQUIRED" || code == "INVALID_MODEL_REF") {
        return "See 'rbee models list' and choose one with --model NAME";
    }
    if (code == "WORKER_NOT_FOUND") {
        return "See 'rbee workers list' for the ids";
    }
    if (code == "NODE_NOT_FOUND") {
        return "See 'rbee hives list'; a new one is added with 'rbee hives add NAME URL'";
    }
    if (code == "ALL_SLOTS_BUSY" || code == "QUEUE_FULL" || code == "NO_IDLE_WORKERS") {
        return "Try again later, stop other requests, or start another worker with "
               "'rbee workers spawn MODEL'; 'rbee workers list' shows who is busy";
    }
    if (code == "LOADING_TIMEOUT") {
        return "See the log: 'rbee workers logs ID'; --load-timeout allows longer pauses";
    }
    if (code == "WORKER_FAILED") {
        return "See 'rbee workers list' and the log: 'rbee workers logs ID'";
    }
    if (code == "STALLED") {
        return "See 'rbee workers list'; --stall-timeout allows longer pauses";
    }
    if (code == "VERSION_MISMATCH") {
        return "Where the older one runs: 'git pull && ./quickstart.sh'";
    }
    if (code == "INVALID_RESPONSE") {
        return "Check the address; if it is right, restart the program that serves there";
    }
    if (code == "BACKEND_UNAVAILABLE") {
        return "See 'rbee hives list' for the backends of each hive";
    }
    if (code == "REQUEST_TIMEOUT") {
        return "Allow more time with --timeout SECONDS";
    }
    if (code == "QUEEN_NOT_STARTED" || code == "HIVE_NOT_AVAILABLE") {
        return "Mend the cause, then try 'rbee up' again";
    }
    if (code == "ALREADY_STARTING") {
        return "Wait for it, then see 'rbee status'";
    }
    if (code == "NOT_STOPPED") {
        return "See 'rbee status', and try again with a longer --timeout";
    }
    if (code.starts_with("INSUFFICIENT_")) {
        return "Free some by 'rbee workers stop ID', or use a smaller model or a "
               "smaller quantisation of it";
    }
    return {};
}

} // namespace

std::string advice_for(const Error& error, const Settings* settings) {
    if (std::string advice = advice_for_code(error.wire_code); !advice.empty()) {
        return advice;
    }
    switch (error.code) {
    case Errc::unauthenticated:
        return advice_for_token(settings);
    case Errc::unavailable:
        if (error.wire_code.empty() && settings != nullptr) {
            return fmt::format(
                "Start the service with 'rbee up', or name another with --queen URL (this one is "
                "from: {})",
                settings->queen_source
            );
        }
        return "Try again in a moment; 'rbee status' shows what is missing";
    case Errc::busy:
        return advice_for_code("ALL_SLOTS_BUSY");
    case Errc::timeout:
        return "Try again; 'rbee status' shows whether the service is well";
    case Errc::io:
    case Errc::corrupt:
    case Errc::internal:
        return settings == nullptr
                   ? std::string()
                   : "Try again; if it happens again, see " + settings->queen_log().string();
    default:
        return "See 'rbee --help'";
    }
}

std::string error_line(const Error& error, const Settings* settings) {
    const std::string what = one_line(trim(error.what));
    const std::string advice = advice_for(error, settings);
    const bool ended = what.ends_with('.') || what.ends_with('!') || what.ends_with('?');
    std::string line = "rbee: " + what + (ended ? "" : ".");
    if (!advice.empty()) {
        line += " " + one_line(advice) + ".";
    }
    return line + "\n";
}

} // namespace rbee::cli
