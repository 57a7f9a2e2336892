#include "rbee/http/framing.hpp"
#include "rbee/http/parser.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace rbee::http {
namespace {

using namespace std::string_literals;

/// What became of a request, however its bytes were cut.
struct Outcome {
    bool done = false;
    std::string code; ///< Of the refusal.
    std::string body;
    std::size_t consumed = 0;

    bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
    return out << (outcome.done ? "done " : "open ") << outcome.code << ' ' << outcome.body << ' '
               << outcome.consumed;
}

/// Feeds `text` cut behind every offset that `cut` names.
template <typename Cut>
Outcome parse(const std::string& text, Cut cut, ParserLimits limits = {}) {
    RequestParser parser(limits);
    Outcome out;
    parser.on_body([&](std::string_view bytes) { out.body.append(bytes); });
    std::string pending;
    std::size_t given = 0;
    while (!parser.done()) {
        const auto used = parser.feed(pending);
        if (!used) {
            out.code = used.error().wire_code;
            out.body.clear(); // how much came before a refusal depends on the pieces
            out.consumed = 0;
            return out;
        }
        pending.erase(0, *used);
        out.consumed += *used;
        if (*used == 0) {
            if (given == text.size()) {
                return out;
            }
            do {
                pending.push_back(text[given++]);
            } while (given < text.size() && !cut(given));
        }
    }
    out.done = true;
    return out;
}

Outcome parse_whole(const std::string& text, ParserLimits limits = {}) {
    return parse(text, [](std::size_t) { return false; }, limits);
}

Outcome parse_bytewise(const std::string& text, ParserLimits limits = {}) {
    return parse(text, [](std::size_t) { return true; }, limits);
}

struct Case {
    std::string name;
    std::string request;
    std::string code; ///< Empty: accepted.
    std::string body = {};
};

std::ostream& operator<<(std::ostream& out, const Case& one) {
    return out << one.name;
}

/// A request with these field lines after the Host field.
std::string with(const std::string& fields, const std::string& body = "") {
    return "POST /x HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n" + body;
}

std::string chunked(const std::string& body) {
    return with("Transfer-Encoding: chunked\r\n", body);
}

std::vector<Case> length_cases() {
    return {
        {"ClAndTe",
         with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         "AMBIGUOUS_LENGTH"},
        {"TeAndCl",
         with("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"),
         "AMBIGUOUS_LENGTH"},
        {"ClRepeatedEqual",
         with("Content-Length: 1\r\nContent-Length: 1\r\n", "x"),
         "AMBIGUOUS_LENGTH"},
        {"ClRepeatedOther",
         with("Content-Length: 1\r\nContent-Length: 2\r\n", "xx"),
         "AMBIGUOUS_LENGTH"},
        {"ClListEqual", with("Content-Length: 1, 1\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClListOther", with("Content-Length: 1,2\r\n", "xx"), "BAD_CONTENT_LENGTH"},
        {"ClPlus", with("Content-Length: +1\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClMinus", with("Content-Length: -1\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClHex", with("Content-Length: 0x1\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClSpaceInside", with("Content-Length: 1 0\r\n", "xxxxxxxxxx"), "BAD_CONTENT_LENGTH"},
        {"ClEmpty", with("Content-Length:\r\n"), "BAD_CONTENT_LENGTH"},
        {"ClOverflow", with("Content-Length: 18446744073709551617\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClLetters", with("Content-Length: 1x\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClDecimal", with("Content-Length: 1.0\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClExponent", with("Content-Length: 1e0\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClQuoted", with("Content-Length: \"1\"\r\n", "x"), "BAD_CONTENT_LENGTH"},
        {"ClVerticalTab", with("Content-Length: \v1\r\n", "x"), "BAD_FIELD"},
        {"ClGood", with("content-length: \t 3 \r\n", "abc"), "", "abc"},
        {"ClZero", with("Content-Length: 0\r\n"), ""},
        {"TeIdentity", with("Transfer-Encoding: identity\r\n", "0\r\n\r\n"), "BAD_TRANSFER_ENCODING"
        },
        {"TeGzipChunked",
         with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeChunkedIdentity",
         with("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeChunkedChunked",
         with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeRepeated",
         with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeRepeatedIdentity",
         with("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeEmpty", with("Transfer-Encoding:\r\n", "0\r\n\r\n"), "BAD_TRANSFER_ENCODING"},
        {"TeParameter",
         with("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeXchunked", with("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), "BAD_TRANSFER_ENCODING"
        },
        {"TeQuoted",
         with("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeTrailingComma",
         with("Transfer-Encoding: chunked,\r\n", "0\r\n\r\n"),
         "BAD_TRANSFER_ENCODING"},
        {"TeVerticalTab", with("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), "BAD_FIELD"},
        {"TeUpperCase", with("TRANSFER-ENCODING: Chunked\r\n", "1\r\nx\r\n0\r\n\r\n"), "", "x"},
        {"TeOnHttp10",
         "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         "BAD_TRANSFER_ENCODING"},
        {"TeUnderscore", with("Transfer_Encoding: chunked\r\nContent-Length: 1\r\n", "x"), "", "x"},
    };
}

std::vector<Case> field_cases() {
    return {
        {"SpaceBeforeColon", with("Content-Length : 1\r\n", "x"), "BAD_FIELD"},
        {"TabBeforeColon", with("Content-Length\t: 1\r\n", "x"), "BAD_FIELD"},
        {"NoColon", with("Nothing\r\n"), "BAD_FIELD"},
        {"EmptyName", with(": x\r\n"), "BAD_FIELD"},
        {"NameWithNul", with("X\0Y: 1\r\n"s), "BAD_FIELD"},
        {"NameNotAscii", with("X\xc3\xa4: 1\r\n"), "BAD_FIELD"},
        {"NameWithParenthesis", with("X(a): 1\r\n"), "BAD_FIELD"},
        {"ValueWithNul", with("X: a\0b\r\n"s), "BAD_FIELD"},
        {"ValueWithControl",
         with("X: a\x01"
              "b\r\n"),
         "BAD_FIELD"},
        {"ValueWithDelete", with("X: a\x7f\r\n"), "BAD_FIELD"},
        {"ValueWithBareCr", with("X: a\rb\r\n"), "BAD_LINE_END"},
        {"ValueWithBareLf", with("X: a\nY: b\r\n"), "BAD_LINE_END"},
        {"CrCrLf", with("X: a\r\r\n"), "BAD_LINE_END"},
        {"ObsFold", with("X: a\r\n b\r\n"), "BAD_FIELD"},
        {"ObsFoldTab", with("X: a\r\n\tb\r\n"), "BAD_FIELD"},
        {"FoldedFirstField", "GET /x HTTP/1.1\r\n Host: a\r\nHost: a\r\n\r\n", "BAD_FIELD"},
        {"HeadEndsWithLfLf", "GET /x HTTP/1.1\r\nHost: a\n\n", "BAD_LINE_END"},
        {"HeadEndsWithCrLfLf", "GET /x HTTP/1.1\r\nHost: a\r\n\n", "BAD_LINE_END"},
        {"HeadEndsWithCrX", "GET /x HTTP/1.1\r\nHost: a\r\n\rX", "BAD_LINE_END"},
        {"ObsText", with("X: \xc3\xa4\r\n"), ""},
        {"EmptyValue", with("X:\r\n"), ""},
        {"NoSpace", with("X:y\r\n"), ""},
        {"HostMissing", "GET /x HTTP/1.1\r\nX: a\r\n\r\n", "BAD_HOST"},
        {"HostRepeated", "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "BAD_HOST"},
        {"HostRepeatedOnHttp10", "GET /x HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", "BAD_HOST"},
        {"HostEmpty", "GET /x HTTP/1.1\r\nHost:\r\n\r\n", "BAD_HOST"},
        {"HostWithUser", "GET /x HTTP/1.1\r\nHost: u@a\r\n\r\n", "BAD_HOST"},
        {"HostWithPath", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", "BAD_HOST"},
        {"HostWithSpace", "GET /x HTTP/1.1\r\nHost: a b\r\n\r\n", "BAD_HOST"},
        {"HostList", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n", "BAD_HOST"},
        {"HostBadPort", "GET /x HTTP/1.1\r\nHost: a:8x\r\n\r\n", "BAD_HOST"},
        {"HostPortTooHigh", "GET /x HTTP/1.1\r\nHost: a:65536\r\n\r\n", "BAD_HOST"},
        {"HostBareV6", "GET /x HTTP/1.1\r\nHost: ::1\r\n\r\n", "BAD_HOST"},
        {"HostV6", "GET /x HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", ""},
        {"HostMissingOnHttp10", "GET /x HTTP/1.0\r\n\r\n", ""},
    };
}

std::vector<Case> line_cases() {
    const auto line = [](const std::string& text) { return text + "\r\nHost: a\r\n\r\n"; };
    return {
        {"TwoSpaces", line("GET  /x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"SpaceAtEnd", line("GET /x HTTP/1.1 "), "BAD_REQUEST_LINE"},
        {"SpaceAtBegin", line(" GET /x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"TabBetween", line("GET\t/x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"EmptyLineBefore", line("\r\nGET /x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"NoVersion", line("GET /x"), "BAD_REQUEST_LINE"},
        {"Version09", line("GET /x HTTP/0.9"), "BAD_REQUEST_LINE"},
        {"Version12", line("GET /x HTTP/1.2"), "BAD_REQUEST_LINE"},
        {"Version2", line("PRI * HTTP/2.0"), "BAD_REQUEST_LINE"},
        {"VersionLowerCase", line("GET /x http/1.1"), "BAD_REQUEST_LINE"},
        {"VersionLong", line("GET /x HTTP/1.10"), "BAD_REQUEST_LINE"},
        {"MethodOfSymbols", line("G(T /x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"MethodTooLong", line(std::string(40, 'A') + " /x HTTP/1.1"), "BAD_REQUEST_LINE"},
        {"LineEndsWithLf", "GET /x HTTP/1.1\nHost: a\r\n\r\n", "BAD_REQUEST_LINE"},
        {"TlsHello", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s, "BAD_REQUEST_LINE"},
        {"AbsoluteForm", line("GET http://a/x HTTP/1.1"), "BAD_TARGET"},
        {"AuthorityForm", line("CONNECT a:80 HTTP/1.1"), "BAD_TARGET"},
        {"AsteriskWithGet", line("GET * HTTP/1.1"), "BAD_TARGET"},
        {"NoLeadingSlash", line("GET x HTTP/1.1"), "BAD_TARGET"},
        {"Fragment", line("GET /x#y HTTP/1.1"), "BAD_TARGET"},
        {"Backslash", line("GET /x\\y HTTP/1.1"), "BAD_TARGET"},
        {"TargetNotAscii", line("GET /\xc3\xa4 HTTP/1.1"), "BAD_TARGET"},
        {"TargetWithNul", line("GET /a\0b HTTP/1.1"s), "BAD_TARGET"},
        {"TargetWithQuote", line("GET /\" HTTP/1.1"), "BAD_TARGET"},
        {"BrokenEscape", line("GET /%4 HTTP/1.1"), "BAD_TARGET"},
        {"BrokenEscapeInQuery", line("GET /x?a=%zz HTTP/1.1"), "BAD_TARGET"},
        {"EscapedNul", line("GET /a%00b HTTP/1.1"), ""},
        {"AsteriskWithOptions", line("OPTIONS * HTTP/1.1"), ""},
        {"AllAllowedCharacters", line("GET /a-._~!$&'()*+,;=:@%20?b/?c HTTP/1.1"), ""},
    };
}

std::vector<Case> chunk_cases() {
    return {
        {"Good", chunked("4\r\nwiki\r\n6;ext=1\r\npedia \r\n0\r\n\r\n"), "", "wikipedia "},
        {"UpperCaseHex", chunked("A\r\n0123456789\r\n0\r\n\r\n"), "", "0123456789"},
        {"LeadingZeros", chunked("0001\r\nx\r\n00\r\n\r\n"), "", "x"},
        {"QuotedExtension", chunked("1;a=\"b;\\\"c\"\r\nx\r\n0;z\r\n\r\n"), "", "x"},
        {"Trailer", chunked("1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"), "", "x"},
        {"TrailerWithLength", chunked("1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n"), "BAD_CHUNK"},
        {"SizeMissing", chunked("\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizePlus", chunked("+1\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeMinus", chunked("-1\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeHexPrefix", chunked("0x1\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeLeadingSpace", chunked(" 1\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeTrailingSpace", chunked("1 \r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeUnderscore", chunked("1_0\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeOverflow", chunked("10000000000000001\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeManyZeros", chunked(std::string(40, '0') + "1\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeEndsWithLf", chunked("1\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"SizeEndsWithCr", chunked("1\rx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"DataTooLong", chunked("1\r\nxy\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"DataEndsWithLf", chunked("1\r\nx\n0\r\n\r\n"), "BAD_CHUNK"},
        {"DataWithoutEnd", chunked("1\r\nx0\r\n\r\n"), "BAD_CHUNK"},
        {"ExtensionWithLf", chunked("1;a\nb\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"ExtensionWithCr", chunked("1;a\rb\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"ExtensionWithNul", chunked("1;a\0b\r\nx\r\n0\r\n\r\n"s), "BAD_CHUNK"},
        {"ExtensionQuotedLine", chunked("1;a=\"\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"ExtensionWithoutName", chunked("1;\r\nx\r\n0\r\n\r\n"), "BAD_CHUNK"},
        {"ExtensionTooLong",
         chunked("1;a=" + std::string(300, 'b') + "\r\nx\r\n0\r\n\r\n"),
         "BAD_CHUNK"},
        {"ExtensionOfTheLastChunkTooLong",
         chunked("0;a=" + std::string(300, 'b') + "\r\n\r\n"),
         "BAD_CHUNK"},
        {"LastChunkEndsWithLf", chunked("0\n\n"), "BAD_CHUNK"},
        {"TrailerEndsWithLf", chunked("0\r\n\n"), "BAD_CHUNK"},
        {"TrailerWithBareLf", chunked("0\r\nX: a\nY: b\r\n\r\n"), "BAD_CHUNK"},
        {"TrailerWithoutColon", chunked("0\r\nwiki\r\n\r\n"), "BAD_CHUNK"},
        {"TrailerWithSpace", chunked("0\r\nX : a\r\n\r\n"), "BAD_CHUNK"},
        {"TrailerFolded", chunked("0\r\nX: a\r\n b\r\n\r\n"), "BAD_CHUNK"},
        {"TrailerTooLong", chunked("0\r\nX: " + std::string(9000, 'a') + "\r\n\r\n"), "BAD_CHUNK"},
    };
}

class Framing : public testing::TestWithParam<Case> {};

TEST_P(Framing, IsAsTheTableSays) {
    const Case& one = GetParam();
    const Outcome whole = parse_whole(one.request);
    EXPECT_EQ(whole.code, one.code);
    EXPECT_EQ(whole.done, one.code.empty());
    EXPECT_EQ(whole.body, one.body);
    EXPECT_EQ(parse_bytewise(one.request), whole);
}

std::string name_of(const testing::TestParamInfo<Case>& info) {
    return info.param.name;
}

INSTANTIATE_TEST_SUITE_P(Length, Framing, testing::ValuesIn(length_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Fields, Framing, testing::ValuesIn(field_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(RequestLine, Framing, testing::ValuesIn(line_cases()), name_of);
INSTANTIATE_TEST_SUITE_P(Chunks, Framing, testing::ValuesIn(chunk_cases()), name_of);

TEST(FramingLimits, AreExact) {
    const ParserLimits limits{.head_bytes_max = 200, .target_bytes_max = 50, .fields_max = 3};
    const auto request = [](std::size_t target, std::size_t fields, std::size_t head) {
        std::string text = "GET /" + std::string(target - 1, 'a') + " HTTP/1.1\r\nHost: a\r\n";
        for (std::size_t i = 1; i < fields; ++i) {
            text += "X: y\r\n";
        }
        text.insert(
            text.size() - 2, std::string(head > text.size() + 2 ? head - text.size() - 2 : 0, 'z')
        );
        return text + "\r\n";
    };
    EXPECT_TRUE(parse_whole(request(50, 3, 0), limits).done);
    EXPECT_EQ(parse_whole(request(51, 3, 0), limits).code, "TARGET_TOO_LONG");
    EXPECT_EQ(parse_whole(request(50, 4, 0), limits).code, "HEADERS_TOO_LARGE");
    EXPECT_TRUE(parse_whole(request(5, 2, 200), limits).done);
    EXPECT_EQ(parse_whole(request(5, 2, 201), limits).code, "HEADERS_TOO_LARGE");
}

/// A request of the tables, changed in one place or not.
std::string mutate(std::size_t pick, std::size_t place, char byte) {
    std::vector<Case> all;
    for (const auto& cases : {length_cases(), field_cases(), line_cases(), chunk_cases()}) {
        all.insert(all.end(), cases.begin(), cases.end());
    }
    std::string text = all[pick % all.size()].request;
    if (place % 4 != 0) {
        text[place % text.size()] = byte;
    }
    return text;
}

RC_GTEST_PROP(
    FramingProperty,
    HowTheBytesAreCutDoesNotMatter,
    (std::size_t pick, std::size_t place, char byte, const std::set<std::uint8_t>& cuts)
) {
    const std::string text = mutate(pick, place, byte);
    const Outcome whole = parse_whole(text);
    const auto cut = [&](std::size_t at) { return cuts.contains(static_cast<std::uint8_t>(at)); };
    RC_ASSERT(parse(text, cut) == whole);
    RC_ASSERT(parse_bytewise(text) == whole);
}

} // namespace
} // namespace rbee::http
