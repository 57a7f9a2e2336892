#pragma once

#include "rbee/base/secret.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::test {

/// Random text which is kept masked, so that a search of the memory does not find the search
/// itself.
class Needle {
public:
    explicit Needle(std::size_t size) {
        std::random_device random;
        for (std::size_t i = 0; i < size; ++i) {
            masked_.push_back(static_cast<char>(('a' + random() % 26U) ^ mask));
        }
    }

    [[nodiscard]] Secret make_secret() const {
        Secret out = Secret::of_size(masked_.size());
        std::ranges::transform(masked_, out.writable(), [](char byte) {
            return static_cast<char>(byte ^ mask);
        });
        return out;
    }

    [[nodiscard]] bool is_in(std::string_view bytes) const {
        const auto same = [](char plain, char masked) { return (plain ^ mask) == masked; };
        return std::search(bytes.begin(), bytes.end(), masked_.begin(), masked_.end(), same) !=
               bytes.end();
    }

private:
    static constexpr char mask = 0x5A;
    std::string masked_;
};

/// Searches all memory of this process that can be read, but for mappings beyond 256 MiB (the
/// shadow of a sanitizer).
inline bool memory_contains(const Needle& needle) {
    std::ifstream maps("/proc/self/maps");
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    bool found = false;
    // Not searched: the buffer that the search reads into.
    std::vector<char> buffer(1U << 20U);
    for (std::string line; !found && std::getline(maps, line);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        char rights[5] = {};
        if (std::sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, rights) != 3 ||
            rights[0] != 'r' || end - begin > (256UL << 20U)) {
            continue;
        }
        const auto own = reinterpret_cast<std::uintptr_t>(buffer.data());
        for (std::uintptr_t at = begin; !found && at < end; at += buffer.size() - 64) {
            const auto size = std::min<std::size_t>(buffer.size(), end - at);
            if (own < at + size && at < own + buffer.size()) {
                continue;
            }
            const auto got = ::pread(memory, buffer.data(), size, static_cast<off_t>(at));
            found = got > 0 && needle.is_in({buffer.data(), static_cast<std::size_t>(got)});
        }
    }
    ::close(memory);
    return found;
}

/// The VmFlags of the mapping that `address` is in, such as " rd wr mr mw me lo ac dd".
inline std::string flags_of(const void* address) {
    std::ifstream smaps("/proc/self/smaps");
    const auto wanted = reinterpret_cast<std::uintptr_t>(address);
    bool inside = false;
    for (std::string line; std::getline(smaps, line);) {
        std::uintptr_t begin = 0;
        std::uintptr_t end = 0;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
            inside = begin <= wanted && wanted < end;
        } else if (inside && line.starts_with("VmFlags:")) {
            return line.substr(8);
        }
    }
    return {};
}

} // namespace rbee::test
