# find_package(PalyraSDK): Palyra::sdk (headers), palyra_add_plugin(), palyra_generate_lite() and
# PALYRA_PROTO_PATH (the directory that holds palyra/service/v1/*.proto).
include(${CMAKE_CURRENT_LIST_DIR}/PalyraSDKTargets.cmake)
include(${CMAKE_CURRENT_LIST_DIR}/PalyraPlugin.cmake)

get_filename_component(PALYRA_SDK_PREFIX ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)
if(NOT EXISTS ${PALYRA_SDK_PREFIX}/share/palyra/proto)
  # A multiarch libdir is one level deeper.
  get_filename_component(PALYRA_SDK_PREFIX ${PALYRA_SDK_PREFIX}/.. ABSOLUTE)
endif()
set(PALYRA_PROTO_PATH ${PALYRA_SDK_PREFIX}/share/palyra/proto)

# palyra_generate_lite(TARGET): C++ messages of every service for the lite runtime, hidden in the plugin.
# Two libraries with the full runtime's generated code abort a process; lite code registers nothing and
# lives beside it. Needs protoc. The runtime is the platform's libprotobuf.so, which in-tree plugins use
# as well; a vendor who wants no such dependency sets PALYRA_PROTOBUF_RUNTIME to a libprotobuf-lite.a
# built with -fPIC (Debian's is not).
function(palyra_generate_lite target)
  find_program(PALYRA_PROTOC protoc REQUIRED)
  find_library(PALYRA_PROTOBUF_RUNTIME protobuf REQUIRED)
  find_package(Threads REQUIRED)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/palyra_lite)
  file(GLOB_RECURSE protos RELATIVE ${PALYRA_PROTO_PATH} ${PALYRA_PROTO_PATH}/palyra/*.proto)
  set(sources)
  foreach(proto ${protos})
    file(READ ${PALYRA_PROTO_PATH}/${proto} text)
    file(CONFIGURE OUTPUT ${out}/proto/${proto} @ONLY
         CONTENT "${text}\noption optimize_for = LITE_RUNTIME;\n")
    string(REGEX REPLACE "\\.proto$" "" stem ${proto})
    add_custom_command(OUTPUT ${out}/${stem}.pb.cc ${out}/${stem}.pb.h
      COMMAND ${PALYRA_PROTOC} -I${out}/proto --cpp_out=${out} ${proto}
      DEPENDS ${out}/proto/${proto} VERBATIM)
    list(APPEND sources ${out}/${stem}.pb.cc)
  endforeach()
  add_library(${target} STATIC ${sources})
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON
    CXX_STANDARD 20 CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_include_directories(${target} SYSTEM PUBLIC ${out})
  target_link_libraries(${target} PUBLIC ${PALYRA_PROTOBUF_RUNTIME} Threads::Threads)
endfunction()
