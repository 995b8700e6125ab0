/// A minimal test framework. Any file can define TEST("a sentence") { CHECK(...); }; main.cpp runs all tests.
#pragma once

#include <cstdio>
#include <functional>
#include <vector>

struct Test {
    const char* sentence;
    std::function<void()> body;
};

inline std::vector<Test>& tests() {
    static std::vector<Test> all;
    return all;
}

inline int& failures() {
    static int count = 0;
    return count;
}

struct Registration {
    Registration(const char* sentence, std::function<void()> body) { tests().push_back({sentence, std::move(body)}); }
};

inline void check(bool holds, const char* condition, const char* file, int line) {
    if (holds) return;
    ++failures();
    std::printf("%s:%d: does not hold: %s\n", file, line, condition);
}

#define CHECK(condition) check(condition, #condition, __FILE__, __LINE__)

#define TEST_JOIN(a, b) a##b
#define TEST_NAMED(sentence, name)                               \
    static void name();                                          \
    static const Registration TEST_JOIN(name, _){sentence, name}; \
    static void name()
#define TEST_LINE(sentence, line) TEST_NAMED(sentence, TEST_JOIN(test_, line))
#define TEST(sentence) TEST_LINE(sentence, __LINE__)
