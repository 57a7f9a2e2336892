# The pinned llama.cpp: one release, checked by content, whatever way it comes.
set(LLAMA_VERSION "v0.5.0")
set(LLAMA_COMMIT "de3ff815ea7d559ee917f063901b8986f038abc6") # HEAD of the bundle in the npm package
set(LLAMA_NPM_SPEC "node-llama-cpp@3.22.1")
set(LLAMA_NPM_FILE "node-llama-cpp-3.22.1.tgz")
set(LLAMA_NPM_SHA512 "6e5b488a9b9699cd76dc7eed30880318a4ac4ab866865418795502e3c5d38d55bb5c624988927209d95333343f2e25a83e4183a5c2f816f883a60c3ba9f4e20f")
set(LLAMA_GIT_URL "https://github.com/ggml-org/llama.cpp.git")
