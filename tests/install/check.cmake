# Installs the build BUILD below SCRATCH and builds and runs CONSUMER against it, in both ways.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${code}\n${said}")
  endif()
endfunction()

file(REMOVE_RECURSE ${SCRATCH})  # a header that is no longer installed must not be found
set(prefix ${SCRATCH}/prefix)
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})

run(${CMAKE_COMMAND} -S ${CONSUMER} -B ${SCRATCH}/consumer -G ${GENERATOR}
    -D CMAKE_PREFIX_PATH=${prefix} -D CMAKE_CXX_COMPILER=${COMPILER})
run(${CMAKE_COMMAND} --build ${SCRATCH}/consumer)
run(${SCRATCH}/consumer/consumer)

if(PKG_CONFIG)
  set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
  foreach(kind cflags libs)
    # The prefix is where the file lies now, as for a package that was moved.
    execute_process(
      COMMAND ${PKG_CONFIG} --define-prefix --${kind} weft OUTPUT_VARIABLE ${kind} RESULT_VARIABLE code
              ERROR_VARIABLE said OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "pkg-config does not find weft: ${said}")
    endif()
    separate_arguments(${kind} UNIX_COMMAND "${${kind}}")
  endforeach()
  run(${COMPILER} ${cflags} ${CONSUMER}/main.cpp -o ${SCRATCH}/by_pkg_config ${libs})
  run(${SCRATCH}/by_pkg_config)
endif()
