# llama.cpp as static libraries, built once per version and flags into a cache outside the checkout
# and shared by all build trees. Gives the imported targets
#   rbee::llama_ggml     ggml and gguf (tools that only write model files)
#   rbee::llama          libllama
#   rbee::llama_server   server-context with everything it needs (the worker's engine)
#
# Source, first that is set or works:
#   -DLLAMA_SOURCE_DIR=<dir>   a tree that is already there
#   -DLLAMA_PROVIDER=npm       the git bundle inside a pinned npm package, checked by sha512 (default)
#   -DLLAMA_PROVIDER=git       the upstream tag
include(LlamaPin)
set(LLAMA_PROVIDER "npm" CACHE STRING "Where llama.cpp comes from: npm | git")
set_property(CACHE LLAMA_PROVIDER PROPERTY STRINGS npm git)
set(LLAMA_SOURCE_DIR "" CACHE PATH "Use this llama.cpp source tree")
option(RBEE_NATIVE "Build llama.cpp for the instruction set of this machine" ON)

set(rbee_cache "$ENV{RBEE_CACHE_DIR}")
if(NOT rbee_cache)
  set(rbee_cache "$ENV{HOME}/.cache/rbee")
endif()
set(rbee_llama_cache "${rbee_cache}/llama")
file(MAKE_DIRECTORY "${rbee_llama_cache}")

function(rbee_run what)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE rc OUTPUT_VARIABLE out ERROR_VARIABLE err
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "${what} failed (${rc}):\n${out}\n${err}")
  endif()
  set(rbee_run_out "${out}" PARENT_SCOPE)
endfunction()

# Fetches the npm package, checks it and clones the bundle inside it into `dir`.
function(rbee_llama_from_npm dir)
  find_program(NPM_EXE npm REQUIRED)
  set(tgz "${rbee_llama_cache}/${LLAMA_NPM_FILE}")
  if(NOT EXISTS "${tgz}")
    message(STATUS "llama.cpp ${LLAMA_VERSION}: downloading (36 MB)")
    rbee_run("npm pack" "${NPM_EXE}" pack --silent --pack-destination "${rbee_llama_cache}"
             "${LLAMA_NPM_SPEC}")
  endif()
  file(SHA512 "${tgz}" sum)
  if(NOT sum STREQUAL LLAMA_NPM_SHA512)
    file(REMOVE "${tgz}")
    message(FATAL_ERROR "${LLAMA_NPM_FILE}: sha512 is ${sum}, expected ${LLAMA_NPM_SHA512}")
  endif()
  file(REMOVE_RECURSE "${rbee_llama_cache}/package")
  file(ARCHIVE_EXTRACT INPUT "${tgz}" DESTINATION "${rbee_llama_cache}"
       PATTERNS "package/llama/gitRelease.bundle")
  rbee_run("git clone" "${GIT_EXECUTABLE}" -c advice.detachedHead=false clone --quiet
           "${rbee_llama_cache}/package/llama/gitRelease.bundle" "${dir}")
  file(REMOVE_RECURSE "${rbee_llama_cache}/package")
  rbee_run("git rev-parse" "${GIT_EXECUTABLE}" -C "${dir}" rev-parse HEAD)
  if(NOT rbee_run_out STREQUAL LLAMA_COMMIT)
    message(FATAL_ERROR "llama.cpp bundle is at ${rbee_run_out}, expected ${LLAMA_COMMIT}")
  endif()
endfunction()

function(rbee_llama_source out)
  if(LLAMA_SOURCE_DIR)
    set(${out} "${LLAMA_SOURCE_DIR}" PARENT_SCOPE)
    return()
  endif()
  find_package(Git REQUIRED)
  set(dir "${rbee_llama_cache}/source-${LLAMA_VERSION}-${LLAMA_PROVIDER}")
  if(NOT EXISTS "${dir}/.rbee-complete")
    file(REMOVE_RECURSE "${dir}")
    if(LLAMA_PROVIDER STREQUAL "npm")
      rbee_llama_from_npm("${dir}")
    elseif(LLAMA_PROVIDER STREQUAL "git")
      message(STATUS "llama.cpp ${LLAMA_VERSION}: cloning ${LLAMA_GIT_URL}")
      rbee_run("git clone" "${GIT_EXECUTABLE}" -c advice.detachedHead=false clone --quiet --depth 1
               --branch "${LLAMA_VERSION}" "${LLAMA_GIT_URL}" "${dir}")
    else()
      message(FATAL_ERROR "LLAMA_PROVIDER must be npm or git, not '${LLAMA_PROVIDER}'")
    endif()
    file(TOUCH "${dir}/.rbee-complete")
  endif()
  set(${out} "${dir}" PARENT_SCOPE)
