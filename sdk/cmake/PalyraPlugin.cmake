# palyra_add_plugin(NAME MANIFEST manifest.json SOURCES ...): a loadable plugin.
#
# Makes NAME.so with one exported symbol and the manifest in an ELF note. Used by Palyra's own plugins
# and, installed with the SDK, by everybody else's. OUTPUT_DIRECTORY is optional.

set(PALYRA_PLUGIN_CMAKE_DIR ${CMAKE_CURRENT_LIST_DIR})

function(palyra_add_plugin name)
  cmake_parse_arguments(arg "" "MANIFEST;OUTPUT_DIRECTORY" "SOURCES" ${ARGN})
  if(NOT arg_MANIFEST)
    message(FATAL_ERROR "palyra_add_plugin(${name}): MANIFEST is required")
  endif()
  get_filename_component(manifest ${arg_MANIFEST} ABSOLUTE)
  set(note ${CMAKE_CURRENT_BINARY_DIR}/${name}_manifest.c)
  add_custom_command(
    OUTPUT ${note}
    COMMAND ${CMAKE_COMMAND} -DMANIFEST=${manifest} -DOUTPUT=${note}
            -P ${PALYRA_PLUGIN_CMAKE_DIR}/PalyraManifest.cmake
    DEPENDS ${manifest} ${PALYRA_PLUGIN_CMAKE_DIR}/PalyraManifest.cmake
    VERBATIM)
  set_source_files_properties(${note} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  add_library(${name} MODULE ${arg_SOURCES} ${arg_UNPARSED_ARGUMENTS} ${note})
  target_compile_definitions(${name} PRIVATE PALYRA_BUILDING_PLUGIN=1)
  if(TARGET palyra_sdk)
    target_link_libraries(${name} PRIVATE palyra_sdk)
  else()
    target_link_libraries(${name} PRIVATE Palyra::sdk)
  endif()
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so"
    C_STANDARD 11 CXX_STANDARD 20
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${PALYRA_PLUGIN_CMAKE_DIR}/plugin.map)
  if(arg_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${arg_OUTPUT_DIRECTORY})
  elseif(PALYRA_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${PALYRA_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  target_link_options(${name} PRIVATE
    -Wl,--version-script=${PALYRA_PLUGIN_CMAKE_DIR}/plugin.map -Wl,-z,now)
  if(NOT PALYRA_SANITIZE)
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${name} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
  endif()
endfunction()
