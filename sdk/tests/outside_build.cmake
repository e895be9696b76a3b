# Installs the SDK component into a fresh prefix, copies template and examples out of the tree, builds
# them against the installed SDK alone, and looks at what came out: one exported symbol, the manifest.
# -DBUILD_DIR= -DWORK_DIR= -DC_COMPILER= -DCXX_COMPILER= -DSANITIZE=
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "failed: ${ARGN}\n${output}")
  endif()
  set(run_output "${output}" PARENT_SCOPE)
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --component sdk --prefix ${WORK_DIR}/prefix)
set(share ${WORK_DIR}/prefix/share/palyra)
file(MAKE_DIRECTORY ${WORK_DIR}/plugins)

foreach(pair template:my_plugin examples/c_tool:c_tool examples/cpp_provider:cpp_provider)
  string(REPLACE ":" ";" pair ${pair})
  list(GET pair 0 folder)
  list(GET pair 1 name)
  set(source ${WORK_DIR}/src/${name})
  file(COPY ${share}/${folder}/ DESTINATION ${source})
  run(${CMAKE_COMMAND} -S ${source} -B ${source}/build -G Ninja -DCMAKE_BUILD_TYPE=Release
      -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix -DCMAKE_C_COMPILER=${C_COMPILER}
      -DCMAKE_CXX_COMPILER=${CXX_COMPILER} -DCMAKE_C_FLAGS=-Werror)
  run(${CMAKE_COMMAND} --build ${source}/build)
  set(library ${source}/build/${name}.so)

  run(nm -D --defined-only ${library})
  string(STRIP "${run_output}" symbols)
  if(NOT symbols MATCHES "^[0-9a-f]+ T palyra_plugin_entry$")
    message(FATAL_ERROR "${name}.so must export palyra_plugin_entry and nothing else, but has:\n${symbols}")
  endif()
  run(readelf --notes --wide ${library})
  if(NOT run_output MATCHES "Palyra")
    message(FATAL_ERROR "${name}.so carries no manifest note:\n${run_output}")
  endif()
  run(strip ${library} -o ${WORK_DIR}/plugins/${name}.so)
  run(readelf --notes --wide ${WORK_DIR}/plugins/${name}.so)
  if(NOT run_output MATCHES "Palyra")
    message(FATAL_ERROR "${name}.so loses its manifest note when stripped")
  endif()
  message(STATUS "${name}.so: one symbol, one note")
endforeach()
