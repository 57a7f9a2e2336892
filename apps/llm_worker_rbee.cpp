#include "rbee/auth/token_source.hpp"
#include "rbee/engine/engine.hpp"
#include "rbee/worker/program.hpp"

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

namespace {

constexpr const char* token_variable = "LLORCH_API_TOKEN";

std::optional<std::string> environment(std::string_view name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes a variable after the start of main()
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr || *value == '\0') {
        return std::nullopt;
    }
    return std::string(value);
}

} // namespace

int main(int argc, char** argv) {
    // An abort of the inference library would start a debugger and hang for half a second.
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread runs yet
    ::setenv("GGML_NO_BACKTRACE", "1", 1);

    return rbee::worker::run_program(
        {argv + 1, argv + argc},
        {environment, rbee::auth::take_from_environment(::environ, token_variable)},
        rbee::engine::make_llama_engine()
    );
}
