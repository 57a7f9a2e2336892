#include "rbee/pki/join_token.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <string>

namespace rbee::pki {
namespace {

constexpr std::string_view prefix = "rbeejoin_";
constexpr std::size_t secret_digits = 64;
constexpr std::size_t digest_digits = 64;

} // namespace

Secret make_join_token(const Sha256& authority) {
    Sha256 random{};
    RBEE_ASSERT(RAND_bytes(random.data(), static_cast<int>(random.size())) == 1);
    Secret token(fmt::format("{}{}_{}", prefix, to_hex(random), to_hex(authority)));
    OPENSSL_cleanse(random.data(), random.size());
    return token;
}

Result<Sha256> pinned_authority(const Secret& join_token) {
    const std::string_view text = join_token.expose();
    const std::size_t size = prefix.size() + secret_digits + 1 + digest_digits;
    const auto wrong = [] {
        return fail(
            Errc::invalid_argument,
            "the join token is not complete; `rbee hives invite NAME` at the queen makes one"
        );
    };
    if (text.size() != size || !text.starts_with(prefix)) {
        return wrong();
    }
    const auto digest = parse_sha256(text.substr(size - digest_digits));
    if (!digest) {
        return wrong();
    }
    return *digest;
}

} // namespace rbee::pki
