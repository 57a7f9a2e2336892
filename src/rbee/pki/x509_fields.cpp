#include "rbee/pki/x509_fields.hpp"

#include "rbee/base/assert.hpp"
#include "rbee/base/text.hpp"
#include "rbee/pki/openssl.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/asn1.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <string_view>

namespace rbee::pki {
namespace {

constexpr std::size_t host_bytes_max = 253;
constexpr std::size_t label_bytes_max = 63;
constexpr std::size_t common_name_bytes_max = 64;

bool is_address(std::string_view host) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    const std::string text(host);
    return ::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
           ::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

bool is_label(std::string_view label) {
    const bool size = !label.empty() && label.size() <= label_bytes_max;
    return size && label.front() != '-' && label.back() != '-' &&
           std::ranges::all_of(label, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
           });
}

std::string_view text_of(const ASN1_STRING* text) {
    return {
        reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
        static_cast<std::size_t>(ASN1_STRING_length(text))
    };
}

std::string address_of(const ASN1_OCTET_STRING* bytes) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const int family = ASN1_STRING_length(bytes) == 4 ? AF_INET : AF_INET6;
    const char* out = ::inet_ntop(family, ASN1_STRING_get0_data(bytes), text.data(), text.size());
    return out == nullptr ? std::string() : std::string(out);
}

bool add_text(GENERAL_NAMES* names, int kind, const std::string& text) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_IA5STRING* value = ASN1_IA5STRING_new();
    RBEE_ASSERT(name != nullptr && value != nullptr);
    GENERAL_NAME_set0_value(name, kind, value);
    return ASN1_STRING_set(value, text.data(), static_cast<int>(text.size())) == 1 &&
           sk_GENERAL_NAME_push(names, name) > 0;
}

bool add_address(GENERAL_NAMES* names, const std::string& text) {
    GENERAL_NAME* name = GENERAL_NAME_new();
    ASN1_OCTET_STRING* value = a2i_IPADDRESS(text.c_str());
    RBEE_ASSERT(name != nullptr && value != nullptr);
    GENERAL_NAME_set0_value(name, GEN_IPADD, value);
    return sk_GENERAL_NAME_push(names, name) > 0;
}

} // namespace

Result<void> check_host(std::string_view host) {
    if (is_address(host)) {
        return {};
    }
    const bool name = !host.empty() && host.size() <= host_bytes_max &&
                      std::ranges::all_of(split(host, '.'), is_label);
    if (!name) {
        return fail(
            Errc::invalid_argument,
            "a host must be a DNS name such as queen.lan, or an address such as 10.0.0.7"
        );
    }
    return {};
}

Result<std::string> make_request(const Key& key) {
    const std::unique_ptr<X509_REQ, Deleter> request(X509_REQ_new());
    RBEE_ASSERT(request != nullptr);
    const bool good = X509_REQ_set_pubkey(request.get(), key.get()) == 1 &&
                      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) != 0;
    const PemSink sink;
    if (!good || PEM_write_bio_X509_REQ(sink.get(), request.get()) != 1) {
        return openssl_failure("the certificate request could not be made");
    }
    return sink.text();
}

Sha256 digest_of(const X509* certificate) {
    Sha256 digest{};
    unsigned int size = 0;
    RBEE_ASSERT(X509_digest(certificate, EVP_sha256(), digest.data(), &size) == 1);
    return digest;
}

void set_common_name(X509_NAME* name, const std::string& text) {
    const std::string cut = text.substr(0, common_name_bytes_max);
    X509_NAME_add_entry_by_txt(
        name,
        "CN",
        MBSTRING_UTF8,
        reinterpret_cast<const unsigned char*>(cut.data()),
        static_cast<int>(cut.size()),
        -1,
        0
    );
}

bool set_names(X509* certificate, const Subject& subject) {
    GENERAL_NAMES* names = sk_GENERAL_NAME_new_null();
    RBEE_ASSERT(names != nullptr);
    bool good = add_text(names, GEN_URI, subject.uri);
    for (const std::string& host : subject.hosts) {
        good = good && (is_address(host) ? add_address(names, host)
                                         : add_text(names, GEN_DNS, to_lower(host)));
    }
    good = good &&
           X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1;
    GENERAL_NAMES_free(names);
    return good;
}

Subject names_of(const X509* certificate) {
    Subject out;
    auto* names = static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)
    );
    for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_URI && out.uri.empty()) {
            out.uri = text_of(name->d.uniformResourceIdentifier);
        } else if (name->type == GEN_DNS) {
            out.hosts.emplace_back(text_of(name->d.dNSName));
        } else if (name->type == GEN_IPADD) {
            out.hosts.push_back(address_of(name->d.iPAddress));
        }
    }
    GENERAL_NAMES_free(names);
    return out;
}

WallTime time_of(const ASN1_TIME* time) {
    std::tm parts{};
    RBEE_ASSERT(ASN1_TIME_to_tm(time, &parts) == 1);
    return std::chrono::system_clock::from_time_t(::timegm(&parts));
}

bool is_p256(const EVP_PKEY* key) {
    std::array<char, 32> group{};
    std::size_t size = 0;
    return EVP_PKEY_get_utf8_string_param(
               key, OSSL_PKEY_PARAM_GROUP_NAME, group.data(), group.size(), &size
           ) == 1 &&
           std::string_view(group.data(), size) == "prime256v1";
}

} // namespace rbee::pki
