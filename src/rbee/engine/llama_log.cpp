#include "rbee/engine/llama_log.hpp"

#include "rbee/base/text.hpp"

#include <cstddef>
#include <cstdio>
#include <deque>
#include <mutex>
#include <string>

#include "ggml.h"
#include "llama.h"
#include "log.h"
#include "mtmd-helper.h"

namespace rbee::engine {
namespace {

constexpr std::size_t errors_kept = 8;
constexpr std::size_t line_bytes_max = 500;

struct LogState {
    std::mutex mutex;
    std::deque<std::string> errors;
    ggml_log_level last_level = GGML_LOG_LEVEL_NONE;
};

LogState& log_state() {
    // Never destroyed: llama.cpp may log from its threads while the process exits.
    static auto* const state = new LogState;
    return *state;
}

void on_llama_log(ggml_log_level level, const char* text, void* /*unused*/) {
    LogState& state = log_state();
    const std::lock_guard lock(state.mutex);
    const bool continued = level == GGML_LOG_LEVEL_CONT;
    const ggml_log_level effective = continued ? state.last_level : level;
    state.last_level = effective;
    if (effective != GGML_LOG_LEVEL_WARN && effective != GGML_LOG_LEVEL_ERROR) {
        return;
    }
    std::fputs(text, stderr);
    if (effective == GGML_LOG_LEVEL_ERROR && !continued && state.errors.size() < errors_kept) {
        const std::string line(trim(text));
        if (!line.empty()) {
            state.errors.push_back(line.substr(0, line_bytes_max));
        }
    }
}

} // namespace

void route_llama_log() {
    llama_log_set(on_llama_log, nullptr);
    mtmd_helper_log_set(on_llama_log, nullptr);
    common_log_set_prefix(common_log_main(), true);
    common_log_set_verbosity_thold(LOG_LEVEL_WARN);
}

void clear_llama_errors() {
    LogState& state = log_state();
    const std::lock_guard lock(state.mutex);
    state.errors.clear();
}

std::string llama_errors() {
    LogState& state = log_state();
    const std::lock_guard lock(state.mutex);
    std::string all;
    for (const std::string& line : state.errors) {
        all += all.empty() ? "" : "; ";
        all += line;
    }
    return all;
}

} // namespace rbee::engine