endfunction()

file(LOCK "${rbee_llama_cache}" DIRECTORY GUARD FILE TIMEOUT 3600)
rbee_llama_source(rbee_llama_src)

set(rbee_llama_flags
  -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_C_COMPILER=${CMAKE_C_COMPILER} -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DBUILD_SHARED_LIBS=OFF
  -DLLAMA_BUILD_COMMON=ON -DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON
  -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF
  -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_TOOLS_INSTALL=OFF
  -DGGML_OPENMP=OFF -DGGML_NATIVE=${RBEE_NATIVE})
if(RBEE_CCACHE)
  list(APPEND rbee_llama_flags -DCMAKE_C_COMPILER_LAUNCHER=${RBEE_CCACHE}
                               -DCMAKE_CXX_COMPILER_LAUNCHER=${RBEE_CCACHE})
endif()

# A native build is only good for machines with the same instruction set.
set(rbee_llama_key "${rbee_llama_src} ${rbee_llama_flags} ${CMAKE_CXX_COMPILER_VERSION}")
if(RBEE_NATIVE AND EXISTS /proc/cpuinfo)
  file(STRINGS /proc/cpuinfo cpu_flags REGEX "^(flags|Features)" LIMIT_COUNT 1)
  string(APPEND rbee_llama_key "${cpu_flags}")
endif()
string(SHA256 rbee_llama_key "${rbee_llama_key}")
string(SUBSTRING "${rbee_llama_key}" 0 12 rbee_llama_key)
set(rbee_llama_build "${rbee_llama_cache}/build-${LLAMA_VERSION}-${rbee_llama_key}")

if(NOT EXISTS "${rbee_llama_build}/.rbee-complete")
  message(STATUS "llama.cpp ${LLAMA_VERSION}: building once into the cache (about 4-8 minutes on 2 cores)")
  execute_process(COMMAND ${CMAKE_COMMAND} -G Ninja -S "${rbee_llama_src}" -B "${rbee_llama_build}"
                          ${rbee_llama_flags}
                  OUTPUT_FILE "${rbee_llama_cache}/configure.log" RESULT_VARIABLE rc)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "llama.cpp: configure failed; see ${rbee_llama_cache}/configure.log")
  endif()
  execute_process(COMMAND ${CMAKE_COMMAND} --build "${rbee_llama_build}" --target server-context
                  RESULT_VARIABLE rc)
  if(NOT rc EQUAL 0)
    message(FATAL_ERROR "llama.cpp: build failed in ${rbee_llama_build}")
  endif()
  file(TOUCH "${rbee_llama_build}/.rbee-complete")
endif()
file(LOCK "${rbee_llama_cache}" DIRECTORY RELEASE)

set(b "${rbee_llama_build}")
set(s "${rbee_llama_src}")
add_library(rbee_llama_ggml INTERFACE)
add_library(rbee::llama_ggml ALIAS rbee_llama_ggml)
target_include_directories(rbee_llama_ggml SYSTEM INTERFACE "${s}/ggml/include")
target_link_libraries(rbee_llama_ggml INTERFACE
  "${b}/ggml/src/libggml.a" "${b}/ggml/src/libggml-cpu.a" "${b}/ggml/src/libggml-base.a"
  Threads::Threads ${CMAKE_DL_LIBS} m)
add_library(rbee_llama INTERFACE)
add_library(rbee::llama ALIAS rbee_llama)
target_include_directories(rbee_llama SYSTEM INTERFACE "${s}/include")
target_link_libraries(rbee_llama INTERFACE "${b}/src/libllama.a" rbee_llama_ggml)
add_library(rbee_llama_server INTERFACE)
add_library(rbee::llama_server ALIAS rbee_llama_server)
target_include_directories(rbee_llama_server SYSTEM INTERFACE
  "${s}/tools/server" "${s}/tools/mtmd" "${s}/common" "${s}/vendor" "${s}")
target_compile_definitions(rbee_llama_server INTERFACE GGML_USE_CPU LLAMA_SUBPROCESS)
target_link_libraries(rbee_llama_server INTERFACE
  "${b}/tools/server/libserver-context.a" "${b}/tools/mtmd/libmtmd.a"
  "${b}/common/libllama-common.a" "${b}/common/libllama-common-base.a"
  "${b}/vendor/cpp-httplib/libcpp-httplib.a" "${b}/vendor/hash/libvendor-hash.a" rbee_llama)
