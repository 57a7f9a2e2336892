# The order of this list is the architecture: a layer may use only layers named before it, and the
# four programs (queen, hive, worker, cli) never use each other. Both rules are checked at configure
# time for links and in every build for #include lines (CheckLayers.cmake).
set(RBEE_LAYERS base domain runtime telemetry config store process audit http auth pki api engine
                queen hive worker cli)
set(RBEE_PROGRAM_LAYERS queen hive worker cli)

# rbee_module(<layer> [MODULES <layer>...] [LIBRARIES <target>...])
#   Makes the static library rbee_<layer> (alias rbee::<layer>) from the .cpp files of the folder and,
#   with tests on, the program rbee_<layer>_test from its *_test.cpp files.
function(rbee_module name)
  cmake_parse_arguments(M "" "" "MODULES;LIBRARIES" ${ARGN})
  list(FIND RBEE_LAYERS ${name} rank)
  if(rank EQUAL -1)
    message(FATAL_ERROR "rbee_module(${name}): not in RBEE_LAYERS")
  endif()
  set(dir ${CMAKE_SOURCE_DIR}/src/rbee/${name})
  file(GLOB sources CONFIGURE_DEPENDS ${dir}/*.cpp)
  file(GLOB headers CONFIGURE_DEPENDS ${dir}/*.hpp)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")

  if(sources)
    set(scope PUBLIC)
    add_library(rbee_${name} STATIC ${sources} ${headers})
  else()
    set(scope INTERFACE)
    add_library(rbee_${name} INTERFACE)
  endif()
  add_library(rbee::${name} ALIAS rbee_${name})
  target_include_directories(rbee_${name} ${scope} ${CMAKE_SOURCE_DIR}/src)
  target_link_libraries(rbee_${name} ${scope} rbee_options ${M_LIBRARIES})
  foreach(dep IN LISTS M_MODULES)
    list(FIND RBEE_LAYERS ${dep} dep_rank)
    if(dep_rank EQUAL -1 OR NOT dep_rank LESS rank)
      message(FATAL_ERROR "rbee_module(${name}): may not depend on ${dep}")
    endif()
    if(name IN_LIST RBEE_PROGRAM_LAYERS AND dep IN_LIST RBEE_PROGRAM_LAYERS)
      message(FATAL_ERROR "rbee_module(${name}): programs never depend on each other (${dep})")
    endif()
    target_link_libraries(rbee_${name} ${scope} rbee_${dep})
  endforeach()

  if(RBEE_TESTS AND tests)
    add_executable(rbee_${name}_test ${tests})
    target_link_libraries(rbee_${name}_test PRIVATE rbee_${name} GTest::gmock_main rapidcheck_lib)
    target_include_directories(rbee_${name}_test PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    # Bound at once: a first call through the loader saves the vector registers, and with them what
    # was copied last, on the stack, where the tests that look for secrets would find it.
    gtest_discover_tests(rbee_${name}_test TEST_PREFIX "${name}." DISCOVERY_TIMEOUT 60
                         PROPERTIES LABELS unit TIMEOUT 120 ENVIRONMENT LD_BIND_NOW=1)
  endif()
endfunction()

add_custom_target(rbee_layers ALL
  COMMAND ${CMAKE_COMMAND} "-DLAYERS=${RBEE_LAYERS}" "-DPROGRAMS=${RBEE_PROGRAM_LAYERS}"
          -DROOT=${CMAKE_SOURCE_DIR} -P ${CMAKE_SOURCE_DIR}/cmake/CheckLayers.cmake
  COMMENT "Checking the layer order" VERBATIM)
