#pragma once

#include "rbee/base/sha256.hpp"

#include <memory>
#include <string_view>

namespace rbee {

/// HMAC-SHA-256 (RFC 2104) under a random key that nobody ever sees. Digests can be compared only
/// with others of the same object; how they differ says nothing about what was digested. Not
/// thread-safe.
class KeyedDigest {
public:
    KeyedDigest();
    ~KeyedDigest();
    KeyedDigest(const KeyedDigest&) = delete;
    KeyedDigest& operator=(const KeyedDigest&) = delete;

    [[nodiscard]] Sha256 of(std::string_view data) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace rbee
