#include "rbee/telemetry/redact.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>
#include <utility>
#include <vector>

namespace rbee::telemetry {
namespace {

TEST(Redact, HidesSecrets) {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"Authorization: Bearer abc.DEF-123", "Authorization: Bearer [REDACTED]"},
        {"sent bearer s3cret to peer", "sent bearer [REDACTED] to peer"},
        {"Authorization: Basic dXNlcjpwYXNz, next", "Authorization: Basic [REDACTED], next"},
        {"api_key=12345&x=1", "api_key=[REDACTED]&x=1"},
        {"apiKey: 12345", "apiKey: [REDACTED]"},
        {"HF_TOKEN=hf_x", "HF_TOKEN=[REDACTED]"},
        {R"({"password": "two \"words\" here", "n": 1})", R"({"password": "[REDACTED]", "n": 1})"},
        {"client-secret='a b'", "client-secret='[REDACTED]'"},
        {"token = t", "token = [REDACTED]"},
        {"jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln end", "jwt [REDACTED] end"},
        {"https://user:p@ss@host/path", "https://user:[REDACTED]@host/path"},
        {"https://averylongaccesstoken1@host/", "https://[REDACTED]@host/"},
        {"got hf_abcdefghijklmnopqrst", "got [REDACTED]"},
        {"a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a [REDACTED] b"
        },
        {"-----BEGIN PRIVATE KEY-----\ncut off", "[REDACTED]"},
        {"secret=", "secret="},
    };
    for (const auto& [text, expected] : rows) {
        EXPECT_EQ(redact(text), expected) << text;
    }
}

TEST(Redact, LeavesOrdinaryTextAlone) {
    const std::vector<std::string> rows = {
        "",
        "worker 550e8400-e29b-41d4-a716-446655440000 is ready",
        "request_id=550e8400-e29b-41d4-a716-446655440000",
        "max_tokens=128, tokens: 7",
        "monkey=banana",
        "missing bearer token",
        "a Bearer token.",
        "key worker died",
        "http://127.0.0.1:8500/v1/health",
        "ssh://git@host/x",
        "-----BEGIN CERTIFICATE-----",
        "eyJ is not a token",
        "größer als 3 µs",
    };
    for (const std::string& text : rows) {
        EXPECT_EQ(redact(text), text);
    }
}

TEST(Redact, ShowsFingerprintsAndNothingLonger) {
    EXPECT_EQ(redact("token:1a2b3c"), "token:1a2b3c");
    EXPECT_EQ(redact("identity=token:1a2b3c peer"), "identity=token:1a2b3c peer");
    EXPECT_EQ(redact("token:1a2b3c4"), "token:[REDACTED]");
    EXPECT_EQ(redact("token:secret"), "token:[REDACTED]");
}

TEST(Redact, ReplacesWhatCouldSteerATerminal) {
    EXPECT_EQ(redact("a\nb\tc\rd"), "a b c d");
    EXPECT_EQ(redact("\x1b[31mred\x7f"), "?[31mred?");
    EXPECT_EQ(redact("x\xC2\x9By"), "x?y");
    EXPECT_EQ(redact("\xFF\xC0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(redact("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
    EXPECT_EQ(redact(std::string_view("a\0b", 3)), "a?b");
}

TEST(Redact, ReplacesWhatMakesTextReadOtherwiseThanItIs) {
    EXPECT_EQ(redact("a\u202eb\u2066c\u2028d\ufeff"), "a?b?c?d?");
    EXPECT_EQ(redact("\u2014\u2026\u2070"), "\u2014\u2026\u2070"); // dashes and dots of prose
}

TEST(Redact, HidesOurOwnTokensButNoNamesOfMetrics) {
    const std::string token = "rbee_" + std::string(43, 'Z') + "_0aB9xY";
    EXPECT_EQ(redact("made " + token + " now"), "made [REDACTED] now");
    EXPECT_EQ(redact("rbee_hive_memory_available_bytes 5"), "rbee_hive_memory_available_bytes 5");
}

TEST(Redact, NamesASecret) {
    for (const char* name : {"token", "hf_token", "apiKey", "API-KEY", "db.password", "Cookie"}) {
        EXPECT_TRUE(names_a_secret(name)) << name;
    }
    for (const char* name : {"tokens", "monkey", "", "worker_id", "keys"}) {
        EXPECT_FALSE(names_a_secret(name)) << name;
    }
}

TEST(RedactLines, LineEndsStayAndEachLineIsHidden) {
    EXPECT_EQ(redact_lines("a\nkey=s3cret\n\tb\n"), "a\nkey=[REDACTED]\n b\n");
    EXPECT_EQ(redact_lines(""), "");
    EXPECT_EQ(redact_lines("key='open\nnext stays"), "key='[REDACTED]\nnext stays");
}

TEST(RedactLines, APrivateKeyOverSeveralLinesIsHiddenAsAWhole) {
    const std::string begin = "-----BEGIN PRIVATE KEY-----";
    const std::string end = "-----END PRIVATE KEY-----";
    EXPECT_EQ(
        redact_lines("a\n" + begin + "\nMIIEvQ\nIBADAN==\n" + end + "\nb"), "a\n[REDACTED]\nb"
    );
    EXPECT_EQ(redact_lines("a\n" + begin + "\nMIIEvQ"), "a\n[REDACTED]") << "its end is missing";
    EXPECT_EQ(redact_lines("EvQ=\nIBADAN==\n" + end + "\nb"), "[REDACTED]\nb")
        << "its beginning is missing";
    EXPECT_EQ(
        redact_lines(begin + "\nMIIE\nloading: 5 %, fine\nb"), "[REDACTED]\nloading: 5 %, fine\nb"
    ) << "it never ended";
}

TEST(Redact, AnyBytesGiveOnePrintableLineThatIsStable) {
    EXPECT_TRUE(rc::check("printable and idempotent", [](const std::string& text) {
        const std::string once = redact(text);
        for (const char c : once) {
            RC_ASSERT(static_cast<unsigned char>(c) >= 0x20);
            RC_ASSERT(c != 0x7F);
        }
        RC_ASSERT(redact(once) == once);
    }));
}

TEST(Redact, NoSecretSurvivesItsName) {
    EXPECT_TRUE(rc::check("value of a secret name", [] {
        const auto body =
            *rc::gen::container<std::string>(rc::gen::elementOf(std::string("abcXYZ0189._-+/")));
        const std::string secret = "S3CR" + body;
        const auto name =
            *rc::gen::element<std::string>("token", "api_key", "Password", "HF_TOKEN");
        const auto sign = *rc::gen::element<std::string>("=", ": ", "\":\"", " = '");
        const std::string shown = redact("x " + name + sign + secret);
        RC_ASSERT(shown.find("S3CR") == std::string::npos);
    }));
}

} // namespace
} // namespace rbee::telemetry
