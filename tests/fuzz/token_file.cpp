// A file of named tokens is taken as a whole or not at all, and what was taken is written in a form
// that is read again with the same result.
#include "rbee/auth/token_store.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rbee;
    const auto tokens =
        auth::parse_tokens({reinterpret_cast<const char*>(data), size}, "tokens.toml");
    if (!tokens) {
        if (tokens.error().what.empty()) {
            std::abort();
        }
        return 0;
    }
    const std::string text = auth::format_tokens(*tokens);
    const auto again = auth::parse_tokens(text, "tokens.toml");
    if (!again || auth::format_tokens(*again) != text) {
        std::abort();
    }
    for (const auth::TokenRecord& record : tokens->records()) {
        if (!auth::check_token_name(record.name) || record.scopes.empty()) {
            std::abort();
        }
    }
    return 0;
}
