#include "rbee/engine/model_file.hpp"

#include "rbee/base/result.hpp"
#include "rbee/base/text.hpp"
#include "rbee/engine/llama_log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ios>
#include <memory>
#include <string>
#include <system_error>

#include "gguf.h"

namespace rbee::engine {
namespace {

constexpr std::uint32_t version_min = 2; // llama.cpp dropped version 1 in 2023.
constexpr std::uint32_t layers_max = 100'000;

struct GgufFree {
    void operator()(gguf_context* context) const { gguf_free(context); }
};
using GgufPtr = std::unique_ptr<gguf_context, GgufFree>;

Result<std::uint64_t> size_of_file(const std::string& path) {
    std::error_code code;
    const auto status = std::filesystem::status(path, code);
    if (status.type() == std::filesystem::file_type::not_found) {
        return fail(Errc::not_found, "no such file: " + path);
    }
    if (code) {
        return fail(Errc::io, "cannot open " + path + ": " + code.message());
    }
    if (status.type() != std::filesystem::file_type::regular) {
        return fail(Errc::invalid_argument, "not a regular file: " + path);
    }
    const auto size = std::filesystem::file_size(path, code);
    if (code) {
        return fail(Errc::io, "cannot read " + path + ": " + code.message());
    }
    return size;
}

Result<void> check_magic(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        const std::error_code code(errno, std::generic_category());
        return fail(Errc::io, "cannot read " + path + ": " + code.message());
    }
    std::array<char, 8> head{};
    if (!file.read(head.data(), head.size())) {
        return fail(Errc::corrupt, "not a GGUF file (shorter than its header): " + path);
    }
    if (std::memcmp(head.data(), "GGUF", 4) != 0) {
        return fail(Errc::corrupt, "not a GGUF file (wrong magic number): " + path);
    }
    std::uint32_t version = 0;
    std::memcpy(&version, head.data() + 4, sizeof(version));
    if (version < version_min || version > GGUF_VERSION) {
        return fail(
            Errc::unsupported,
            "GGUF version " + std::to_string(version) + " is not supported: " + path
        );
    }
    return {};
}

/// The bytes that the tensors named in the header need, counted from the start of the file.
std::uint64_t bytes_needed(const gguf_context* gguf) {
    std::uint64_t end = 0;
    for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
        const std::uint64_t size = gguf_get_tensor_size(gguf, i);
        end = std::max(end, gguf_get_tensor_offset(gguf, i) + size);
    }
    return end == 0 ? 0 : gguf_get_data_offset(gguf) + end;
}

std::string architecture_of(const gguf_context* gguf) {
    const auto key = gguf_find_key(gguf, "general.architecture");
    if (key < 0 || gguf_get_kv_type(gguf, key) != GGUF_TYPE_STRING) {
        return {};
    }
    return gguf_get_val_str(gguf, key);
}

std::uint32_t layers_of(const gguf_context* gguf, const std::string& architecture) {
    const auto key = gguf_find_key(gguf, (architecture + ".block_count").c_str());
    if (key < 0 || gguf_get_kv_type(gguf, key) != GGUF_TYPE_UINT32) {
        return 0;
    }
    return std::min(gguf_get_val_u32(gguf, key), layers_max);
}

} // namespace

Result<ModelFile> inspect_model_file(const std::string& path) {
    const auto size = size_of_file(path);
    if (!size) {
        return error_of(size);
    }
    if (const auto magic = check_magic(path); !magic) {
        return error_of(magic);
    }
    const GgufPtr gguf(gguf_init_from_file(path.c_str(), {.no_alloc = true, .ctx = nullptr}));
    if (!gguf) {
        return fail(
            Errc::corrupt,
            "the GGUF header is damaged or cut off: " + path + " (" + llama_errors() + ")"
        );
    }
    if (const std::uint64_t needed = bytes_needed(gguf.get()); needed > *size) {
        return fail(
            Errc::corrupt,
            "the file is cut off: it has " + human_bytes(*size) + " of " + human_bytes(needed) +
                ": " + path
        );
    }
    ModelFile file{.architecture = architecture_of(gguf.get()), .layers = 0, .size_bytes = *size};
    if (file.architecture.empty()) {
        return fail(Errc::corrupt, "the file names no model architecture: " + path);
    }
    file.layers = layers_of(gguf.get(), file.architecture);
    return file;
}

} // namespace rbee::engine
