#include "rbee/worker/program.hpp"

#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "bad_engine.hpp"

namespace {

std::optional<std::string> environment(std::string_view name) {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing changes a variable after the start of main()
    const char* value = std::getenv(std::string(name).c_str());
    return value == nullptr || *value == '\0' ? std::nullopt : std::optional<std::string>(value);
}

} // namespace

int main(int argc, char** argv) {
    return rbee::worker::run_program(
        {argv + 1, argv + argc}, {environment, {}}, std::make_unique<rbee::tools::BadEngine>()
    );
}
