#include "rbee/cli/advice.hpp"

#include "rbee/base/text.hpp"
#include "rbee/cli/printable.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
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

/// What helps when the error has this code.
struct Advice {
    std::string_view code;
    std::string_view text;
};

constexpr std::string_view choose_model = "See 'rbee models list' and choose one with --model NAME";
constexpr std::string_view all_busy =
    "Try again later, stop other requests, or start another worker with "
    "'rbee workers spawn MODEL'; 'rbee workers list' shows who is busy";
constexpr std::string_view mend_cause = "Mend the cause, then try 'rbee up' again";
constexpr std::string_view too_little =
    "Free some by 'rbee workers stop ID', or use a smaller model or a "
    "smaller quantisation of it";

constexpr std::array advices = {
    Advice{"MODEL_NOT_FOUND", choose_model},
    Advice{"MODEL_REQUIRED", choose_model},
    Advice{"INVALID_MODEL_REF", choose_model},
    Advice{"WORKER_NOT_FOUND", "See 'rbee workers list' for the ids"},
    Advice{"POSTMORTEM_NOT_FOUND", "See 'rbee workers list' for its state"},
    Advice{
        "NODE_NOT_FOUND", "See 'rbee hives list'; a new one is added with 'rbee hives add NAME URL'"
    },
    Advice{"ALL_SLOTS_BUSY", all_busy},
    Advice{"QUEUE_FULL", all_busy},
    Advice{"NO_IDLE_WORKERS", all_busy},
    Advice{
        "LOADING_TIMEOUT",
        "See the log: 'rbee workers logs ID'; --load-timeout allows longer pauses"
    },
    Advice{"WORKER_FAILED", "See 'rbee workers list' and the log: 'rbee workers logs ID'"},
    Advice{"STALLED", "See 'rbee workers list'; --stall-timeout allows longer pauses"},
    Advice{"VERSION_MISMATCH", "Where the older one runs: 'git pull && ./quickstart.sh'"},
    Advice{
        "INVALID_RESPONSE",
        "Check the address; if it is right, restart the program that serves there"
    },
    Advice{"BACKEND_UNAVAILABLE", "See 'rbee hives list' for the backends of each hive"},
    Advice{"REQUEST_TIMEOUT", "Allow more time with --timeout SECONDS"},
    Advice{"QUEEN_NOT_STARTED", mend_cause},
    Advice{"HIVE_NOT_AVAILABLE", mend_cause},
    Advice{"ALREADY_STARTING", "Wait for it, then see 'rbee status'"},
    Advice{
        "CERTIFICATE_UNTRUSTED",
        "If this is your queen, give her CA with --ca-file or RBEE_CA_FILE (on her machine it is "
        "~/.rbee/pki/ca.pem), and use a name that 'rbee pki init' was given"
    },
    Advice{"PLAIN_HTTP", "Use an https:// URL"},
    Advice{"NOT_TLS", "Check the port, or use an http:// URL if that queen has no TLS"},
    Advice{
        "PKI_EXISTS",
        "'rbee pki renew' makes a new certificate for the queen with the CA that is there; --dir "
        "chooses another folder"
    },
    Advice{"TLS_REQUIRED", "See 'rbee pki --help'"},
    Advice{"TOKEN_NOT_FOUND", "See 'rbee token list' for the names"},
    Advice{"TOKEN_EXISTS", "See 'rbee token list' for the names"},
    Advice{
        "INSUFFICIENT_SCOPE",
        "Use another token, or make one with 'rbee token new NAME --scopes LIST' on the machine of "
        "the queen"
    },
    Advice{"NOT_STOPPED", "See 'rbee status', and try again with a longer --timeout"},
};

std::string advice_for_code(std::string_view code) {
    if (code.starts_with("INSUFFICIENT_")) {
        return std::string(too_little);
    }
    const auto found = std::ranges::find(advices, code, &Advice::code);
    return std::string(found == advices.end() ? std::string_view() : found->text);
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
        return std::string(all_busy);
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
