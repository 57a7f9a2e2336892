#include "rbee/pki/openssl.hpp"

#include "rbee/base/assert.hpp"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

namespace rbee::pki {

std::unexpected<Error> openssl_failure(std::string_view what) {
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    std::string text = reason == nullptr ? std::string(what) : fmt::format("{}: {}", what, reason);
    ERR_clear_error();
    return fail(Errc::corrupt, std::move(text));
}

PemSource::PemSource(std::string_view text)
    : bio_(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))) {
    RBEE_ASSERT(bio_ != nullptr);
}

PemSource::~PemSource() {
    BIO_free(bio_);
}

PemSink::PemSink() : bio_(BIO_new(BIO_s_secmem())) {
    RBEE_ASSERT(bio_ != nullptr);
}

PemSink::~PemSink() {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio_, &bytes);
    if (size > 0) {
        OPENSSL_cleanse(bytes, static_cast<std::size_t>(size));
    }
    BIO_free(bio_);
}

std::string PemSink::text() const {
    char* bytes = nullptr;
    const long size = BIO_get_mem_data(bio_, &bytes);
    return size > 0 ? std::string(bytes, static_cast<std::size_t>(size)) : std::string();
}

} // namespace rbee::pki
