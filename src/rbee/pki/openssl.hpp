#pragma once

#include "rbee/base/result.hpp"

#include <openssl/types.h>

#include <string>
#include <string_view>

namespace rbee::pki {

/// `what` with OpenSSL's reason, as Errc::corrupt; empties OpenSSL's queue of errors.
[[nodiscard]] std::unexpected<Error> openssl_failure(std::string_view what);

/// Text as a source for OpenSSL's readers. The text must outlive it.
class PemSource {
public:
    explicit PemSource(std::string_view text);
    PemSource(const PemSource&) = delete;
    PemSource& operator=(const PemSource&) = delete;
    ~PemSource();
    [[nodiscard]] BIO* get() const { return bio_; }

private:
    BIO* bio_;
};

/// Collects what OpenSSL writes; wiped when it goes.
class PemSink {
public:
    PemSink();
    PemSink(const PemSink&) = delete;
    PemSink& operator=(const PemSink&) = delete;
    ~PemSink();
    [[nodiscard]] BIO* get() const { return bio_; }
    [[nodiscard]] std::string text() const;

private:
    BIO* bio_;
};

} // namespace rbee::pki
