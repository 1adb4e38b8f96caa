// The border to Rust, which an exception must not cross.

#pragma once

#include <cstring>
#include <exception>

// NULL, or the message of what `body` threw, which Rust frees with torch_ext_free.
template <typename F>
char* caught(F&& body) noexcept {
  try {
    body();
    return nullptr;
  } catch (const std::exception& e) {
    return strdup(e.what());
  } catch (...) {
    return strdup("an exception that is no std::exception");
  }
}
