# Flags shared by every target of ours: warnings, sanitizers, hardening.
add_library(rbee_options INTERFACE)
target_compile_options(rbee_options INTERFACE
  -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual
  $<$<BOOL:${RBEE_WERROR}>:-Werror>
  -fno-omit-frame-pointer)
target_compile_definitions(rbee_options INTERFACE
  RBEE_VERSION="${PROJECT_VERSION}"
  SPDLOG_FMT_EXTERNAL
  $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_link_options(rbee_options INTERFACE -Wl,-z,relro,-z,now)

find_program(RBEE_LLD NAMES ld.lld-19 ld.lld)
if(RBEE_LLD AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  target_link_options(rbee_options INTERFACE -fuse-ld=${RBEE_LLD})
endif()

if(RBEE_SANITIZE)
  target_compile_options(rbee_options INTERFACE -fsanitize=${RBEE_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(rbee_options INTERFACE -fsanitize=${RBEE_SANITIZE})
endif()
if(RBEE_COVERAGE)
  target_compile_options(rbee_options INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(rbee_options INTERFACE -fprofile-instr-generate)
endif()
