#pragma once

#include "rbee/base/sha256.hpp"

#include <memory>
#include <string_view>

namespace rbee {

/// HMAC-SHA-256 (RFC 2104). Not thread-safe.
class KeyedDigest {
public:
    /// Under a random key that nobody ever sees: digests can be compared only with others of the
    /// same object; how they differ says nothing about what was digested.
    KeyedDigest();
    /// Under `key`, which is not kept as it is.
    explicit KeyedDigest(std::string_view key);
    ~KeyedDigest();
    KeyedDigest(const KeyedDigest&) = delete;
    KeyedDigest& operator=(const KeyedDigest&) = delete;

    /// Digests are made under `key` from now on; nothing stays of the old one.
    void rekey(std::string_view key);
    [[nodiscard]] Sha256 of(std::string_view data) const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace rbee
