#include "rbee/auth/token_source.hpp"
#include "rbee/cli/program.hpp"

#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

namespace {

rbee::cli::Environment read_environment() {
    rbee::cli::Environment::Values values;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string text = *entry;
        const auto equals = text.find('=');
        if (equals != std::string::npos) {
            values.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    // Children get the token only from the code that means to give it.
    (void)rbee::auth::take_from_environment(environ, "LLORCH_API_TOKEN");
    return rbee::cli::Environment(std::move(values));
}

} // namespace

int main(int argc, char** argv) {
    try {
        std::setlocale(LC_CTYPE, ""); // NOLINT(concurrency-mt-unsafe): no other thread runs yet
        const std::vector<std::string> arguments(argv + 1, argv + argc);
        const rbee::cli::Environment environment = read_environment();
        const bool no_colour = environment("NO_COLOR").has_value();
        const bool dumb = environment("TERM").value_or("dumb") == "dumb";
        rbee::cli::Console console = rbee::cli::system_console(no_colour, dumb);
        return rbee::cli::run_program(arguments, environment, console, std::cin);
    } catch (const std::exception& error) {
        std::cerr << "rbee: internal error: " << error.what() << ". Please report it.\n";
        return 1;
    }
}
