// The first byte says where the rest stands: in the Authorization field or in the query. What is
// accepted is the one known token in the one form that RFC 6750 allows; everything else has a
// reason.
#include "rbee/auth/bearer.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr std::string_view token = "fuzz-token-0123456789";

const rbee::auth::Authenticator& authenticator() {
    static rbee::auth::Authenticator one;
    if (one.open()) {
        one.accept(rbee::Secret::copy_of(token));
    }
    return one;
}

void require(bool fact) {
    if (!fact) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace rbee;
    if (size == 0) {
        return 0;
    }
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const bool in_query = data[0] % 2 == 1;
    http::RequestHead head;
    head.headers.add("Authorization", in_query ? "Bearer " + std::string(token) : text);
    head.query = in_query ? text : "";
    const auto verdict = authenticator().check(head, WallTime());
    require(verdict.allowed == verdict.log_reason.empty());
    require(verdict.allowed || (!verdict.error.what.empty() && verdict.principal.empty()));
    require(!verdict.error.what.contains(token));
    if (in_query) {
        require(verdict.allowed == (verdict.error.code != Errc::invalid_argument));
        return 0;
    }
    const auto given = auth::parse_authorization(text);
    require(given.log_reason.empty() != given.token.empty());
    require(verdict.allowed == (given.token == token));
    if (!given.token.empty()) {
        const auto* from = given.token.data();
        require(from >= text.data() + 7 && from[-1] == ' ' && from[-2] != ' ');
        require(from + given.token.size() <= text.data() + text.size());
    }
    return 0;
}
