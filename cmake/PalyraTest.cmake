# palyra_add_test(NAME SOURCES... [LIBS ...] [ENV ...] [TIMEOUT s] [LABELS ...] [SINGLE_THREADED]):
# one GoogleTest program, one ctest entry. Sanitizer reports are fatal. A SINGLE_THREADED test starts
# no thread: ThreadSanitizer has nothing to watch and its preset leaves it out. Target palyra_tests
# builds every test and what it runs.
find_package(GTest REQUIRED)

set(PALYRA_SANITIZER_ENV
  "ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:detect_odr_violation=0"
  "UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1"
  "TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1")

add_custom_target(palyra_tests)

function(palyra_add_test name)
  cmake_parse_arguments(arg "SINGLE_THREADED" "TIMEOUT" "SOURCES;LIBS;ENV;LABELS" ${ARGN})
  add_executable(${name} ${arg_SOURCES} ${arg_UNPARSED_ARGUMENTS})
  palyra_check_less(${name})
  target_link_libraries(${name} PRIVATE palyra_warnings ${arg_LIBS} GTest::gmock GTest::gtest_main)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PALYRA_TEST_OUTPUT_DIRECTORY})
  if(arg_SINGLE_THREADED AND PALYRA_SANITIZE MATCHES "thread")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  add_dependencies(palyra_tests ${name})
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 120)
  endif()
  set_tests_properties(${name} PROPERTIES
    TIMEOUT ${arg_TIMEOUT}
    LABELS "${arg_LABELS}"
    ENVIRONMENT "${PALYRA_SANITIZER_ENV};PALYRA_BUILD_DIR=${CMAKE_BINARY_DIR};PALYRA_SOURCE_DIR=${CMAKE_SOURCE_DIR};${arg_ENV}")
endfunction()
