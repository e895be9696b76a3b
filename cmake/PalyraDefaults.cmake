# Warnings, sanitizers, linker, ccache: the same for every target of the tree.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()

find_program(PALYRA_CCACHE ccache)
if(PALYRA_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${PALYRA_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PALYRA_CCACHE})
endif()

find_program(PALYRA_MOLD mold)
if(PALYRA_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Everything is hidden unless it says otherwise; see docs/decisions on unloading.
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
endif()

# Relocatable: bin, lib and lib/palyra/plugins find each other wherever the tree is.
set(CMAKE_BUILD_RPATH_USE_ORIGIN ON)

# For our own targets only; generated code is compiled without them.
add_library(palyra_warnings INTERFACE)
target_compile_options(palyra_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wconversion -Wnon-virtual-dtor>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports these falsely in libstdc++ once it inlines; the sanitizers watch for the real ones.
  target_compile_options(palyra_warnings INTERFACE
    -Wno-maybe-uninitialized -Wno-restrict -Wno-stringop-overflow -Wno-array-bounds -Wno-dangling-pointer)
endif()

if(PALYRA_SANITIZE)
  add_compile_options(-fsanitize=${PALYRA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${PALYRA_SANITIZE})
  if(PALYRA_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=undefined)
    # libstdc++ and Debian's libraries have no instrumentation: these two would report their objects.
    add_compile_options(-fno-sanitize=vptr)
  endif()
endif()

# Up to eight sources of a target as one: their headers are read and the templates in them are made
# once instead of eight times, which halves the time to compile all of it. For presets that build
# everything, not for those where somebody edits one file; the presets dev and clang compile each file
# alone and see that it includes what it needs. GCC then takes our sources for headers and warns of
# types in anonymous namespaces that are members of others.
if(PALYRA_UNITY)
  set(CMAKE_UNITY_BUILD ON)
  set(CMAKE_UNITY_BUILD_BATCH_SIZE 8)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-Wno-subobject-linkage>)
  endif()
endif()

# Tests and generated code: without two checks that take more than a third of the time to compile a
# file. What follows from a null pointer AddressSanitizer sees, too; the product's code has them all.
function(palyra_check_less target)
  if(PALYRA_SANITIZE MATCHES "undefined")
    target_compile_options(${target} PRIVATE -fno-sanitize=null,alignment)
  endif()
endfunction()

# Programs that make messages on one thread and free them on another: jemalloc instead of libc's
# malloc, for all that is loaded into them. Sanitizers bring their own.
function(palyra_fast_allocator target)
  if(NOT PALYRA_SANITIZE)
    find_library(PALYRA_JEMALLOC jemalloc REQUIRED)
    target_link_options(${target} PRIVATE -Wl,--no-as-needed)
    target_link_libraries(${target} PRIVATE ${PALYRA_JEMALLOC})
  endif()
endfunction()
