# palyra_clang: everything but tests and gRPC, and every SDK header, compiled by clang with our
# warnings as errors. Only in the preset of that name.
file(GLOB clang_headers CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/sdk/include/palyra/*.hpp
     ${CMAKE_SOURCE_DIR}/sdk/include/palyra/testing/*.hpp ${CMAKE_SOURCE_DIR}/sdk/include/palyra/*.h)
foreach(header ${clang_headers})
  file(RELATIVE_PATH header ${CMAKE_SOURCE_DIR}/sdk/include ${header})
  string(APPEND clang_includes "#include \"${header}\"\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/sdk_headers.cpp CONTENT "${clang_includes}")
add_library(palyra_clang_headers OBJECT ${CMAKE_BINARY_DIR}/sdk_headers.cpp)
target_link_libraries(palyra_clang_headers PRIVATE palyra_sdk palyra_proto palyra_warnings)

# The targets of a folder and of those below it.
function(palyra_targets_of folder result)
  get_directory_property(targets DIRECTORY ${folder} BUILDSYSTEM_TARGETS)
  get_directory_property(below DIRECTORY ${folder} SUBDIRECTORIES)
  foreach(next ${below})
    palyra_targets_of(${next} more)
    list(APPEND targets ${more})
  endforeach()
  set(${result} ${targets} PARENT_SCOPE)
endfunction()
palyra_targets_of(${CMAKE_SOURCE_DIR} targets)
add_custom_target(palyra_clang DEPENDS ${targets})
